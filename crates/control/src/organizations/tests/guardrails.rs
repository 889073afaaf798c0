//! Service control policies bind every account below their targets (control plane, 5.6; C15).

use serde_json::{Value, json};

use super::{Managed, SCP};

const BARE: &str =
    "Action=RunInstances&MinCount=1&MaxCount=1&ImageId=ami-0ce107ae7af2e92b5&DryRun=true";
const DESCRIBE: &str = "Action=DescribeInstances";

fn statement(effect: &str, action: &str) -> Value {
    json!({"Version": "2012-10-17",
        "Statement": [{"Effect": effect, "Action": action, "Resource": "*"}]})
}

/// C15: at each level an Allow, at no level a Deny, and the management account is exempt.
#[test]
fn each_level_must_allow_and_none_may_deny() {
    let managed = Managed::new();
    let management = managed.site.scope.account_id;
    let unit = managed.unit(&managed.root, "unit");
    let member = managed.account("work", &unit);
    let other = managed.account("other", &managed.root.clone());
    let deny = managed.policy(SCP, "deny", &statement("Deny", "ec2:DescribeInstances"));
    let only = managed.policy(SCP, "only", &statement("Allow", "ec2:DescribeRegions"));
    let more = managed.policy(SCP, "more", &statement("Allow", "ec2:Describe*"));
    assert_eq!(managed.ec2(member, DESCRIBE), "allowed");
    for target in [managed.root.clone(), unit.clone(), member.to_string()] {
        managed.attach(&deny, &target);
        let told = managed.ec2(member, DESCRIBE);
        assert!(told.contains("with an explicit deny in a service control policy"), "{told}");
        assert_eq!(managed.ec2(management, DESCRIBE), "allowed");
        assert_eq!(managed.ec2(other, DESCRIBE) == "allowed", target != managed.root);
        managed.detach(&deny, &target);

        managed.attach(&only, &target);
        assert_eq!(managed.ec2(member, DESCRIBE), "allowed", "the union of a level");
        managed.detach("p-FullAWSAccess", &target);
        let told = managed.ec2(member, DESCRIBE);
        assert!(
            told.contains(
                "because no service control policy allows the ec2:DescribeInstances action"
            ),
            "{told}"
        );
        assert_eq!(managed.ec2(member, "Action=DescribeRegions"), "allowed");
        assert_eq!(managed.ec2(management, DESCRIBE), "allowed");
        managed.attach(&more, &target);
        assert_eq!(managed.ec2(member, DESCRIBE), "allowed");
        managed.attach("p-FullAWSAccess", &target);
        managed.detach(&only, &target);
        managed.detach(&more, &target);
    }
    // Once the type is disabled nothing binds, and enabling it brings back full access alone.
    managed.attach(&deny, &unit);
    let types = json!({"RootId": managed.root, "PolicyType": SCP});
    managed.ask("DisablePolicyType", &types);
    assert_eq!(managed.ec2(member, DESCRIBE), "allowed");
    assert_eq!(managed.refusal("DisablePolicyType", &types), "PolicyTypeNotEnabledException");
    let attach = json!({"PolicyId": deny, "TargetId": unit});
    assert_eq!(managed.refusal("AttachPolicy", &attach), "PolicyTypeNotEnabledException");
    managed.ask("EnablePolicyType", &types);
    assert_eq!(managed.refusal("EnablePolicyType", &types), "PolicyTypeAlreadyEnabledException");
    assert_eq!(managed.ec2(member, DESCRIBE), "allowed");
    let listed = managed.ask("ListPoliciesForTarget", &json!({"TargetId": unit, "Filter": SCP}));
    assert_eq!(listed["Policies"].as_array().unwrap().len(), 1);
    assert_eq!(listed["Policies"][0]["Id"], "p-FullAWSAccess");
    assert_eq!(listed["Policies"][0]["AwsManaged"], true);
}

#[test]
fn whoever_leaves_or_moves_is_bound_by_what_is_above_them_then() {
    let managed = Managed::new();
    let (strict, free) = (managed.unit(&managed.root, "s"), managed.unit(&managed.root, "f"));
    let member = managed.account("work", &strict);
    let deny = managed.policy(SCP, "deny", &statement("Deny", "ec2:*"));
    managed.attach(&deny, &strict);
    assert_ne!(managed.ec2(member, DESCRIBE), "allowed");
    let moved = json!({"AccountId": member, "SourceParentId": strict, "DestinationParentId": free});
    managed.ask("MoveAccount", &moved);
    assert_eq!(managed.ec2(member, DESCRIBE), "allowed");
    assert_eq!(managed.refusal("MoveAccount", &moved), "DuplicateAccountException");
    managed.attach(&deny, &member.to_string());
    assert_ne!(managed.ec2(member, DESCRIBE), "allowed");
    managed.ask("RemoveAccountFromOrganization", &json!({"AccountId": member}));
    assert_eq!(managed.ec2(member, DESCRIBE), "allowed");
    let targets = managed.ask("ListTargetsForPolicy", &json!({"PolicyId": deny}));
    assert_eq!(targets["Targets"].as_array().unwrap().len(), 1, "{targets}");
}

/// A policy is compiled when it is written, and whoever writes it is told where it is wrong.
#[test]
fn documents_are_checked_when_they_are_written() {
    let managed = Managed::new();
    let create = |type_: &str, content: &str| {
        let request = json!({"Type": type_, "Name": "new", "Description": "", "Content": content});
        let site = &managed.site;
        let fault = site.organizations(site.administrator(), "CreatePolicy", &request);
        let fault = fault.unwrap_err();
        (fault.code.into_owned(), fault.message)
    };
    for (type_, content, told) in [
        (SCP, "", "not a JSON document"),
        (SCP, r#"{"Statement":[]}"#, "$.Statement"),
        (
            SCP,
            r#"{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#,
            "a service control policy has no `Principal`",
        ),
        (
            "RESOURCE_CONTROL_POLICY",
            r#"{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#,
            "`Principal` is missing",
        ),
        ("DECLARATIVE_POLICY_EC2", "{}", "`ec2_attributes` is missing"),
    ] {
        let (code, message) = create(type_, content);
        assert_eq!(code, "MalformedPolicyDocumentException", "{content}");
        assert!(message.contains(told), "{message}");
    }
    let long = "x".repeat(10_300);
    let content = format!(
        r#"{{"Statement":{{"Effect":"Deny","Action":"*","Resource":"arn:aws:s3:::{long}"}}}}"#
    );
    assert_eq!(create(SCP, &content).0, "ConstraintViolationException");

    let policy = managed.policy(SCP, "new", &statement("Deny", "ec2:*"));
    let update = json!({"PolicyId": policy, "Content": "{}"});
    assert_eq!(managed.refusal("UpdatePolicy", &update), "MalformedPolicyDocumentException");
    let described = managed.ask("DescribePolicy", &json!({"PolicyId": policy}));
    assert_eq!(described["Policy"]["Content"], statement("Deny", "ec2:*").to_string());
    let renamed = managed.ask(
        "UpdatePolicy",
        &json!({"PolicyId": policy, "Name": "newer",
        "Description": "what it is for"}),
    );
    assert_eq!(renamed["Policy"]["PolicySummary"]["Description"], "what it is for");
    assert_eq!(renamed["Policy"]["Content"], described["Policy"]["Content"]);
}

#[test]
fn what_cannot_be_done_with_policies_is_told() {
    let managed = Managed::new();
    let root = managed.root.clone();
    let member = managed.account("work", &root).to_string();
    let policy = managed.policy(SCP, "deny", &statement("Deny", "ec2:*"));
    managed.attach(&policy, &member);
    let both = |policy: &str, target: &str| json!({"PolicyId": policy, "TargetId": target});
    let full = "p-FullAWSAccess";
    let create = |name: &str| {
        json!({"Type": SCP, "Name": name, "Description": "",
            "Content": statement("Deny", "*").to_string()})
    };
    for (action, request, expected) in [
        ("AttachPolicy", both(&policy, &member), "DuplicatePolicyAttachmentException"),
        ("AttachPolicy", both("p-12345678", &member), "PolicyNotFoundException"),
        ("AttachPolicy", both(&policy, "999999999999"), "TargetNotFoundException"),
        ("AttachPolicy", both(&policy, "r-none"), "TargetNotFoundException"),
        ("AttachPolicy", both(&policy, "x"), "InvalidInputException/INVALID_PATTERN"),
        ("AttachPolicy", both("p-RCPFullAWSAccess", &member), "PolicyTypeNotEnabledException"),
        ("DetachPolicy", both(&policy, &root), "PolicyNotAttachedException"),
        (
            "DetachPolicy",
            both(full, &root),
            "ConstraintViolationException/MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
        ),
        ("DeletePolicy", json!({"PolicyId": policy}), "PolicyInUseException"),
        ("DeletePolicy", json!({"PolicyId": full}), "InvalidInputException/IMMUTABLE_POLICY"),
        (
            "UpdatePolicy",
            json!({"PolicyId": full, "Name": "mine"}),
            "InvalidInputException/IMMUTABLE_POLICY",
        ),
        ("CreatePolicy", create("deny"), "DuplicatePolicyException"),
        ("CreatePolicy", create("FullAWSAccess"), "DuplicatePolicyException"),
        ("CreatePolicy", create(&"x".repeat(129)), "InvalidInputException/MAX_LENGTH_EXCEEDED"),
        ("DescribePolicy", json!({"PolicyId": "p-12345678"}), "PolicyNotFoundException"),
        (
            "EnablePolicyType",
            json!({"RootId": "r-none", "PolicyType": SCP}),
            "RootNotFoundException",
        ),
        (
            "EnablePolicyType",
            json!({"RootId": root, "PolicyType": "TAG_POLICY"}),
            "InvalidInputException/INVALID_PATTERN",
        ),
    ] {
        assert_eq!(managed.refusal(action, &request), expected, "{action} {request}");
    }
    for at in 0..3 {
        let more = managed.policy(SCP, &format!("more {at}"), &statement("Deny", "s3:*"));
        managed.attach(&more, &member);
    }
    let sixth = managed.policy(SCP, "sixth", &statement("Deny", "s3:*"));
    assert_eq!(
        managed.refusal("AttachPolicy", &both(&sixth, &member)),
        "ConstraintViolationException/MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"
    );
    // Resource control policies have a full access of their own, which stays.
    let rcp = "RESOURCE_CONTROL_POLICY";
    managed.ask("EnablePolicyType", &json!({"RootId": root, "PolicyType": rcp}));
    assert_eq!(
        managed.refusal("DetachPolicy", &both("p-RCPFullAWSAccess", &root)),
        "ConstraintViolationException/MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"
    );
    managed.ask("DeletePolicy", &json!({"PolicyId": sixth}));
}

#[test]
fn a_dry_run_of_a_launch_finds_a_control_policy() {
    let managed = Managed::new();
    let member = managed.account("work", &managed.root.clone());
    assert_eq!(managed.ec2(member, BARE), "allowed");
    let deny = managed.policy(SCP, "deny", &statement("Deny", "ec2:RunInstances"));
    managed.attach(&deny, &managed.root);
    assert!(managed.ec2(member, BARE).contains("service control policy"));
    assert_eq!(managed.ec2(managed.site.scope.account_id, BARE), "allowed");
}
