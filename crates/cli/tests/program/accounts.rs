//! Accounts and regions keep apart: what is in one is neither seen nor changed from another.

use crate::management::{Operator, launch_form};
use crate::running::{Home, Running};

const USERS: &str = r#"
[[user]]
name = "ann"
account_id = "111111111111"
policies = ["AdministratorAccess"]
access_keys = [{ access_key_id = "AKIAAAAAAAAAAAAAAAAA", secret_access_key = "annsecret" }]

[[user]]
name = "ben"
account_id = "222222222222"
policies = ["AdministratorAccess"]
access_keys = [{ access_key_id = "AKIABBBBBBBBBBBBBBBB", secret_access_key = "bensecret" }]
"#;

/// Two users of two accounts, the first of them in two regions, and what one of them has.
struct Kept {
    server: Running,
    owner: Operator,
    strangers: [Operator; 3],
    id: String,
    _home: Home,
}

impl Kept {
    fn new() -> Self {
        let home = Home::new();
        let server = home.start_with(USERS);
        let owner = Operator::with_key("AKIAAAAAAAAAAAAAAAAA", "annsecret");
        let other = Operator::with_key("AKIABBBBBBBBBBBBBBBB", "bensecret");
        let elsewhere = owner.in_region("eu-west-1");
        // Not even whoever the server belongs to sees into an account that is not theirs.
        let strangers = [other, elsewhere, Operator::administrator(&home)];
        let tag = "&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=Name\
                   &TagSpecification.1.Tag.1.Value=web";
        let id = owner.launch(&server, tag);
        Self { server, owner, strangers, id, _home: home }
    }

    /// What its owner sees of the instance, but for what each answer has of its own.
    fn shown(&self) -> String {
        let form = format!("Action=DescribeInstances&InstanceId.1={}", self.id);
        let told = self.owner.ask(&self.server, &form);
        let (_, shown) = told.text().split_once("</requestId>").unwrap();
        shown.to_owned()
    }
}

#[test]
fn an_instance_is_seen_from_its_account_and_region_only() {
    let kept = Kept::new();
    let Kept { server, owner, strangers, id, .. } = &kept;
    let all = "Action=DescribeInstances";
    let own = owner.ask(server, all);
    assert_eq!(own.one("instanceId"), *id);
    assert!(own.all("ownerId").iter().all(|owner| owner == "111111111111"), "{}", own.text());
    for stranger in strangers {
        let filtered = format!("{all}&Filter.1.Name=instance-id&Filter.1.Value.1={id}");
        let tagged = format!("{all}&Filter.1.Name=tag:Name&Filter.1.Value.1=web");
        for form in [all, &filtered, &tagged, "Action=DescribeTags"] {
            assert!(!stranger.ask(server, form).text().contains(id.as_str()), "{form}");
        }
        let named = format!("{all}&InstanceId.1={id}");
        assert_eq!(stranger.refusal(server, &named), "InvalidInstanceID.NotFound");
    }
}

#[test]
fn an_instance_is_changed_from_its_account_and_region_only() {
    let kept = Kept::new();
    let Kept { server, owner, strangers, id, .. } = &kept;
    let before = kept.shown();
    for stranger in strangers {
        for form in [
            "ModifyInstanceMetadataOptions&InstanceId=ID&HttpTokens=optional",
            "StopInstances&InstanceId.1=ID",
            "StartInstances&InstanceId.1=ID",
            "RebootInstances&InstanceId.1=ID",
            "TerminateInstances&InstanceId.1=ID",
            "CreateTags&ResourceId.1=ID&Tag.1.Key=Name&Tag.1.Value=mine",
            "DeleteTags&ResourceId.1=ID&Tag.1.Key=Name",
        ] {
            let form = format!("Action={}", form.replace("ID", id));
            assert_eq!(stranger.refusal(server, &form), "InvalidInstanceID.NotFound", "{form}");
        }
    }
    assert_eq!(kept.shown(), before);
    owner.ask(server, &format!("Action=TerminateInstances&InstanceId.1={id}"));
    // Nor is it told that there was one.
    for stranger in strangers {
        let form = format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}");
        assert_eq!(stranger.refusal(server, &form), "InvalidInstanceID.NotFound");
        assert!(!stranger.ask(server, "Action=DescribeInstances").text().contains(id.as_str()));
    }
}

#[test]
fn a_client_token_is_one_of_its_account_and_region() {
    let kept = Kept::new();
    let Kept { server, owner, strangers, .. } = &kept;
    let form = launch_form("&ClientToken=one");
    let own = owner.ask(server, &form).one("instanceId");
    assert_eq!(owner.ask(server, &form).one("instanceId"), own);
    for stranger in strangers {
        let other = stranger.ask(server, &form).one("instanceId");
        assert_ne!(other, own);
        assert_eq!(stranger.ask(server, &form).one("instanceId"), other);
    }
}

#[test]
fn account_defaults_hold_in_their_account_and_region() {
    let kept = Kept::new();
    let Kept { server, owner, strangers, id, .. } = &kept;
    let before = kept.shown();
    let modify = "Action=ModifyInstanceMetadataDefaults&HttpTokens=optional\
                  &HttpPutResponseHopLimit=7&HttpTokensEnforced=disabled";
    owner.ask(server, modify);
    let launched = owner.ask(server, &launch_form(""));
    assert_eq!(launched.one("httpPutResponseHopLimit"), "7");
    assert_eq!(kept.shown(), before, "what was there has the options it had: {id}");
    for stranger in strangers {
        let told = stranger.ask(server, "Action=GetInstanceMetadataDefaults");
        assert_eq!(told.all("httpTokens"), [""; 0], "{}", told.text());
        let launched = stranger.ask(server, &launch_form(""));
        assert_ne!(launched.one("httpPutResponseHopLimit"), "7");
    }
}

#[test]
fn a_launch_template_is_one_of_its_account_and_region() {
    let kept = Kept::new();
    let Kept { server, owner, strangers, .. } = &kept;
    let create = "Action=CreateLaunchTemplate&LaunchTemplateName=web\
                  &LaunchTemplateData.InstanceType=m5.large";
    let id = owner.ask(server, create).one("launchTemplateId");
    for stranger in strangers {
        let told = stranger.ask(server, "Action=DescribeLaunchTemplates");
        assert!(!told.text().contains(&id), "{}", told.text());
        for (form, code) in [
            (
                format!("Action=DescribeLaunchTemplateVersions&LaunchTemplateId={id}"),
                "InvalidLaunchTemplateId.NotFound",
            ),
            (
                format!("Action=DeleteLaunchTemplate&LaunchTemplateId={id}"),
                "InvalidLaunchTemplateId.NotFound",
            ),
            (
                format!("Action=ModifyLaunchTemplate&LaunchTemplateId={id}&SetDefaultVersion=1"),
                "InvalidLaunchTemplateId.NotFound",
            ),
            (
                launch_form("&LaunchTemplate.LaunchTemplateName=web"),
                "InvalidLaunchTemplateName.NotFoundException",
            ),
        ] {
            assert_eq!(stranger.refusal(server, &form), code, "{form}");
        }
        // A name that is taken elsewhere is free here.
        assert_ne!(stranger.ask(server, create).one("launchTemplateId"), id);
    }
    let form = format!("Action=DescribeLaunchTemplateVersions&LaunchTemplateId={id}");
    assert!(owner.ask(server, &form).text().contains("m5.large"));
}
