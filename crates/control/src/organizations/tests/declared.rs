//! Declarative policies in force (control plane, 5.8).

use model::{AccountId, OptionLayer};
use serde_json::{Value, json};

use super::Managed;
use crate::ec2::site::{administrator_of, elements};

const DECLARATIVE: &str = "DECLARATIVE_POLICY_EC2";
const GET: &str = "Action=GetInstanceMetadataDefaults";
const MODIFY: &str = "Action=ModifyInstanceMetadataDefaults";
const LAUNCH: &str = "Action=RunInstances&MinCount=1&MaxCount=1&ImageId=ami-0ce107ae7af2e92b5";

fn content(defaults: &Value, message: Option<&str>) -> Value {
    let mut attributes = json!({"instance_metadata_defaults": defaults});
    if let Some(message) = message {
        attributes["exception_message"] = json!({"@@assign": message});
    }
    json!({"ec2_attributes": attributes})
}

fn organization() -> Managed {
    let managed = Managed::new();
    let types = json!({"RootId": managed.root, "PolicyType": DECLARATIVE});
    managed.ask("EnablePolicyType", &types);
    managed
}

impl Managed {
    fn level(&self, account_id: AccountId) -> String {
        let answer = self.site.ask_as(administrator_of(account_id), GET).unwrap();
        elements(&answer, "accountLevel").remove(0)
    }

    fn launched(&self, account_id: AccountId, more: &str) -> model::Instance {
        let form = format!("{LAUNCH}{more}");
        let answer = self.site.ask_as(administrator_of(account_id), &form).unwrap();
        self.site.stored(&elements(&answer, "instanceId")[0])
    }
}

#[test]
fn it_stands_in_the_place_of_the_accounts_settings_until_it_is_gone() {
    let managed = organization();
    let member = managed.account("work", &managed.root.clone());
    assert_eq!(managed.ec2(member, &format!("{MODIFY}&HttpPutResponseHopLimit=7")), "allowed");
    let own = "<httpPutResponseHopLimit>7</httpPutResponseHopLimit><managedBy>account</managedBy>";
    assert_eq!(managed.level(member), own);

    let defaults = json!({"http_tokens": {"@@assign": "required"},
        "http_endpoint": {"@@assign": "no_preference"}});
    let message = "Ask the platform team.";
    let policy = managed.policy(DECLARATIVE, "v2", &content(&defaults, Some(message)));
    managed.attach(&policy, &managed.root);
    for account_id in [member, managed.site.scope.account_id] {
        assert_eq!(
            managed.level(account_id),
            "<httpTokens>required</httpTokens><managedBy>declarative-policy</managedBy>\
             <managedExceptionMessage>Ask the platform team.</managedExceptionMessage>"
        );
    }
    let form = format!("{MODIFY}&HttpTokens=optional");
    let fault = managed.site.ask_as(administrator_of(member), &form).unwrap_err();
    assert_eq!((&*fault.code, fault.status), ("OperationNotPermitted", 400));
    assert_eq!(fault.message, message);
    // It is no matter of authorization: a dry run does not find it.
    assert_eq!(managed.ec2(member, &format!("{form}&DryRun=true")), "allowed");

    let instance = managed.launched(member, "");
    assert_eq!(instance.options.http_tokens.as_str(), "required");
    assert_eq!(instance.options.http_put_response_hop_limit.as_hops(), 1);
    assert_eq!(instance.option_layers.http_tokens, OptionLayer::Organization);
    assert_eq!(instance.option_layers.http_endpoint, OptionLayer::Platform);
    let instance = managed.launched(member, "&MetadataOptions.HttpTokens=optional");
    assert_eq!(instance.options.http_tokens.as_str(), "optional", "a launch still says otherwise");
    assert_eq!(instance.option_layers.http_tokens, OptionLayer::Launch);

    managed.detach(&policy, &managed.root);
    assert_eq!(managed.level(member), own);
    assert_eq!(managed.launched(member, "").options.http_put_response_hop_limit.as_hops(), 7);
    assert_eq!(managed.ec2(member, &form), "allowed");
}

#[test]
fn enforcement_refuses_with_the_message() {
    let managed = organization();
    let member = managed.account("work", &managed.root.clone());
    let old = managed.launched(member, "");
    let defaults = json!({"http_tokens_enforced": {"@@assign": "enabled"}});
    let policy = managed.policy(DECLARATIVE, "e", &content(&defaults, Some("Ask us.")));
    managed.attach(&policy, &member.to_string());
    let modify =
        format!("Action=ModifyInstanceMetadataOptions&InstanceId={}&HttpTokens=optional", old.id);
    for form in [LAUNCH, &modify] {
        let fault = managed.site.ask_as(administrator_of(member), form).unwrap_err();
        assert_eq!((&*fault.code, fault.status), ("UnsupportedOperation", 400));
        assert!(fault.message.starts_with("You can't launch instances with IMDSv1"));
        assert!(fault.message.ends_with("in the EC2 console. Ask us."), "{}", fault.message);
        assert_eq!(managed.ec2(member, &format!("{form}&DryRun=true")), "allowed");
    }
    let launched = managed.launched(member, "&MetadataOptions.HttpTokens=required");
    assert_eq!(launched.options.http_tokens.as_str(), "required");
    // It binds the account that it is attached to, and no other.
    managed.launched(managed.site.scope.account_id, "");
}

#[test]
fn the_effective_policy_is_what_comes_of_all_levels() {
    let managed = organization();
    let unit = managed.unit(&managed.root, "unit");
    let member = managed.account("work", &unit);
    let effective = json!({"PolicyType": DECLARATIVE, "TargetId": member});
    let missing = managed.refusal("DescribeEffectivePolicy", &effective);
    assert_eq!(missing, "EffectivePolicyNotFoundException");
    let root = json!({
        "http_tokens": {"@@assign": "required",
            "@@operators_allowed_for_child_policies": ["@@none"]},
        "http_put_response_hop_limit": {"@@assign": "2"}});
    let below = json!({"http_tokens": {"@@assign": "optional"},
        "http_put_response_hop_limit": {"@@assign": 3}});
    let upper = managed.policy(DECLARATIVE, "upper", &content(&root, None));
    let lower = managed.policy(DECLARATIVE, "lower", &content(&below, None));
    managed.attach(&upper, &managed.root);
    managed.attach(&lower, &unit);
    let shown = managed.ask("DescribeEffectivePolicy", &effective)["EffectivePolicy"].clone();
    let merged: Value = serde_json::from_str(shown["PolicyContent"].as_str().unwrap()).unwrap();
    assert_eq!(
        merged,
        json!({"ec2_attributes": {"instance_metadata_defaults":
            {"http_tokens": "required", "http_put_response_hop_limit": 3}}})
    );
    assert_eq!(shown["TargetId"], member.to_string());
    // A member may see its own, and it is what launches get.
    let own = json!({"PolicyType": DECLARATIVE});
    managed.ask_as(administrator_of(member), "DescribeEffectivePolicy", &own).unwrap();
    let options = managed.launched(member, "").options;
    assert_eq!(options.http_tokens.as_str(), "required");
    assert_eq!(options.http_put_response_hop_limit.as_hops(), 3);
    let text = "This action is denied due to an organizational policy in effect";
    assert_eq!(managed.ec2(member, &format!("{MODIFY}&HttpTokens=optional")), text);
    // Without the type nothing is in force.
    let types = json!({"RootId": managed.root, "PolicyType": DECLARATIVE});
    managed.ask("DisablePolicyType", &types);
    assert_eq!(managed.level(member), "<managedBy>account</managedBy>");
}
