//! Managed policies and their versions.

use super::{ALLOW, POLICY, one, play, refusal};
use crate::ec2::site::{Site, elements};

#[test]
fn a_policy_has_five_versions_and_no_number_twice() {
    let site = Site::new();
    let create = format!("Action=CreatePolicyVersion&PolicyArn={POLICY}&PolicyDocument={ALLOW}");
    play(&site, &[&format!("Action=CreatePolicy&PolicyName=p&PolicyDocument={ALLOW}")]);
    for number in 2..=5 {
        let made = play(&site, &[&create]);
        assert_eq!(one(&made, "VersionId"), format!("v{number}"));
        assert_eq!(one(&made, "IsDefaultVersion"), "false");
    }
    assert_eq!(refusal(&site, &create).0, "LimitExceeded");
    let delete = |id: &str| format!("Action=DeletePolicyVersion&PolicyArn={POLICY}&VersionId={id}");
    assert_eq!(refusal(&site, &delete("v1")).0, "DeleteConflict");
    play(&site, &[&delete("v5")]);
    let made = play(&site, &[&format!("{create}&SetAsDefault=true")]);
    assert_eq!(one(&made, "VersionId"), "v6");
    let shown = play(&site, &[&format!("Action=GetPolicy&PolicyArn={POLICY}")]);
    assert_eq!(one(&shown, "DefaultVersionId"), "v6");
    let listed = play(&site, &[&format!("Action=ListPolicyVersions&PolicyArn={POLICY}")]);
    assert_eq!(elements(&listed, "VersionId"), ["v6", "v4", "v3", "v2", "v1"]);
    let document =
        play(&site, &[&format!("Action=GetPolicyVersion&PolicyArn={POLICY}&VersionId=v6")]);
    assert_eq!(one(&document, "Document"), ALLOW);
    play(
        &site,
        &[
            &format!("Action=SetDefaultPolicyVersion&PolicyArn={POLICY}&VersionId=v2"),
            &delete("v6"),
        ],
    );
    let conflict = refusal(&site, &format!("Action=DeletePolicy&PolicyArn={POLICY}"));
    assert!(conflict.2.starts_with("This policy has more than one version."), "{conflict:?}");
    assert_eq!(refusal(&site, &delete("v6")).0, "NoSuchEntity");
    assert_eq!(refusal(&site, &delete("6")).0, "ValidationError");
}

#[test]
fn lists_of_policies_say_whose_and_how_often() {
    let site = Site::new();
    play(
        &site,
        &[
            &format!("Action=CreatePolicy&PolicyName=p&PolicyDocument={ALLOW}"),
            &format!("Action=CreatePolicy&PolicyName=unused&PolicyDocument={ALLOW}"),
            "Action=CreateUser&UserName=dev",
            "Action=CreateGroup&GroupName=devs",
            &format!("Action=AttachUserPolicy&UserName=dev&PolicyArn={POLICY}"),
            &format!("Action=AttachGroupPolicy&GroupName=devs&PolicyArn={POLICY}"),
            &format!("Action=PutUserPermissionsBoundary&UserName=dev&PermissionsBoundary={POLICY}"),
        ],
    );
    let names = |form: &str| elements(&play(&site, &[form]), "PolicyName");
    assert_eq!(names("Action=ListPolicies&Scope=Local"), ["p", "unused"]);
    assert_eq!(names("Action=ListPolicies&Scope=Local&OnlyAttached=true"), ["p"]);
    assert_eq!(
        names("Action=ListPolicies&OnlyAttached=true"),
        ["p", "AdministratorAccess"],
        "the administrator has one of AWS's"
    );
    assert!(names("Action=ListPolicies&Scope=AWS").contains(&"ReadOnlyAccess".to_owned()));
    let shown = play(&site, &[&format!("Action=GetPolicy&PolicyArn={POLICY}")]);
    assert_eq!(one(&shown, "AttachmentCount"), "2");
    assert_eq!(one(&shown, "PermissionsBoundaryUsageCount"), "1");
    let entities = format!("Action=ListEntitiesForPolicy&PolicyArn={POLICY}");
    let used = play(&site, &[&entities]);
    assert_eq!((one(&used, "GroupName"), one(&used, "UserName")), ("devs".into(), "dev".into()));
    let bounded = play(&site, &[&format!("{entities}&PolicyUsageFilter=PermissionsBoundary")]);
    assert!(bounded.contains("<PolicyGroups/>") && bounded.contains("<UserName>dev"), "{bounded}");
}
