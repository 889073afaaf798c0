use model::Timestamp;

use crate::ec2::site::{NOW, Site, elements};

const CREATE: &str = "Action=CreateLaunchTemplate";
const VERSION: &str = "Action=CreateLaunchTemplateVersion";
const VERSIONS: &str = "Action=DescribeLaunchTemplateVersions";

/// The recorded request of control plane, 8.1.
const RECORDED: &str = "Action=CreateLaunchTemplate&LaunchTemplateName=imdsv2&VersionDescription=v1\
     &LaunchTemplateData.ImageId=ami-0abcdef1234567890&LaunchTemplateData.InstanceType=t3.micro\
     &LaunchTemplateData.MetadataOptions.HttpTokens=required\
     &LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit=2\
     &LaunchTemplateData.MetadataOptions.HttpEndpoint=enabled\
     &LaunchTemplateData.TagSpecification.1.ResourceType=instance\
     &LaunchTemplateData.TagSpecification.1.Tag.1.Key=a\
     &LaunchTemplateData.TagSpecification.1.Tag.1.Value=b&ClientToken=one";

/// Creates a template of one parameter, and returns its id.
fn create(site: &Site, name: &str) -> String {
    let form = format!("{CREATE}&LaunchTemplateName={name}&LaunchTemplateData.ImageId=ami-00000001");
    site.all(&form, "launchTemplateId").remove(0)
}

#[test]
fn the_recorded_requests_work() {
    let site = Site::new();
    let created = site.ask(RECORDED).unwrap();
    let id = elements(&created, "launchTemplateId").remove(0);
    assert!(id.starts_with("lt-") && id.len() == 20, "{id}");
    let start = format!(
        "<launchTemplateId>{id}</launchTemplateId><launchTemplateName>imdsv2</launchTemplateName>\
         <createTime>2026-09-21T14:13:20.000Z</createTime>\
         <createdBy>arn:aws:iam::{}:user/admin</createdBy>",
        site.scope.account_id
    );
    let numbers = |default: u32, latest: u32| {
        format!(
            "{start}<defaultVersionNumber>{default}</defaultVersionNumber>\
             <latestVersionNumber>{latest}</latestVersionNumber>"
        )
    };
    assert_eq!(elements(&created, "launchTemplate"), [numbers(1, 1)]);
    assert!(!created.contains("warning"));

    let second = site
        .ask(&format!(
            "{VERSION}&LaunchTemplateId={id}&SourceVersion=1\
             &LaunchTemplateData.MetadataOptions.HttpTokens=optional&ClientToken=two"
        ))
        .unwrap();
    assert_eq!(elements(&second, "versionNumber"), ["2"]);
    assert_eq!(elements(&second, "defaultVersion"), ["false"]);
    assert_eq!(
        elements(&second, "launchTemplateData"),
        ["<imageId>ami-0abcdef1234567890</imageId><instanceType>t3.micro</instanceType>\
          <metadataOptions><httpEndpoint>enabled</httpEndpoint><httpPutResponseHopLimit>2\
          </httpPutResponseHopLimit><httpTokens>optional</httpTokens></metadataOptions>\
          <tagSpecificationSet><item><resourceType>instance</resourceType><tagSet><item><key>a\
          </key><value>b</value></item></tagSet></item></tagSpecificationSet>"]
    );
    let modified = site
        .ask(
            "Action=ModifyLaunchTemplate&LaunchTemplateName=imdsv2&SetDefaultVersion=2\
             &ClientToken=three",
        )
        .unwrap();
    assert_eq!(elements(&modified, "launchTemplate"), [numbers(2, 2)]);
    let described = "Action=DescribeLaunchTemplates&LaunchTemplateName.1=imdsv2";
    assert_eq!(site.all(described, "item"), [numbers(2, 2)]);
    let versions = format!(
        "{VERSIONS}&LaunchTemplateName=imdsv2&LaunchTemplateVersion.1=%24Latest\
         &LaunchTemplateVersion.2=%24Default"
    );
    assert_eq!(site.all(&versions, "versionNumber"), ["2"], "each once");
    assert_eq!(site.all(&versions, "defaultVersion"), ["true"]);
    let deleted = site.ask("Action=DeleteLaunchTemplate&LaunchTemplateName=imdsv2").unwrap();
    assert_eq!(elements(&deleted, "launchTemplate"), [numbers(2, 2)]);
    assert_eq!(
        site.refusal(described),
        (
            "InvalidLaunchTemplateName.NotFoundException".to_owned(),
            "The launch template with name 'imdsv2' does not exist".to_owned()
        )
    );
    let snapshot = site.store.snapshot();
    assert_eq!(snapshot.launch_template_versions(&site.scope).count(), 0);
}

#[test]
fn a_client_token_makes_one_template_and_one_version() {
    let site = Site::new();
    let id = site.all(RECORDED, "launchTemplateId").remove(0);
    assert_eq!(site.all(RECORDED, "launchTemplateId"), std::slice::from_ref(&id));
    let other = RECORDED.replace("=v1", "=v2");
    assert_eq!(site.refusal(&other).0, "IdempotentParameterMismatch");
    let add = format!("{VERSION}&LaunchTemplateId={id}&LaunchTemplateData.KeyName=k&ClientToken=t");
    assert_eq!(site.all(&add, "versionNumber"), ["2"]);
    assert_eq!(site.all(&add, "versionNumber"), ["2"]);
    assert_eq!(site.all(&add.replace("=k&", "=l&").replace("=t", "=u"), "versionNumber"), ["3"]);
    assert_eq!(site.refusal(&add.replace("=k", "=l")).0, "IdempotentParameterMismatch");
    let set = format!("Action=ModifyLaunchTemplate&LaunchTemplateId={id}&ClientToken=t");
    site.ask(&format!("{set}&SetDefaultVersion=2")).unwrap();
    site.ask(&format!("{set}&SetDefaultVersion=2")).unwrap();
    let refusal = site.refusal(&format!("{set}&SetDefaultVersion=3"));
    assert_eq!(refusal.0, "IdempotentParameterMismatch");
    let long = format!("{RECORDED}{}", "x".repeat(64));
    assert_eq!(site.refusal(&long).0, "InvalidParameterValue");
}

const DATA: &str = "LaunchTemplateData.KeyName=k";
const OTHER: &str = "lt-00000000000000001";

/// Asks for what is refused, and leaves the one template as it is.
fn refuse(site: &Site, rows: &[(String, &str)]) {
    for (form, code) in rows {
        assert_eq!(site.refusal(form).0, *code, "{form}");
    }
    let snapshot = site.store.snapshot();
    assert_eq!(snapshot.launch_template_versions(&site.scope).count(), 1);
}

#[test]
fn creation_is_refused_with_the_codes_of_launch_templates() {
    let site = Site::new();
    create(&site, "first");
    let data = DATA;
    let rows = [
        (format!("{CREATE}&{data}"), "MissingParameter"),
        (format!("{CREATE}&LaunchTemplateName=empty"), "MissingParameter"),
        (
            format!("{CREATE}&LaunchTemplateName=first&{data}"),
            "InvalidLaunchTemplateName.AlreadyExistsException",
        ),
        (
            format!("{CREATE}&LaunchTemplateName=ab&{data}"),
            "InvalidLaunchTemplateName.MalformedException",
        ),
        (
            format!("{CREATE}&LaunchTemplateName=a%20b&{data}"),
            "InvalidLaunchTemplateName.MalformedException",
        ),
        (
            format!("{CREATE}&LaunchTemplateName=new&LaunchTemplateData.Nonsense=1"),
            "UnknownParameter",
        ),
        (
            format!("{CREATE}&LaunchTemplateName=new&LaunchTemplateData.MetadataOptions.X=1"),
            "UnknownParameter",
        ),
        (
            format!("{CREATE}&LaunchTemplateName=new&LaunchTemplateData.MinCount=1"),
            "UnknownParameter",
        ),
        (
            format!("{CREATE}&LaunchTemplateName=new&LaunchTemplateData.SubnetId=subnet-00000001"),
            "UnknownParameter",
        ),
        (
            format!(
                "{CREATE}&LaunchTemplateName=new&{data}&TagSpecification.1.ResourceType=instance\
                 &TagSpecification.1.Tag.1.Key=a"
            ),
            "InvalidParameterValue",
        ),
        (
            format!(
                "{CREATE}&LaunchTemplateName=new&{data}\
                 &TagSpecification.1.ResourceType=launch-template&TagSpecification.1.Tag.1.Key=aws:x"
            ),
            "InvalidParameterValue",
        ),
        (
            format!("{CREATE}&LaunchTemplateName=new&{data}&VersionDescription={}", "x".repeat(256)),
            "InvalidParameterValue",
        ),
        (format!("{CREATE}&LaunchTemplateName=dry&{data}&DryRun=true"), "DryRunOperation"),
    ];
    refuse(&site, &rows);
}

#[test]
fn new_versions_are_refused_with_the_codes_of_launch_templates() {
    let site = Site::new();
    let (id, data, other) = (create(&site, "first"), DATA, OTHER);
    let rows = [
        (format!("{VERSION}&{data}"), "MissingParameter"),
        (format!("{VERSION}&LaunchTemplateId={id}"), "MissingParameter"),
        (
            format!("{VERSION}&LaunchTemplateId={id}&LaunchTemplateName=first&{data}"),
            "InvalidParameterCombination",
        ),
        (
            format!("{VERSION}&LaunchTemplateId={id}&SourceVersion=2&{data}"),
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        (
            format!("{VERSION}&LaunchTemplateId=lt-1&{data}"),
            "InvalidLaunchTemplateId.Malformed",
        ),
        (
            format!("{VERSION}&LaunchTemplateId={other}&{data}"),
            "InvalidLaunchTemplateId.NotFound",
        ),
        (
            format!("{VERSION}&LaunchTemplateName=second&{data}"),
            "InvalidLaunchTemplateName.NotFoundException",
        ),
    ];
    refuse(&site, &rows);
}

#[test]
fn other_requests_are_refused_with_the_codes_of_launch_templates() {
    let site = Site::new();
    let (id, other) = (create(&site, "first"), OTHER);
    let rows = [
        (
            format!("Action=ModifyLaunchTemplate&LaunchTemplateId={id}&SetDefaultVersion=2"),
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        (format!("Action=ModifyLaunchTemplate&LaunchTemplateId={id}"), "MissingParameter"),
        (
            format!("Action=DeleteLaunchTemplate&LaunchTemplateId={other}"),
            "InvalidLaunchTemplateId.NotFound",
        ),
        ("Action=DescribeLaunchTemplates&MaxResults=201".to_owned(), "InvalidMaxResults"),
        ("Action=DescribeLaunchTemplates&NextToken=x".to_owned(), "InvalidNextToken"),
        (
            format!("Action=DescribeLaunchTemplates&LaunchTemplateId.1={other}"),
            "InvalidLaunchTemplateId.NotFound",
        ),
        (VERSIONS.to_owned(), "MissingParameter"),
        (format!("{VERSIONS}&LaunchTemplateVersion.1=1"), "MissingParameter"),
        (format!("{VERSIONS}&LaunchTemplateId={id}&MaxResults=0"), "InvalidMaxResults"),
        (
            format!("{VERSIONS}&LaunchTemplateId={id}&LaunchTemplateVersion.1=9"),
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        (
            format!("{VERSIONS}&LaunchTemplateId={id}&LaunchTemplateVersion.1=1&MinVersion=1"),
            "InvalidParameterCombination",
        ),
        (format!("{VERSIONS}&LaunchTemplateId={id}&MinVersion=x"), "InvalidParameterValue"),
        (
            format!(
                "{VERSIONS}&LaunchTemplateId={id}&Filter.1.Name=metadata-options.http-tokens\
                 &Filter.1.Value.1=required"
            ),
            "InvalidParameterValue",
        ),
        (
            format!("Action=DeleteLaunchTemplateVersions&LaunchTemplateId={id}"),
            "MissingParameter",
        ),
    ];
    refuse(&site, &rows);
}

/// What a launch will refuse is kept with a warning (control plane, 4.8).
#[test]
fn bad_metadata_options_are_kept_with_a_warning() {
    let site = Site::new();
    let created = site
        .ask(&format!(
            "{CREATE}&LaunchTemplateName=bad&LaunchTemplateData.MetadataOptions.HttpTokens=bogus"
        ))
        .unwrap();
    let message = "A value of 'bogus' is not valid for HttpTokens. Specify either 'optional' or \
                   'required' and try again.";
    let warning = format!(
        "<errorSet><item><code>InvalidParameterValue</code><message>{message}</message></item>\
         </errorSet>"
    );
    assert_eq!(elements(&created, "warning"), [warning]);
    let launch = "Action=RunInstances&MinCount=1&MaxCount=1&ImageId=ami-0abcdef1234567890\
                  &LaunchTemplate.LaunchTemplateName=bad";
    let refused = ("InvalidParameterValue".to_owned(), message.to_owned());
    assert_eq!(site.refusal(launch), refused);
    let good = format!(
        "{VERSION}&LaunchTemplateName=bad&SourceVersion=1\
         &LaunchTemplateData.MetadataOptions.HttpTokens=required"
    );
    assert!(!site.ask(&good).unwrap().contains("warning"));
    let worse = good.replace("HttpTokens=required", "HttpPutResponseHopLimit=65");
    assert!(site.ask(&worse).unwrap().contains("<warning>"));
}

#[test]
fn versions_are_described_by_number_range_filter_and_page() {
    let site = Site::new();
    let id = create(&site, "first");
    let other = create(&site, "other");
    for tokens in ["required", "optional", "required"] {
        site.now.set(Timestamp::from_seconds(NOW.as_seconds() + 60));
        site.ask(&format!(
            "{VERSION}&LaunchTemplateId={id}&LaunchTemplateData.MetadataOptions.HttpTokens={tokens}\
             &LaunchTemplateData.MetadataOptions.HttpEndpoint=enabled\
             &LaunchTemplateData.IamInstanceProfile.Name=app&LaunchTemplateData.InstanceType=t3.nano"
        ))
        .unwrap();
    }
    site.ask(&format!("Action=ModifyLaunchTemplate&LaunchTemplateId={id}&SetDefaultVersion=3"))
        .unwrap();
    let numbers = |more: &str| {
        site.all(&format!("{VERSIONS}&LaunchTemplateId={id}{more}"), "versionNumber").join(" ")
    };
    assert_eq!(numbers(""), "1 2 3 4");
    assert_eq!(numbers("&MinVersion=2"), "2 3 4");
    assert_eq!(numbers("&MaxVersion=2"), "1 2");
    assert_eq!(numbers("&MinVersion=2&MaxVersion=3"), "2 3");
    assert_eq!(numbers("&LaunchTemplateVersion.1=4&LaunchTemplateVersion.3=1"), "1 4");
    assert_eq!(numbers("&LaunchTemplateVersion.1=%24Default"), "3");
    for (name, value, expected) in [
        ("http-tokens", "required", "2 4"),
        ("http-endpoint", "enabled", "2 3 4"),
        ("http-protocol-ipv4", "enabled", "2 3 4"),
        ("is-default-version", "true", "3"),
        ("is-default-version", "false", "1 2 4"),
        ("image-id", "ami-*", "1"),
        ("instance-type", "t3.nan?", "2 3 4"),
        ("iam-instance-profile", "app", "2 3 4"),
        ("create-time", "2026-09-21T14:14:*", "2 3 4"),
        ("kernel-id", "*", ""),
    ] {
        let filter = format!("&Filter.1.Name={name}&Filter.1.Value.1={value}");
        assert_eq!(numbers(&filter), expected, "{name} = {value}");
    }
    let all = format!("{VERSIONS}&LaunchTemplateVersion.1=%24Latest");
    assert_eq!(site.all(&all, "launchTemplateId"), [id.clone(), other.clone()]);
    assert_eq!(site.all(&all, "versionNumber"), ["4", "1"]);
    let both = format!("{all}&LaunchTemplateVersion.2=%24Default");
    assert_eq!(site.all(&both, "versionNumber"), ["3", "4", "1"]);

    let mut walked = Vec::new();
    let mut page = format!("{VERSIONS}&LaunchTemplateId={id}&MaxResults=1");
    loop {
        let answer = site.ask(&page).unwrap();
        walked.extend(elements(&answer, "versionNumber"));
        let Some(token) = elements(&answer, "nextToken").pop() else { break };
        page = format!("{VERSIONS}&LaunchTemplateId={id}&MaxResults=1&NextToken={token}");
    }
    assert_eq!(walked, ["1", "2", "3", "4"]);
}

#[test]
fn templates_are_described_by_tag_name_time_and_page() {
    let site = Site::new();
    for number in 0..3 {
        site.ask(&format!(
            "{CREATE}&LaunchTemplateName=web-{number}&LaunchTemplateData.KeyName=k\
             &TagSpecification.1.ResourceType=launch-template&TagSpecification.1.Tag.1.Key=n\
             &TagSpecification.1.Tag.1.Value={number}"
        ))
        .unwrap();
    }
    let names = |more: &str| {
        let form = format!("Action=DescribeLaunchTemplates{more}");
        site.all(&form, "launchTemplateName").join(" ")
    };
    assert_eq!(names(""), "web-0 web-1 web-2");
    assert_eq!(names("&Filter.1.Name=tag%3An&Filter.1.Value.1=1"), "web-1");
    assert_eq!(names("&Filter.1.Name=tag-key&Filter.1.Value.1=m"), "");
    assert_eq!(names("&Filter.1.Name=launch-template-name&Filter.1.Value.1=*-2"), "web-2");
    assert_eq!(names("&Filter.1.Name=create-time&Filter.1.Value.1=2026-*"), "web-0 web-1 web-2");
    assert_eq!(names("&LaunchTemplateName.1=web-2&LaunchTemplateName.2=web-0"), "web-0 web-2");
    let tags = site.all("Action=DescribeLaunchTemplates&LaunchTemplateName.1=web-1", "tagSet");
    assert_eq!(tags, ["<item><key>n</key><value>1</value></item>"]);
    let first = site.ask("Action=DescribeLaunchTemplates&MaxResults=2").unwrap();
    let token = elements(&first, "nextToken").remove(0);
    assert_eq!(names(&format!("&MaxResults=2&NextToken={token}")), "web-2");
    site.ask("Action=DeleteLaunchTemplate&LaunchTemplateName=web-1").unwrap();
    assert_eq!(site.store.snapshot().all_resource_tags(&site.scope).count(), 2);
    assert_eq!(names(""), "web-0 web-2");
    let mut elsewhere = Site::new();
    create(&elsewhere, "here");
    elsewhere.scope.region = "eu-west-1".parse().unwrap();
    assert!(!elsewhere.ask("Action=DescribeLaunchTemplates").unwrap().contains("here"));
}

#[test]
fn the_default_version_stays_and_numbers_never_come_again() {
    let site = Site::new();
    let id = create(&site, "first");
    let add = format!("{VERSION}&LaunchTemplateId={id}&LaunchTemplateData.KeyName=k");
    site.ask(&add).unwrap();
    site.ask(&add).unwrap();
    let deleted = site
        .ask(&format!(
            "Action=DeleteLaunchTemplateVersions&LaunchTemplateId={id}&LaunchTemplateVersion.1=1\
             &LaunchTemplateVersion.2=3&LaunchTemplateVersion.3=3&LaunchTemplateVersion.4=7"
        ))
        .unwrap();
    let done = elements(&deleted, "successfullyDeletedLaunchTemplateVersionSet").remove(0);
    assert_eq!(elements(&done, "versionNumber"), ["3"]);
    let kept = elements(&deleted, "unsuccessfullyDeletedLaunchTemplateVersionSet").remove(0);
    assert_eq!(elements(&kept, "versionNumber"), ["1", "7"]);
    assert_eq!(elements(&kept, "code"), ["unexpectedError", "launchTemplateVersionDoesNotExist"]);
    let described = site.ask("Action=DescribeLaunchTemplates").unwrap();
    assert_eq!(elements(&described, "latestVersionNumber"), ["2"]);
    let latest = format!("{VERSIONS}&LaunchTemplateId={id}&LaunchTemplateVersion.1=%24Latest");
    assert_eq!(site.all(&latest, "versionNumber"), ["2"]);
    assert_eq!(site.all(&add, "versionNumber"), ["4"]);
}

#[test]
fn a_version_holds_only_so_much() {
    let site = Site::new();
    let form = |bytes: usize| {
        let data = "A".repeat(bytes);
        format!("{CREATE}&LaunchTemplateName=n{bytes}&LaunchTemplateData.UserData={data}")
    };
    assert_eq!(site.refusal(&form(48 * 1024)).0, "InvalidParameterValue");
    // 16 KiB in base64.
    site.ask(&form(21_848)).unwrap();
}
