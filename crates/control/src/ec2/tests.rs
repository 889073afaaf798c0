//! What holds of every action.

mod options;

use super::ACTIONS;
use super::site::{Site, elements};

const IMAGE: &str = "ImageId=ami-0abcdef1234567890";

/// A request of each action that could be done if it were not for things that are not there.
const FORMS: [(&str, &str); 44] = [
    ("AssociateIamInstanceProfile", "InstanceId=INSTANCE&IamInstanceProfile.Name=app"),
    ("CreateImage", "InstanceId=INSTANCE&Name=mine"),
    (
        "CreateLaunchTemplate",
        "LaunchTemplateName=mine&LaunchTemplateData.ImageId=ami-0abcdef1234567890",
    ),
    (
        "CreateLaunchTemplateVersion",
        "LaunchTemplateName=mine&LaunchTemplateData.ImageId=ami-0abcdef1234567890",
    ),
    ("CreateTags", "ResourceId.1=INSTANCE&Tag.1.Key=a&Tag.1.Value=b"),
    ("DeleteKeyPair", "KeyName=mine"),
    ("DeleteLaunchTemplate", "LaunchTemplateName=mine"),
    ("DeleteLaunchTemplateVersions", "LaunchTemplateName=mine&LaunchTemplateVersion.1=1"),
    ("DeleteTags", "ResourceId.1=INSTANCE"),
    ("DeregisterImage", "ImageId=ami-0abcdef1234567890"),
    ("DescribeAvailabilityZones", ""),
    ("DescribeIamInstanceProfileAssociations", ""),
    ("DescribeImageAttribute", "ImageId=ami-0abcdef1234567890&Attribute=imdsSupport"),
    ("DescribeImages", ""),
    ("DescribeInstanceAttribute", "InstanceId=INSTANCE&Attribute=userData"),
    ("DescribeInstanceStatus", ""),
    ("DescribeInstances", ""),
    ("DescribeKeyPairs", ""),
    ("DescribeLaunchTemplateVersions", "LaunchTemplateName=mine"),
    ("DescribeLaunchTemplates", ""),
    ("DescribeNetworkInterfaces", ""),
    ("DescribeRegions", ""),
    ("DescribeSecurityGroups", ""),
    ("DescribeSubnets", ""),
    ("DescribeTags", ""),
    ("DescribeVpcs", ""),
    ("DisassociateIamInstanceProfile", "AssociationId=ASSOCIATION"),
    ("GetInstanceMetadataDefaults", ""),
    ("ImportKeyPair", "KeyName=mine&PublicKeyMaterial=c3NoLXJzYQ=="),
    ("ModifyImageAttribute", "ImageId=ami-0ce107ae7af2e92b5&ImdsSupport.Value=v2.0"),
    ("ModifyInstanceAttribute", "InstanceId=INSTANCE&DisableApiTermination.Value=true"),
    ("ModifyInstanceMetadataDefaults", "HttpTokens=required"),
    ("ModifyInstanceMetadataOptions", "InstanceId=INSTANCE&HttpTokens=required"),
    ("ModifyLaunchTemplate", "LaunchTemplateName=mine&SetDefaultVersion=1"),
    ("MonitorInstances", "InstanceId.1=INSTANCE"),
    ("RebootInstances", "InstanceId.1=INSTANCE"),
    ("RegisterImage", "Name=mine&RootDeviceName=/dev/xvda"),
    (
        "ReplaceIamInstanceProfileAssociation",
        "AssociationId=ASSOCIATION&IamInstanceProfile.Name=app",
    ),
    ("ResetInstanceAttribute", "InstanceId=INSTANCE&Attribute=sourceDestCheck"),
    ("RunInstances", "ImageId=ami-0abcdef1234567890&MinCount=1&MaxCount=1"),
    ("StartInstances", "InstanceId.1=INSTANCE"),
    ("StopInstances", "InstanceId.1=INSTANCE"),
    ("TerminateInstances", "InstanceId.1=INSTANCE"),
    ("UnmonitorInstances", "InstanceId.1=INSTANCE"),
];

/// C14: a dry run of any action says that it would be done, and does nothing.
#[test]
fn dry_runs_change_nothing() {
    let site = Site::new();
    let instance = site.launch(IMAGE);
    let association =
        site.all("Action=DescribeIamInstanceProfileAssociations", "associationId").remove(0);
    let before = site.store.current().generation();
    for action in ACTIONS {
        let form = FORMS.iter().find(|(name, _)| name == action);
        let (_, form) = form.unwrap_or_else(|| panic!("{action} has no form here: write one"));
        let form = form.replace("INSTANCE", &instance).replace("ASSOCIATION", &association);
        let fault = site.ask(&format!("Action={action}&DryRun=true&{form}")).unwrap_err();
        assert_eq!((&*fault.code, fault.status), ("DryRunOperation", 412), "{action}");
        assert_eq!(fault.message, "Request would have succeeded, but DryRun flag is set.");
        assert_eq!(site.store.current().generation(), before, "{action}");
        // The form has what the action needs.
        if let Err(fault) = Site::new().ask(&format!("Action={action}&DryRun=false&{form}")) {
            let is_of_the_form = ["DryRunOperation", "MissingParameter", "UnknownParameter"];
            assert!(!is_of_the_form.contains(&&*fault.code), "{action}: {fault}");
        }
    }
}

/// The form is looked at before a dry run is answered, and what it asks for is not (control plane,
/// 1.9).
#[test]
fn what_no_action_has_is_refused_also_in_a_dry_run() {
    let site = Site::new();
    for action in ACTIONS {
        let refusal = site.refusal(&format!("Action={action}&DryRun=true&Nonsense=x"));
        let expected =
            ("UnknownParameter".to_owned(), "The parameter Nonsense is not recognized".to_owned());
        assert_eq!(refusal, expected, "{action}");
    }
    let missing = "Action=StopInstances&DryRun=true&InstanceId.1=i-0bad0bad0bad0bad0";
    assert_eq!(site.refusal(missing).0, "DryRunOperation");
}

/// What is required is looked for before a dry run is answered.
#[test]
fn what_an_action_requires_is_required_also_in_a_dry_run() {
    let site = Site::new();
    for (form, missing) in [
        ("Action=CreateImage&Name=abc", "InstanceId"),
        ("Action=CreateLaunchTemplate&LaunchTemplateName=abc", "LaunchTemplateData"),
        ("Action=CreateLaunchTemplateVersion&LaunchTemplateName=abc", "LaunchTemplateData"),
        ("Action=CreateTags&ResourceId.1=vol-00000001", "Tag"),
        ("Action=DeleteLaunchTemplateVersions", "LaunchTemplateVersion"),
        ("Action=DeleteTags", "ResourceId"),
        ("Action=DeregisterImage", "ImageId"),
        ("Action=DescribeImageAttribute&Attribute=imdsSupport", "ImageId"),
        ("Action=ModifyImageAttribute&ImdsSupport.Value=v2.0", "ImageId"),
        ("Action=ModifyInstanceMetadataOptions", "InstanceId"),
        ("Action=MonitorInstances", "InstanceId"),
        ("Action=RegisterImage", "Name"),
        ("Action=RunInstances&ImageId=ami-0abcdef1234567890&MinCount=1", "MaxCount"),
        ("Action=RunInstances&MinCount=1&MaxCount=1", "ImageId"),
        ("Action=StopInstances", "InstanceId"),
        ("Action=TerminateInstances", "InstanceId"),
    ] {
        let text = format!("The request must contain the parameter {missing}");
        for dry_run in ["", "&DryRun=true"] {
            let refusal = site.refusal(&format!("{form}{dry_run}"));
            assert_eq!(refusal, ("MissingParameter".to_owned(), text.clone()), "{form}{dry_run}");
        }
    }
}

/// A disk that takes nothing.
struct Full;

impl store::Backend for Full {
    fn load(
        &self,
        _: &mut dyn FnMut(Vec<store::Record>),
    ) -> Result<model::Generation, store::BackendFault> {
        Ok(model::Generation::default())
    }

    fn commit(
        &self,
        _: model::Generation,
        _: model::Generation,
        _: &mut dyn Iterator<Item = store::Write>,
    ) -> Result<(), store::BackendFault> {
        let (path, reason) = ("/state".to_owned(), "No space left on device".to_owned());
        Err(store::BackendFault::Unusable { path, reason })
    }
}

#[test]
fn why_a_change_is_not_stored_is_told_to_the_operator_alone() {
    let mut site = Site::new();
    site.store = store::Store::open(Box::new(Full)).unwrap();
    let refusal = site.refusal("Action=ModifyInstanceMetadataDefaults&HttpTokens=required");
    let expected = ("InternalError".to_owned(), "An internal error has occurred.".to_owned());
    assert_eq!(refusal, expected);
    let told = site.told.borrow();
    assert!(told.len() == 1 && told[0].contains("No space left on device"), "{told:?}");
}

/// The rows of control plane, 1.5, about the instances of a request.
#[test]
fn instances_that_are_not_there_are_told_in_the_words_of_ec2() {
    let site = Site::new();
    for (ids, code, message) in [
        (
            "InstanceId.1=i-0bad0bad0bad0bad0",
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-0bad0bad0bad0bad0' does not exist",
        ),
        (
            "InstanceId.1=i-0bad0bad0bad0bad0&InstanceId.2=i-0bad0bad",
            "InvalidInstanceID.NotFound",
            "The instance IDs 'i-0bad0bad0bad0bad0, i-0bad0bad' do not exist",
        ),
        ("InstanceId.1=junk", "InvalidInstanceID.Malformed", "Invalid id: \"junk\""),
        ("InstanceId.1=i-2z", "InvalidInstanceID.Malformed", "Invalid id: \"i-2z\""),
        (
            "InstanceId.1=i-0bad",
            "InvalidInstanceID.Malformed",
            "The instance ID 'i-0bad' is malformed",
        ),
    ] {
        let expected = (code.to_owned(), message.to_owned());
        for action in ["DescribeInstances", "DescribeInstanceStatus", "MonitorInstances"] {
            assert_eq!(site.refusal(&format!("Action={action}&{ids}")), expected, "{action}");
        }
    }
    for (form, message) in [
        ("StopInstances", "The request must contain the parameter InstanceId"),
        ("ModifyInstanceMetadataOptions", "The request must contain the parameter InstanceId"),
        ("RunInstances&MinCount=1&MaxCount=1", "The request must contain the parameter ImageId"),
    ] {
        let expected = ("MissingParameter".to_owned(), message.to_owned());
        assert_eq!(site.refusal(&format!("Action={form}")), expected);
    }
}

/// C5: parameters come in any order, and lists may have gaps.
#[test]
fn order_and_gaps_do_not_matter() {
    let site = Site::new();
    let (one, other) = (site.launch(IMAGE), site.launch(IMAGE));
    for form in [
        format!("Action=DescribeInstances&InstanceId.1={one}&InstanceId.2={other}"),
        format!(
            "InstanceId.3={other}&InstanceId.1={one}&Version=2016-11-15&Action=DescribeInstances"
        ),
        format!("InstanceId.7={one}&Action=DescribeInstances&InstanceId.30={other}"),
        format!(
            "Filter.2.Value.9={one}&Filter.2.Value.4={other}&Action=DescribeInstances\
             &Filter.2.Name=instance-id"
        ),
    ] {
        assert_eq!(site.all(&form, "instanceId"), [&*one, &*other], "{form}");
    }
}

/// C22: pages have every instance once.
#[test]
fn pages_have_every_instance_once() {
    let site = Site::new();
    let mut launched: Vec<_> = (0..3).map(|_| site.launch(IMAGE)).collect();
    let nine = format!("Action=RunInstances&{IMAGE}&MinCount=9&MaxCount=9");
    launched.extend(site.all(&nine, "instanceId"));
    site.ask(&format!("Action=TerminateInstances&InstanceId.1={}", launched[0])).unwrap();
    let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = site.ask(&format!("Action=DescribeInstances&MaxResults=5{token}")).unwrap();
        let ids = elements(&page, "instanceId");
        assert!((1..=5).contains(&ids.len()), "{}", ids.len());
        pages += 1;
        seen.extend(ids);
        match elements(&page, "nextToken").first() {
            Some(next) => token = format!("&NextToken={next}"),
            None => break,
        }
    }
    launched.push(site.all("Action=DescribeInstances", "instanceId").pop().unwrap());
    launched.sort_unstable();
    seen.sort_unstable();
    assert_eq!(pages, 3);
    assert_eq!(seen, launched);
    let named = format!("Action=DescribeInstances&MaxResults=5&InstanceId.1={}", launched[1]);
    assert_eq!(site.refusal(&named).0, "InvalidParameterCombination");
    assert_eq!(site.refusal("Action=DescribeInstances&MaxResults=4").0, "InvalidMaxResults");
}

/// C21: a client token is one launch.
#[test]
fn a_client_token_is_one_launch() {
    let site = Site::new();
    let form = |more: &str| {
        format!("Action=RunInstances&{IMAGE}&MinCount=1&MaxCount=2&ClientToken=once{more}")
    };
    let first = site.all(&form(""), "instanceId");
    assert_eq!(site.all(&form("&DryRun=false"), "instanceId"), first);
    assert_eq!(site.all("Action=DescribeInstances", "instanceId").len(), 3);
    let refusal = site.refusal(&form("&KeyName=other"));
    assert_eq!(refusal.0, "IdempotentParameterMismatch");
    for token in ["t".repeat(65), "%C3%A9".to_owned()] {
        let form = format!("Action=RunInstances&{IMAGE}&MinCount=1&MaxCount=1&ClientToken={token}");
        assert_eq!(site.refusal(&form).0, "InvalidParameterValue");
    }
    assert_eq!(site.all("Action=DescribeInstances", "instanceId").len(), 3);
}

#[test]
fn the_readme_names_every_action() {
    let readme = include_str!("../../../../README.md");
    let missing: Vec<_> =
        ACTIONS.iter().filter(|action| !readme.contains(&format!("`{action}`"))).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}
