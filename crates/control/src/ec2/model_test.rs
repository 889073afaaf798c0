//! Random lives of an account against a naive model of control plane, 3.
//!
//! The model keeps options as the words of requests, and resolves each by walking down the layers.
//! It shares nothing with the program but those words.

mod steps;

use std::collections::BTreeMap;

use model::{OptionLayer, OptionLayers};
use proptest::prelude::*;
use proptest::sample::Index;

use self::steps::{Step, Version, step};
use super::site::{Site, elements};

/// The options in the order of the tables of control plane, 2.
const NAMES: [&str; 5] = [
    "HttpTokens",
    "HttpPutResponseHopLimit",
    "HttpEndpoint",
    "HttpProtocolIpv6",
    "InstanceMetadataTags",
];
const TOKENS: usize = 0;
const HOP_LIMIT: usize = 1;
const IPV6: usize = 3;
const PLATFORM: [&str; 5] = ["optional", "1", "enabled", "disabled", "disabled"];

/// What one layer says of each option.
type Said = [Option<&'static str>; 5];

struct Template {
    id: String,
    name: String,
    versions: BTreeMap<u32, Said>,
    default: u32,
    made: u32,
}

impl Template {
    fn number(&self, version: &Version) -> u32 {
        match version {
            Version::Unsaid | Version::Default => self.default,
            Version::Latest => *self.versions.keys().last().unwrap(),
            Version::Number(index) => {
                *index.get(&self.versions.keys().copied().collect::<Vec<_>>())
            }
        }
    }

    /// The version as a request says it.
    fn text(&self, version: &Version) -> Option<String> {
        match version {
            Version::Unsaid => None,
            Version::Default => Some("%24Default".to_owned()),
            Version::Latest => Some("%24Latest".to_owned()),
            Version::Number(_) => Some(self.number(version).to_string()),
        }
    }
}

struct Instance {
    id: String,
    options: [&'static str; 5],
    layers: [&'static str; 5],
}

/// What there should be.
struct Model {
    images: Vec<(String, bool)>,
    templates: Vec<Template>,
    templates_made: usize,
    account: Said,
    is_enforced: Option<bool>,
    instances: Vec<Instance>,
}

fn is_good(option: usize, word: &str) -> bool {
    match option {
        TOKENS => ["optional", "required"].contains(&word),
        HOP_LIMIT => ["1", "2", "3", "64"].contains(&word),
        _ => ["enabled", "disabled"].contains(&word),
    }
}

fn is_all_good(said: &Said) -> bool {
    said.iter().enumerate().all(|(option, word)| word.is_none_or(|word| is_good(option, word)))
}

fn form(prefix: &str, said: &Said) -> String {
    let named = NAMES.iter().zip(said).filter_map(|(name, word)| Some((name, (*word)?)));
    named.map(|(name, word)| format!("&{prefix}{name}={word}")).collect::<Vec<_>>().concat()
}

/// Walks down the layers for one option.
fn resolve(
    option: usize,
    launch: &Said,
    template: Option<&Said>,
    account: &Said,
    is_marked: bool,
) -> (&'static str, &'static str) {
    if let Some(word) = launch[option] {
        return (word, "launch");
    }
    if let Some(word) = template.and_then(|template| template[option]) {
        return (word, "launch-template");
    }
    if let Some(word) = account[option] {
        return (word, "account");
    }
    match (is_marked, option) {
        (true, TOKENS) => ("required", "image"),
        (true, HOP_LIMIT) => ("2", "image"),
        _ => (PLATFORM[option], "platform"),
    }
}

/// The options in an answer, one row for each instance.
fn options_in(xml: &str) -> Vec<[String; 5]> {
    let named = NAMES.map(|name| {
        let element = format!("{}{}", name[..1].to_ascii_lowercase(), &name[1..]);
        elements(xml, &element)
    });
    let row = |at: usize| named.each_ref().map(|column| column[at].clone());
    (0..named[0].len()).map(row).collect()
}

fn layers_of(layers: OptionLayers) -> [&'static str; 5] {
    let OptionLayers {
        http_tokens,
        http_put_response_hop_limit,
        http_endpoint,
        http_protocol_ipv6,
        instance_metadata_tags,
    } = layers;
    let all = [
        http_tokens,
        http_put_response_hop_limit,
        http_endpoint,
        http_protocol_ipv6,
        instance_metadata_tags,
    ];
    all.map(OptionLayer::as_str)
}

type Checked = Result<(), TestCaseError>;

impl Model {
    fn new() -> Self {
        let built_in = [("ami-0abcdef1234567890", true), ("ami-0ce107ae7af2e92b5", false)];
        Self {
            images: built_in.map(|(id, is_marked)| (id.to_owned(), is_marked)).to_vec(),
            templates: Vec::new(),
            templates_made: 0,
            account: Said::default(),
            is_enforced: None,
            instances: Vec::new(),
        }
    }

    /// Does a step on both sides, and compares what comes of it.
    fn step(&mut self, site: &Site, step: &Step) -> Checked {
        match step {
            Step::Launch { image, said, template, is_by_name } => {
                let template = template.as_ref().filter(|_| !self.templates.is_empty());
                self.launch(site, *image, said, template, *is_by_name)
            }
            Step::Modify { instance, said } => self.modify(site, *instance, said),
            Step::StopAndStart { instance } => {
                if !self.instances.is_empty() {
                    let id = &instance.get(&self.instances).id;
                    for action in ["StopInstances", "StartInstances"] {
                        site.ask(&format!("Action={action}&InstanceId.1={id}")).unwrap();
                    }
                }
                Ok(())
            }
            Step::Defaults { said, enforced } => self.defaults(site, said, *enforced),
            Step::RegisterImage { is_marked } => {
                let name = format!("image-{}", self.images.len());
                let flag = if *is_marked { "&ImdsSupport=v2.0" } else { "" };
                let request = format!("Action=RegisterImage&Name={name}{flag}");
                self.images.push((site.all(&request, "imageId").remove(0), *is_marked));
                Ok(())
            }
            Step::MarkImage { image } => {
                let at = image.index(self.images.len());
                let (id, is_marked) = &mut self.images[at];
                *is_marked = true;
                let modify = format!("Action=ModifyImageAttribute&ImageId={id}");
                site.ask(&format!("{modify}&ImdsSupport.Value=v2.0")).unwrap();
                Ok(())
            }
            Step::CreateTemplate { said } => {
                self.create_template(site, said);
                Ok(())
            }
            _ if self.templates.is_empty() => Ok(()),
            Step::CreateVersion { template, source, said } => {
                self.create_version(site, *template, source.as_ref(), said)
            }
            Step::SetDefault { template, version } => self.set_default(site, *template, version),
            Step::DeleteVersion { template, version } => {
                self.delete_version(site, *template, version)
            }
            Step::DeleteTemplate { template } => {
                let gone = self.templates.remove(template.index(self.templates.len()));
                let request = format!("Action=DeleteLaunchTemplate&LaunchTemplateId={}", gone.id);
                site.ask(&request).unwrap();
                Ok(())
            }
        }
    }

    fn set_default(&mut self, site: &Site, template: Index, version: &Version) -> Checked {
        let at = template.index(self.templates.len());
        let template = &mut self.templates[at];
        template.default = template.number(version);
        let request = format!(
            "Action=ModifyLaunchTemplate&LaunchTemplateId={}&SetDefaultVersion={}",
            template.id, template.default
        );
        let shown = site.all(&request, "defaultVersionNumber");
        prop_assert_eq!(shown, [template.default.to_string()]);
        Ok(())
    }

    fn delete_version(&mut self, site: &Site, template: Index, version: &Version) -> Checked {
        let at = template.index(self.templates.len());
        let template = &mut self.templates[at];
        let number = template.number(version);
        let request = format!(
            "Action=DeleteLaunchTemplateVersions&LaunchTemplateId={}\
             &LaunchTemplateVersion.1={number}",
            template.id
        );
        let is_kept = site.ask(&request).unwrap().contains("<responseError>");
        prop_assert_eq!(is_kept, number == template.default);
        if !is_kept {
            template.versions.remove(&number);
        }
        Ok(())
    }

    fn launch(
        &mut self,
        site: &Site,
        image: Index,
        said: &Said,
        template: Option<&(Index, Version)>,
        is_by_name: bool,
    ) -> Checked {
        let (image, is_marked) = image.get(&self.images).clone();
        let options = form("MetadataOptions.", said);
        let mut request =
            format!("Action=RunInstances&MinCount=1&MaxCount=1&ImageId={image}{options}");
        let template = template.map(|(at, version)| (at.get(&self.templates), version));
        if let Some((template, version)) = template {
            let (name, text) =
                if is_by_name { ("Name", &template.name) } else { ("Id", &template.id) };
            request.extend(["&LaunchTemplate.LaunchTemplate", name, "=", text]);
            if let Some(text) = template.text(version) {
                request.extend(["&LaunchTemplate.Version=", &text]);
            }
        }
        let of_template = template.map(|(of, version)| of.versions[&of.number(version)]);
        self.launched(site, &request, said, of_template, is_marked)
    }

    /// Does a launch, and compares it with what the layers say.
    fn launched(
        &mut self,
        site: &Site,
        request: &str,
        said: &Said,
        of_template: Option<Said>,
        is_marked: bool,
    ) -> Checked {
        let resolved: [_; 5] = std::array::from_fn(|option| {
            resolve(option, said, of_template.as_ref(), &self.account, is_marked)
        });
        let is_good = is_all_good(said) && of_template.is_none_or(|said| is_all_good(&said));
        let is_refused = self.is_enforced == Some(true) && resolved[TOKENS].0 == "optional";
        if let Some(code) = refusal(is_good, is_refused) {
            let answer = site.ask(request).map_err(|fault| fault.code.into_owned());
            prop_assert_eq!(answer, Err(code.to_owned()));
            return Ok(());
        }
        let answer = site.ask(request).map_err(|fault| TestCaseError::fail(fault.to_string()))?;
        let options = resolved.map(|(word, _)| word);
        prop_assert_eq!(options_in(&answer), [options.map(str::to_owned)]);
        prop_assert!(answer.contains("<state>pending</state>"));
        let id = elements(&answer, "instanceId").remove(0);
        self.instances.push(Instance { id, options, layers: resolved.map(|(_, layer)| layer) });
        Ok(())
    }

    fn modify(&mut self, site: &Site, instance: Index, said: &Said) -> Checked {
        if self.instances.is_empty() {
            return Ok(());
        }
        let at = instance.index(self.instances.len());
        let instance = &mut self.instances[at];
        let request = format!(
            "Action=ModifyInstanceMetadataOptions&InstanceId={}{}",
            instance.id,
            form("", said)
        );
        let is_refused = self.is_enforced == Some(true) && said[TOKENS] == Some("optional");
        let answer = site.ask(&request).map_err(|fault| fault.code.into_owned());
        if let Some(code) = refusal(is_all_good(said), is_refused) {
            prop_assert_eq!(answer, Err(code.to_owned()));
            return Ok(());
        }
        for (option, word) in said.iter().enumerate() {
            if let Some(word) = word {
                instance.options[option] = word;
                instance.layers[option] = "modify";
            }
        }
        let options = instance.options.map(str::to_owned);
        prop_assert_eq!(answer.map(|answer| options_in(&answer)), Ok(vec![options]));
        Ok(())
    }

    fn defaults(&mut self, site: &Site, said: &Said, enforced: Option<&'static str>) -> Checked {
        let is_forgotten = |word: &str| ["no-preference", "-1"].contains(&word);
        let fits = |option: usize, word: &str| match option {
            HOP_LIMIT => word == "-1" || is_good(option, word),
            _ => word == "no-preference" || is_good(option, word),
        };
        let is_all_good = said
            .iter()
            .enumerate()
            .all(|(option, word)| word.is_none_or(|word| fits(option, word)));
        let mut request = format!("Action=ModifyInstanceMetadataDefaults{}", form("", said));
        request.extend(enforced.map(|word| format!("&HttpTokensEnforced={word}")));
        let answer = site.ask(&request).map_err(|fault| fault.code.into_owned());
        if !is_all_good {
            prop_assert_eq!(answer, Err("InvalidParameterValue".to_owned()));
            return Ok(());
        }
        prop_assert!(answer.is_ok(), "{answer:?}");
        for (option, word) in said.iter().enumerate() {
            if let Some(word) = word {
                self.account[option] = Some(*word).filter(|word| !is_forgotten(word));
            }
        }
        match enforced {
            None => {}
            Some("no-preference") => self.is_enforced = None,
            Some(word) => self.is_enforced = Some(word == "enabled"),
        }
        Ok(())
    }

    fn create_template(&mut self, site: &Site, said: &Said) {
        let name = format!("template-{}", self.templates_made);
        self.templates_made += 1;
        let request = format!(
            "Action=CreateLaunchTemplate&LaunchTemplateName={name}\
             &LaunchTemplateData.InstanceType=t3.nano{}",
            form("LaunchTemplateData.MetadataOptions.", said)
        );
        let id = site.all(&request, "launchTemplateId").remove(0);
        let versions = BTreeMap::from([(1, *said)]);
        self.templates.push(Template { id, name, versions, default: 1, made: 1 });
    }

    fn create_version(
        &mut self,
        site: &Site,
        template: Index,
        source: Option<&Version>,
        said: &Said,
    ) -> Checked {
        let at = template.index(self.templates.len());
        let template = &mut self.templates[at];
        let mut request = format!(
            "Action=CreateLaunchTemplateVersion&LaunchTemplateId={}\
             &LaunchTemplateData.InstanceType=t3.nano{}",
            template.id,
            form("LaunchTemplateData.MetadataOptions.", said)
        );
        let mut merged = *said;
        if let Some((source, text)) = source.zip(source.and_then(|source| template.text(source))) {
            request.extend(["&SourceVersion=", &text]);
            let before = template.versions[&template.number(source)];
            merged = std::array::from_fn(|option| said[option].or(before[option]));
        }
        let answer = site.ask(&request).unwrap();
        template.made += 1;
        prop_assert_eq!(elements(&answer, "versionNumber"), [template.made.to_string()]);
        prop_assert_eq!(answer.contains("<warning>"), !is_all_good(&merged));
        template.versions.insert(template.made, merged);
        Ok(())
    }

    /// Compares all there is.
    fn compare(&self, site: &Site) -> Checked {
        for instance in &self.instances {
            let form = format!("Action=DescribeInstances&InstanceId.1={}", instance.id);
            let shown = site.ask(&form).unwrap();
            prop_assert_eq!(options_in(&shown), [instance.options.map(str::to_owned)]);
            prop_assert!(shown.contains("<state>applied</state>"), "{}", shown);
            let layers = layers_of(site.stored(&instance.id).option_layers);
            prop_assert_eq!(layers, instance.layers);
        }
        let shown = site.ask("Action=GetInstanceMetadataDefaults").unwrap();
        prop_assert!(self.account[IPV6].is_none());
        for (name, word) in NAMES.iter().zip(self.account) {
            let element = format!("{}{}", name[..1].to_ascii_lowercase(), &name[1..]);
            let expected: Vec<_> = word.map(str::to_owned).into_iter().collect();
            prop_assert_eq!(elements(&shown, &element), expected);
        }
        for template in &self.templates {
            let form =
                format!("Action=DescribeLaunchTemplateVersions&LaunchTemplateId={}", template.id);
            let numbers: Vec<_> = template.versions.keys().map(ToString::to_string).collect();
            prop_assert_eq!(site.all(&form, "versionNumber"), numbers);
        }
        Ok(())
    }
}

/// What a request is refused with, if it is.
fn refusal(is_good: bool, is_refused: bool) -> Option<&'static str> {
    match (is_good, is_refused) {
        (false, _) => Some("InvalidParameterValue"),
        (true, true) => Some("UnsupportedOperation"),
        (true, false) => None,
    }
}

/// Lives a life in a region, and compares what there is in the end.
fn live(region: &str, steps: &[Step]) -> Checked {
    let mut site = Site::new();
    site.scope.region = region.parse().unwrap();
    let mut model = Model::new();
    for step in steps {
        model.step(&site, step)?;
    }
    model.compare(&site)
}

/// Thirty steps on average; what fails gets shorter.
fn life() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn every_option_comes_from_its_layer_beside_the_default_instance(steps in life()) {
        live("us-east-1", &steps)?;
    }

    #[test]
    fn every_option_comes_from_its_layer_in_a_region_of_its_own(steps in life()) {
        live("ap-northeast-1", &steps)?;
    }
}
