//! Whatever is asked in whatever order leaves the organization whole.

use model::{Organization, PolicyType, Target};
use proptest::prelude::*;
use serde_json::json;
use store::Snapshot;

use super::Managed;

/// The invariant of an organization, and of what is attached.
fn assert_whole(snapshot: &Snapshot) {
    let organization = snapshot.organization().unwrap();
    assert!(organization.accounts.contains_key(&organization.management_account_id));
    let parents = organization.units.values().map(|unit| &unit.parent);
    let parents = parents.chain(organization.accounts.values().map(|member| &member.parent));
    for parent in parents.flatten() {
        assert!(organization.units.contains_key(parent), "{parent} is not there");
    }
    for id in organization.units.keys() {
        let (mut depth, mut parent) = (0, Some(id));
        while let Some(id) = parent {
            depth += 1;
            assert!(depth <= Organization::DEPTH_MAX, "{id} is too deep, or in itself");
            parent = organization.units[id].parent.as_ref();
        }
    }
    let units = organization.units.keys().cloned().map(Target::Unit);
    let accounts = organization.accounts.keys().copied().map(Target::Account);
    let root = [Target::Root(organization.root_id.clone())];
    for target in root.into_iter().chain(units).chain(accounts) {
        let attached = snapshot.policies_attached_to(&target, PolicyType::ServiceControlPolicy);
        assert!((1..=5).contains(&attached.count()), "{target}");
    }
    for (policy, _) in snapshot.control_policies() {
        for target in &policy.targets {
            assert!(organization.has(target), "{} is attached to {target}", policy.id);
        }
    }
}

/// A request, with numbers for the things it is about.
#[derive(Clone, Copy, Debug)]
enum Step {
    CreateUnit(usize, u8),
    DeleteUnit(usize),
    CreateAccount(u8),
    Move(usize, usize, usize),
    Remove(usize),
    Attach(usize, usize),
    Detach(usize, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<usize>(), any::<u8>()).prop_map(|(at, name)| Step::CreateUnit(at, name)),
        1 => any::<usize>().prop_map(Step::DeleteUnit),
        2 => any::<u8>().prop_map(Step::CreateAccount),
        2 => (any::<usize>(), any::<usize>(), any::<usize>())
            .prop_map(|(account, from, to)| Step::Move(account, from, to)),
        1 => any::<usize>().prop_map(Step::Remove),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(policy, at)| Step::Attach(policy, at)),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(policy, at)| Step::Detach(policy, at)),
    ]
}

/// Returns whether it was done.
fn take(managed: &Managed, step: Step) -> bool {
    let snapshot = managed.site.store.snapshot();
    let organization = snapshot.organization().unwrap();
    let units: Vec<_> = organization.units.keys().map(ToString::to_string).collect();
    let accounts: Vec<_> = organization.accounts.keys().map(ToString::to_string).collect();
    let policies: Vec<_> =
        snapshot.control_policies().map(|(policy, _)| policy.id.to_string()).collect();
    let parents: Vec<_> = units.iter().chain([&managed.root]).collect();
    let targets: Vec<_> = parents.iter().copied().chain(&accounts).collect();
    let unit = |at: usize| units.get(at % units.len().max(1)).cloned().unwrap_or_default();
    let (action, request) = match step {
        Step::CreateUnit(at, name) => (
            "CreateOrganizationalUnit",
            json!({"ParentId": parents[at % parents.len()], "Name": format!("{}", name % 4)}),
        ),
        Step::DeleteUnit(at) => {
            ("DeleteOrganizationalUnit", json!({"OrganizationalUnitId": unit(at)}))
        }
        Step::CreateAccount(name) => (
            "CreateAccount",
            json!({"AccountName": "a", "Email": format!("{}@example.org", name % 16)}),
        ),
        Step::Move(account, from, to) => (
            "MoveAccount",
            json!({"AccountId": accounts[account % accounts.len()],
                "SourceParentId": parents[from % parents.len()],
                "DestinationParentId": parents[to % parents.len()]}),
        ),
        Step::Remove(account) => (
            "RemoveAccountFromOrganization",
            json!({"AccountId": accounts[account % accounts.len()]}),
        ),
        Step::Attach(policy, at) | Step::Detach(policy, at) => (
            if matches!(step, Step::Attach(..)) { "AttachPolicy" } else { "DetachPolicy" },
            json!({"PolicyId": policies[policy % policies.len()],
                "TargetId": targets[at % targets.len()]}),
        ),
    };
    managed.try_ask(action, &request).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_change_leaves_it_whole(steps in prop::collection::vec(any_step(), 1..80)) {
        let managed = Managed::new();
        for at in 0..6 {
            let content = json!({"Statement":
                {"Effect": "Deny", "Action": format!("a:{at}"), "Resource": "*"}});
            managed.policy(super::SCP, &format!("policy {at}"), &content);
        }
        for step in steps {
            let before = managed.site.store.current().generation();
            let is_done = take(&managed, step);
            let snapshot = managed.site.store.snapshot();
            assert_whole(&snapshot);
            prop_assert!(is_done || snapshot.generation() == before, "{step:?} half done");
        }
    }
}

#[test]
fn units_are_made_found_renamed_and_ended() {
    let managed = Managed::new();
    let mut parent = managed.root.clone();
    let mut units = Vec::new();
    for depth in 1..=5 {
        parent = managed.unit(&parent, &format!("depth {depth}"));
        units.push(parent.clone());
    }
    let deeper = json!({"ParentId": parent, "Name": "depth 6"});
    assert_eq!(
        managed.refusal("CreateOrganizationalUnit", &deeper),
        "ConstraintViolationException/OU_DEPTH_LIMIT_EXCEEDED"
    );
    let twin = json!({"ParentId": managed.root, "Name": "depth 1"});
    assert_eq!(
        managed.refusal("CreateOrganizationalUnit", &twin),
        "DuplicateOrganizationalUnitException"
    );
    let other = managed.unit(&managed.root, "other");
    let rename = json!({"OrganizationalUnitId": other, "Name": "depth 1"});
    assert_eq!(
        managed.refusal("UpdateOrganizationalUnit", &rename),
        "DuplicateOrganizationalUnitException"
    );
    let rename = json!({"OrganizationalUnitId": other, "Name": "another"});
    managed.ask("UpdateOrganizationalUnit", &rename);
    let one = json!({"OrganizationalUnitId": other});
    let shown = managed.ask("DescribeOrganizationalUnit", &one);
    assert_eq!(shown["OrganizationalUnit"]["Name"], "another");
    let parents = managed.ask("ListParents", &json!({"ChildId": units[1]}));
    let expected = json!([{"Id": units[0], "Type": "ORGANIZATIONAL_UNIT"}]);
    assert_eq!(parents["Parents"], expected);
    let parents = managed.ask("ListParents", &json!({"ChildId": other}));
    assert_eq!(parents["Parents"], json!([{"Id": managed.root, "Type": "ROOT"}]));

    let member = managed.account("work", &other);
    let children = |child_type: &str| {
        let request = json!({"ParentId": other, "ChildType": child_type});
        managed.ask("ListChildren", &request)["Children"].clone()
    };
    assert_eq!(children("ACCOUNT"), json!([{"Id": member, "Type": "ACCOUNT"}]));
    assert_eq!(children("ORGANIZATIONAL_UNIT"), json!([]));
    assert_eq!(
        managed.refusal("DeleteOrganizationalUnit", &one),
        "OrganizationalUnitNotEmptyException"
    );
    assert_eq!(managed.refusal("DeleteOrganization", &json!({})), "OrganizationNotEmptyException");
    managed.ask("RemoveAccountFromOrganization", &json!({"AccountId": member}));
    managed.ask("DeleteOrganizationalUnit", &one);
    assert_eq!(
        managed.refusal("DescribeOrganizationalUnit", &one),
        "OrganizationalUnitNotFoundException"
    );
    for (action, request, expected) in [
        (
            "ListChildren",
            json!({"ParentId": other, "ChildType": "ACCOUNT"}),
            "ParentNotFoundException",
        ),
        ("ListParents", json!({"ChildId": other}), "ChildNotFoundException"),
        ("DescribeAccount", json!({"AccountId": member}), "AccountNotFoundException"),
        (
            "RemoveAccountFromOrganization",
            json!({"AccountId": managed.site.scope.account_id}),
            "MasterCannotLeaveOrganizationException",
        ),
    ] {
        assert_eq!(managed.refusal(action, &request), expected, "{action}");
    }
}

#[test]
fn tags_are_set_listed_and_removed() {
    let managed = Managed::new();
    let policy = managed.policy(
        super::SCP,
        "p",
        &json!({"Statement":
        {"Effect": "Deny", "Action": "ec2:*", "Resource": "*"}}),
    );
    let unit = managed.unit(&managed.root, "unit");
    for id in [&policy, &unit, &managed.root, "123456789012"] {
        let tags = json!([{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]);
        managed.ask("TagResource", &json!({"ResourceId": id, "Tags": tags}));
        let listed = managed.ask("ListTagsForResource", &json!({"ResourceId": id}));
        assert_eq!(listed["Tags"], tags);
        managed.ask("UntagResource", &json!({"ResourceId": id, "TagKeys": ["a", "c"]}));
        let listed = managed.ask("ListTagsForResource", &json!({"ResourceId": id}));
        assert_eq!(listed["Tags"], json!([{"Key": "b", "Value": ""}]));
    }
    let tag = |key: &str| json!({"Key": key, "Value": ""});
    let many: Vec<_> = (0..50).map(|at| tag(&at.to_string())).collect();
    for (id, tags, expected) in [
        (&*unit, json!([tag("aws:x")]), "InvalidInputException/INVALID_SYSTEM_TAGS_PARAMETER"),
        (&unit, json!([tag("x"), tag("x")]), "InvalidInputException/DUPLICATE_TAG_KEY"),
        (&unit, json!([tag("")]), "InvalidInputException/INVALID_PATTERN"),
        (&unit, json!(many), "ConstraintViolationException/MAX_TAG_LIMIT_EXCEEDED"),
        ("p-FullAWSAccess", json!([tag("x")]), "InvalidInputException/IMMUTABLE_POLICY"),
        ("999999999999", json!([tag("x")]), "TargetNotFoundException"),
    ] {
        let request = json!({"ResourceId": id, "Tags": tags});
        assert_eq!(managed.refusal("TagResource", &request), expected);
    }
}
