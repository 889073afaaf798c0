//! Sequences over several actions: forms in, XML and metadata's state out.

use std::collections::BTreeMap;
use std::convert::Infallible;

use model::{CredentialSource, Iam, InstanceProfileStatus, RegisteredInstanceProfile, Role, User};
use store::{Change, Origin};

use crate::api::route::Service;
use crate::ec2::site::{Site, elements};

/// A policy that allows one action on everything.
const ALLOW: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A\
                     %22Allow%22%2C%22Action%22%3A%22ec2%3ADescribeInstances%22%2C%22Resource%22%3A\
                     %22%2A%22%7D%7D";

/// A trust policy for EC2.
const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A\
                     %22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ec2.amazonaws.com%22%7D\
                     %2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D";

const POLICY: &str = "arn:aws:iam::123456789012:policy/p";

/// Asks each, and returns the last answer.
fn play(site: &Site, forms: &[&str]) -> String {
    let mut last = String::new();
    for form in forms {
        let answer = site.ask_iam(form);
        last = answer.unwrap_or_else(|fault| panic!("{form}: {fault}"));
    }
    last
}

fn refusal(site: &Site, form: &str) -> (String, u16, String) {
    let fault = site.ask_iam(form).expect_err(form);
    (fault.code.into_owned(), fault.status, fault.message)
}

fn one(xml: &str, element: &str) -> String {
    let mut found = elements(xml, element);
    assert_eq!(found.len(), 1, "{element} in {xml}");
    found.remove(0)
}

#[test]
fn a_user_has_everything_that_it_was_given() {
    let site = Site::new();
    let made = play(
        &site,
        &[
            &format!("Action=CreatePolicy&PolicyName=p&PolicyDocument={ALLOW}"),
            &format!(
                "Action=CreateUser&UserName=dev&Path=/team/&PermissionsBoundary={POLICY}\
                 &Tags.member.1.Key=env&Tags.member.1.Value=prod"
            ),
        ],
    );
    assert!(made.starts_with(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CreateUserResponse \
         xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><CreateUserResult><User>"
    ));
    let shown = play(&site, &["Action=GetUser&UserName=dev"]);
    for xml in [&made, &shown] {
        assert_eq!(one(xml, "Path"), "/team/");
        assert_eq!(one(xml, "Arn"), "arn:aws:iam::123456789012:user/team/dev");
        assert!(one(xml, "UserId").starts_with("AIDA"));
        assert_eq!(one(xml, "CreateDate"), "2026-09-21T14:13:20Z");
        assert_eq!(one(xml, "PermissionsBoundaryArn"), POLICY);
        assert_eq!(one(xml, "member"), "<Key>env</Key><Value>prod</Value>");
    }
    let listed = play(&site, &["Action=ListUsers&PathPrefix=/team/"]);
    assert_eq!(elements(&listed, "UserName"), ["dev"]);
    assert_eq!(one(&listed, "IsTruncated"), "false");
    assert!(!listed.contains("Tags") && !listed.contains("Boundary"), "{listed}");
    let all = play(&site, &["Action=ListUsers"]);
    assert_eq!(elements(&all, "UserName"), ["admin", "dev"]);
}

#[test]
fn who_is_not_named_is_the_caller() {
    let site = Site::new();
    let shown = play(&site, &["Action=GetUser"]);
    assert_eq!(one(&shown, "Arn"), "arn:aws:iam::123456789012:user/admin");
    let keys = play(&site, &["Action=ListAccessKeys"]);
    assert_eq!(elements(&keys, "AccessKeyId").len(), 1);
}

#[test]
fn names_are_told_apart_without_their_case() {
    let site = Site::new();
    play(&site, &["Action=CreateUser&UserName=Dev"]);
    let expected = ("EntityAlreadyExists".to_owned(), 409);
    for (form, message) in [
        ("Action=CreateUser&UserName=dev", "User with name dev already exists."),
        ("Action=CreateUser&UserName=ADMIN", "User with name ADMIN already exists."),
    ] {
        let (code, status, text) = refusal(&site, form);
        assert_eq!(((code, status), &*text), (expected.clone(), message), "{form}");
    }
}

#[test]
fn a_secret_is_told_once_and_two_keys_are_all() {
    let site = Site::new();
    let made =
        play(&site, &["Action=CreateUser&UserName=dev", "Action=CreateAccessKey&UserName=dev"]);
    let (id, secret) = (one(&made, "AccessKeyId"), one(&made, "SecretAccessKey"));
    assert!(id.starts_with("AKIA") && id.len() == 20, "{id}");
    assert_eq!(secret.len(), 40);
    let other = one(&play(&site, &["Action=CreateAccessKey&UserName=dev"]), "AccessKeyId");
    assert_eq!(
        refusal(&site, "Action=CreateAccessKey&UserName=dev"),
        (
            "LimitExceeded".to_owned(),
            409,
            "Cannot exceed quota for AccessKeysPerUser: 2".to_owned()
        )
    );
    let listed = play(
        &site,
        &[
            &format!("Action=UpdateAccessKey&UserName=dev&AccessKeyId={id}&Status=Inactive"),
            "Action=ListAccessKeys&UserName=dev",
        ],
    );
    assert!(!listed.contains("Secret"), "{listed}");
    let mut expected = [(id.clone(), "Inactive"), (other.clone(), "Active")];
    expected.sort_unstable();
    assert_eq!(elements(&listed, "AccessKeyId"), expected.clone().map(|(id, _)| id));
    assert_eq!(elements(&listed, "Status"), expected.map(|(_, status)| status));
    let snapshot = site.store.snapshot();
    assert!(snapshot.access_key(&id).is_some_and(|(user, _)| user.name.as_str() == "dev"));
    play(&site, &[&format!("Action=DeleteAccessKey&UserName=dev&AccessKeyId={id}")]);
    assert!(site.store.snapshot().access_key(&id).is_none());
    let gone = format!("Action=DeleteAccessKey&UserName=dev&AccessKeyId={id}");
    assert_eq!(refusal(&site, &gone).0, "NoSuchEntity");
    assert_eq!(
        refusal(&site, "Action=DeleteUser&UserName=dev").2,
        "Cannot delete entity, must delete access keys first."
    );
}

#[test]
fn a_renamed_user_is_the_same_user() {
    let site = Site::new();
    let made =
        play(&site, &["Action=CreateUser&UserName=dev", "Action=CreateAccessKey&UserName=dev"]);
    let (key, before) = (one(&made, "AccessKeyId"), play(&site, &["Action=GetUser&UserName=dev"]));
    let after = play(
        &site,
        &[
            "Action=UpdateUser&UserName=dev&NewUserName=ops&NewPath=/x/",
            "Action=GetUser&UserName=ops",
        ],
    );
    assert_eq!(one(&after, "UserId"), one(&before, "UserId"));
    assert_eq!(one(&after, "Arn"), "arn:aws:iam::123456789012:user/x/ops");
    assert_eq!(refusal(&site, "Action=GetUser&UserName=dev").1, 404);
    let snapshot = site.store.snapshot();
    assert_eq!(snapshot.access_key(&key).map(|(user, _)| user.name.as_str()), Some("ops"));
}

#[test]
fn what_is_used_is_not_deleted() {
    let site = Site::new();
    play(
        &site,
        &[
            "Action=CreateUser&UserName=dev",
            "Action=CreateGroup&GroupName=devs",
            "Action=AddUserToGroup&GroupName=devs&UserName=dev",
            &format!("Action=CreatePolicy&PolicyName=p&PolicyDocument={ALLOW}"),
            &format!("Action=AttachGroupPolicy&GroupName=devs&PolicyArn={POLICY}"),
            &format!("Action=CreateRole&RoleName=web&AssumeRolePolicyDocument={TRUST}"),
            &format!("Action=PutRolePermissionsBoundary&RoleName=web&PermissionsBoundary={POLICY}"),
            &format!("Action=PutRolePolicy&RoleName=web&PolicyName=q&PolicyDocument={ALLOW}"),
            "Action=CreateInstanceProfile&InstanceProfileName=web",
            "Action=AddRoleToInstanceProfile&InstanceProfileName=web&RoleName=web",
        ],
    );
    let policy_in_use = format!("Action=DeletePolicy&PolicyArn={POLICY}");
    let steps: &[(&str, &str, &str)] = &[
        ("Action=DeleteUser&UserName=dev", "must remove users from group first", ""),
        (
            "Action=DeleteGroup&GroupName=devs",
            "must remove users from group first",
            "Action=RemoveUserFromGroup&GroupName=devs&UserName=dev",
        ),
        (
            "Action=DeleteGroup&GroupName=devs",
            "must detach all policies first",
            "Action=DetachGroupPolicy&GroupName=devs&PolicyArn=arn:aws:iam::123456789012:policy/p",
        ),
        (
            &policy_in_use,
            "a policy attached to entities",
            "Action=DeleteRolePermissionsBoundary&RoleName=web",
        ),
        (
            "Action=DeleteInstanceProfile&InstanceProfileName=web",
            "must remove roles from instance profile first",
            "",
        ),
        (
            "Action=DeleteRole&RoleName=web",
            "must remove roles from instance profile first",
            "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=web&RoleName=web",
        ),
        (
            "Action=DeleteRole&RoleName=web",
            "must delete policies first",
            "Action=DeleteRolePolicy&RoleName=web&PolicyName=q",
        ),
    ];
    for (form, text, then) in steps {
        let (code, status, message) = refusal(&site, form);
        assert_eq!((&*code, status), ("DeleteConflict", 409), "{form}");
        assert!(message.contains(text), "{form}: {message}");
        if !then.is_empty() {
            play(&site, &[then]);
        }
    }
    play(
        &site,
        &[
            "Action=DeleteUser&UserName=dev",
            "Action=DeleteGroup&GroupName=devs",
            &policy_in_use,
            "Action=DeleteInstanceProfile&InstanceProfileName=web",
            "Action=DeleteRole&RoleName=web",
        ],
    );
    assert_eq!(refusal(&site, "Action=GetRole&RoleName=web").0, "NoSuchEntity");
}

#[test]
fn instances_show_what_becomes_of_their_profile() {
    let site = Site::new();
    play(
        &site,
        &[
            &format!("Action=CreateRole&RoleName=web&AssumeRolePolicyDocument={TRUST}"),
            &format!("Action=CreateRole&RoleName=db&AssumeRolePolicyDocument={TRUST}"),
            "Action=CreateInstanceProfile&InstanceProfileName=web",
            "Action=AddRoleToInstanceProfile&InstanceProfileName=web&RoleName=web",
        ],
    );
    let profile = play(&site, &["Action=GetInstanceProfile&InstanceProfileName=web"]);
    let profile_id = one(&profile, "InstanceProfileId");
    let id = site.launch("ImageId=ami-0abcdef1234567890&IamInstanceProfile.Name=web");
    let copy = || site.stored(&id).instance_profile.as_deref().cloned().unwrap();
    let role = || copy().role.map(|role| role.to_string());
    assert_eq!((role().as_deref(), copy().id.to_string()), (Some("web"), profile_id.clone()));
    let remove = "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=web&RoleName=web";
    play(&site, &[remove]);
    assert_eq!(role(), None);
    assert_eq!(refusal(&site, remove).0, "NoSuchEntity");
    let add = "Action=AddRoleToInstanceProfile&InstanceProfileName=web&RoleName=db";
    play(&site, &[add]);
    assert_eq!(role().as_deref(), Some("db"));
    assert_eq!(
        refusal(&site, add).2,
        "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
    );
    let delete = "Action=DeleteInstanceProfile&InstanceProfileName=web";
    play(
        &site,
        &[
            "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=web&RoleName=db",
            delete,
            "Action=CreateInstanceProfile&InstanceProfileName=web",
            add,
        ],
    );
    // The new one of the same name is another.
    assert_eq!((copy().status, role()), (InstanceProfileStatus::Deleted, None));
    assert_eq!(copy().id.to_string(), profile_id);
}

#[test]
fn bad_documents_are_refused_when_they_are_written() {
    let site = Site::new();
    play(
        &site,
        &[
            "Action=CreateUser&UserName=dev",
            &format!("Action=CreateRole&RoleName=web&AssumeRolePolicyDocument={TRUST}"),
            &format!("Action=CreatePolicy&PolicyName=p&PolicyDocument={ALLOW}"),
        ],
    );
    for (document, part) in [
        ("", "not a JSON document"),
        ("%7B%7D", "`Statement` is missing"),
        ("%7B%22Statement%22%3A%5B%5D%7D", "at least one statement"),
        ("%7B%22Statement%22%3A1,%22Statement%22%3A2%7D", "keys stand once"),
        ("%7B%22Version%22%3A%222020-01-01%22,%22Statement%22%3A%5B%5D%7D", "$.Version"),
        (
            "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22,%22Action%22%3A%22ec2%3A*%22,\
             %22Resource%22%3A%22ec2%22%7D%7D",
            "is not a resource",
        ),
        (
            "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22,%22Action%22%3A%22ec2%3A*%22,\
             %22Resource%22%3A%22*%22,%22Condition%22%3A%7B%22StringLooksLike%22%3A%7B%22a%3Ab%22%3A\
             %22c%22%7D%7D%7D%7D",
            "is not a condition operator",
        ),
        (TRUST, "`Resource or NotResource` is missing"),
    ] {
        for form in [
            "Action=PutUserPolicy&UserName=dev&PolicyName=q",
            "Action=PutRolePolicy&RoleName=web&PolicyName=q",
            "Action=CreatePolicy&PolicyName=q",
            &format!("Action=CreatePolicyVersion&PolicyArn={POLICY}"),
        ] {
            let (code, status, message) =
                refusal(&site, &format!("{form}&PolicyDocument={document}"));
            assert_eq!((&*code, status), ("MalformedPolicyDocument", 400), "{form} {document}");
            assert!(message.contains(part), "{document}: {message}");
        }
    }
    // A trust policy needs a principal.
    for form in [
        format!("Action=UpdateAssumeRolePolicy&RoleName=web&PolicyDocument={ALLOW}"),
        format!("Action=CreateRole&RoleName=db&AssumeRolePolicyDocument={ALLOW}"),
    ] {
        assert_eq!(refusal(&site, &form).0, "MalformedPolicyDocument", "{form}");
    }
}

#[test]
fn references_are_checked_when_they_are_written() {
    let site = Site::new();
    play(
        &site,
        &[
            "Action=CreateUser&UserName=dev",
            &format!("Action=CreatePolicy&PolicyName=p&Path=/team/&PolicyDocument={ALLOW}"),
        ],
    );
    for arn in [
        "arn:aws:iam::123456789012:policy/nothing",
        // Its path is another.
        POLICY,
        "arn:aws:iam::210987654321:policy/team/p",
        "arn:aws:iam::aws:policy/NoSuchAccess",
        "arn:aws-cn:iam::aws:policy/AdministratorAccess",
    ] {
        for form in [
            format!("Action=AttachUserPolicy&UserName=dev&PolicyArn={arn}"),
            format!("Action=PutUserPermissionsBoundary&UserName=dev&PermissionsBoundary={arn}"),
            format!("Action=CreateUser&UserName=other&PermissionsBoundary={arn}"),
        ] {
            let expected = format!("Policy {arn} does not exist or is not attachable.");
            assert_eq!(refusal(&site, &form), ("NoSuchEntity".to_owned(), 404, expected), "{form}");
        }
    }
    for form in [
        "Action=AttachUserPolicy&UserName=dev&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess",
        "Action=AttachUserPolicy&UserName=dev&PolicyArn=arn:aws:iam::123456789012:policy/team/p",
    ] {
        play(&site, &[form]);
    }
    let listed = play(&site, &["Action=ListAttachedUserPolicies&UserName=dev&PathPrefix=/team/"]);
    assert_eq!(elements(&listed, "PolicyName"), ["p"]);
    for (form, message) in [
        (
            "Action=AddUserToGroup&UserName=dev&GroupName=x",
            "The group with name x cannot be found.",
        ),
        (
            "Action=AddRoleToInstanceProfile&InstanceProfileName=example-role&RoleName=x",
            "The role with name x cannot be found.",
        ),
        ("Action=GetInstanceProfile&InstanceProfileName=x", "Instance Profile x cannot be found."),
        ("Action=DetachUserPolicy&UserName=dev&PolicyArn=arn:aws:iam::aws:policy/X", "not found"),
        ("Action=GetUserPolicy&UserName=dev&PolicyName=x", "The user policy with name x cannot be"),
    ] {
        assert!(refusal(&site, form).2.contains(message), "{form}: {}", refusal(&site, form).2);
    }
}

#[test]
fn what_the_file_describes_is_shown_and_not_changed() {
    let site = Site::new();
    let source = CredentialSource::BuiltIn { life_seconds: None };
    let role = Role::described("app".parse().unwrap(), source);
    let profile = RegisteredInstanceProfile {
        name: "app".parse().unwrap(),
        account_id: role.account_id,
        path: role.path.clone(),
        id: None,
        created: role.created,
        role: Some(role.name.clone()),
        tags: BTreeMap::new(),
    };
    let described: [Iam; 2] = [role.into(), profile.into()];
    let changes = described.map(|kept| Change::PutIam(kept, Origin::Config)).to_vec();
    site.store.transact(|_| Ok::<_, Infallible>((changes, ()))).unwrap();
    let role = play(&site, &["Action=GetRole&RoleName=app"]);
    assert_eq!(one(&role, "Arn"), "arn:aws:iam::123456789012:role/app");
    assert_eq!(one(&role, "AssumeRolePolicyDocument"), TRUST);
    let put = format!("Action=PutRolePolicy&RoleName=app&PolicyName=p&PolicyDocument={ALLOW}");
    let remove = "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=app&RoleName=app";
    for (form, text) in [
        ("Action=DeleteRole&RoleName=app", "The role app is described in the config file"),
        (&*put, "The role app is described in the config file"),
        (remove, "The instance profile app is described in the config file"),
        ("Action=DeleteUser&UserName=admin", "is the administrator"),
        ("Action=CreateAccessKey", "is the administrator"),
    ] {
        let (code, status, message) = refusal(&site, form);
        assert_eq!((&*code, status), ("UnmodifiableEntity", 400), "{form}");
        assert!(message.contains(text), "{form}: {message}");
    }
    // A profile that was made here may hold a role that was described there.
    play(
        &site,
        &[
            "Action=CreateInstanceProfile&InstanceProfileName=own",
            "Action=AddRoleToInstanceProfile&InstanceProfileName=own&RoleName=app",
        ],
    );
}

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

#[test]
fn pages_end_and_go_on() {
    let site = Site::new();
    for number in 0..5 {
        play(&site, &[&format!("Action=CreateGroup&GroupName=g{number}")]);
    }
    let (mut marker, mut seen) = (String::new(), Vec::new());
    loop {
        let page = play(&site, &[&format!("Action=ListGroups&MaxItems=2{marker}")]);
        seen.extend(elements(&page, "GroupName"));
        if one(&page, "IsTruncated") == "false" {
            break;
        }
        marker = format!("&Marker={}", one(&page, "Marker"));
    }
    assert_eq!(seen, ["g0", "g1", "g2", "g3", "g4"]);
    for form in ["MaxItems=0", "MaxItems=1001", "Marker=nonsense", "PathPrefix=x"] {
        let (code, status, _) = refusal(&site, &format!("Action=ListGroups&{form}"));
        assert_eq!((&*code, status), ("ValidationError", 400), "{form}");
    }
}

#[test]
fn quotas_are_kept() {
    let site = Site::new();
    play(&site, &["Action=CreateUser&UserName=dev"]);
    for number in 0..10 {
        play(
            &site,
            &[
                &format!("Action=CreateGroup&GroupName=g{number}"),
                &format!("Action=AddUserToGroup&GroupName=g{number}&UserName=dev"),
                &format!("Action=CreatePolicy&PolicyName=p{number}&PolicyDocument={ALLOW}"),
                &format!(
                    "Action=AttachUserPolicy&UserName=dev\
                     &PolicyArn=arn:aws:iam::123456789012:policy/p{number}"
                ),
            ],
        );
    }
    play(&site, &["Action=CreateGroup&GroupName=more"]);
    for (form, message) in [
        ("AddUserToGroup&UserName=dev&GroupName=more", "Cannot exceed quota for GroupsPerUser: 10"),
        (
            "AttachUserPolicy&UserName=dev&PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess",
            "Cannot exceed quota for PoliciesPerUser: 10",
        ),
    ] {
        let form = format!("Action={form}");
        assert_eq!(refusal(&site, &form), ("LimitExceeded".into(), 409, message.into()));
    }
    let tags = |from: usize, count: usize| -> String {
        let tag = |n| format!("&Tags.member.{n}.Key=k{}&Tags.member.{n}.Value=v", from + n);
        (1..=count).map(tag).collect()
    };
    play(&site, &[&format!("Action=TagUser&UserName=dev{}", tags(0, 50))]);
    let more = format!("Action=TagUser&UserName=dev{}", tags(50, 1));
    assert_eq!(refusal(&site, &more).2, "The number of tags has reached the maximum limit.");
    play(&site, &["Action=UntagUser&UserName=dev&TagKeys.member.1=K1", &more]);
}

/// A user of the account with an inline policy, who asks.
fn as_user(site: &Site, document: &str, form: &str) -> Result<String, String> {
    let document: String = document.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let _ = site.ask_iam("Action=CreateUser&UserName=asker");
    let put = format!("Action=PutUserPolicy&UserName=asker&PolicyName=p&PolicyDocument={document}");
    play(site, &[&put]);
    let name = "asker".parse().unwrap();
    let user: User = (**site.store.snapshot().user(site.scope.account_id, &name).unwrap()).clone();
    site.ask_as(user, Service::Iam, form)
        .map_err(|fault| format!("{}: {}", fault.code, fault.message))
}

#[test]
fn what_is_asked_for_is_what_the_reference_says() {
    let site = Site::new();
    play(
        &site,
        &[
            &format!("Action=CreateRole&RoleName=web&Path=/team/&AssumeRolePolicyDocument={TRUST}"),
            "Action=CreateInstanceProfile&InstanceProfileName=web",
            "Action=TagRole&RoleName=web&Tags.member.1.Key=team&Tags.member.1.Value=a",
        ],
    );
    let allow = |action: &str, resource: &str, condition: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":{action},
            "Resource":"{resource}"{condition}}}}}"#
        )
    };
    let attach = "Action=AttachRolePolicy&RoleName=web\
                  &PolicyArn=arn:aws:iam::aws:policy/ReadOnlyAccess";
    let of_policy = |arn: &str| {
        format!(
            r#","Condition":{{"ArnEquals":{{"iam:PolicyARN":"arn:aws:iam::aws:policy/{arn}"}}}}"#
        )
    };
    let role = "arn:aws:iam::123456789012:role/team/web";
    let tagged = r#","Condition":{"StringEquals":{"aws:ResourceTag/team":"a"}}"#;
    let keyed = r#","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["env"]}}"#;
    let add = "Action=AddRoleToInstanceProfile&InstanceProfileName=web&RoleName=web";
    let tag = "Action=TagRole&RoleName=web&Tags.member.1.Key=env&Tags.member.1.Value=x";
    for (document, form, is_allowed) in [
        (allow(r#""iam:AttachRolePolicy""#, role, &of_policy("ReadOnlyAccess")), attach, true),
        (allow(r#""iam:AttachRolePolicy""#, role, &of_policy("IAMFullAccess")), attach, false),
        (allow(r#""iam:GetRole""#, role, tagged), "Action=GetRole&RoleName=web", true),
        (
            allow(r#""iam:GetRole""#, "arn:aws:iam::123456789012:role/web", ""),
            "Action=GetRole&RoleName=web",
            false,
        ),
        (allow(r#""iam:TagRole""#, "*", keyed), tag, true),
        (allow(r#""iam:TagRole""#, "*", &keyed.replace("env", "other")), tag, false),
        (allow(r#""iam:AddRoleToInstanceProfile""#, "*", ""), add, false),
        (allow(r#"["iam:AddRoleToInstanceProfile","iam:PassRole"]"#, "*", ""), add, true),
        (
            allow(r#""iam:ListRoles""#, "arn:aws:iam::123456789012:role/team/*", ""),
            "Action=ListRoles&PathPrefix=/team/",
            true,
        ),
        (
            allow(r#""iam:*""#, "arn:aws:iam::123456789012:user/${aws:username}", ""),
            "Action=CreateAccessKey",
            true,
        ),
        (
            allow(r#""iam:*""#, "arn:aws:iam::123456789012:user/${aws:username}", ""),
            "Action=CreateAccessKey&UserName=other",
            false,
        ),
    ] {
        let answer = as_user(&site, &document, form);
        match answer {
            Ok(_) => assert!(is_allowed, "{form} under {document}"),
            Err(said) => {
                assert!(!is_allowed && said.starts_with("AccessDenied"), "{form}: {said}");
            }
        }
    }
    let denied = as_user(&site, &allow(r#""ec2:*""#, "*", ""), "Action=ListRoles").unwrap_err();
    assert_eq!(
        denied,
        "AccessDenied: User: arn:aws:iam::123456789012:user/asker is not authorized to perform: \
         iam:ListRoles on resource: arn:aws:iam::123456789012:role/ because no identity-based \
         policy allows the iam:ListRoles action"
    );
}

#[test]
fn a_boundary_can_be_demanded() {
    let site = Site::new();
    play(&site, &[&format!("Action=CreatePolicy&PolicyName=p&PolicyDocument={ALLOW}")]);
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":["iam:CreateUser",
        "iam:AttachUserPolicy"],"Resource":"*","Condition":{{"StringEquals":
        {{"iam:PermissionsBoundary":"{POLICY}"}}}}}}}}"#
    );
    let create = "Action=CreateUser&UserName=dev";
    assert!(as_user(&site, &document, create).is_err());
    let bounded = format!("{create}&PermissionsBoundary={POLICY}");
    as_user(&site, &document, &bounded).unwrap();
    let attach =
        "Action=AttachUserPolicy&UserName=dev&PolicyArn=arn:aws:iam::aws:policy/IAMFullAccess";
    as_user(&site, &document, attach).unwrap();
    play(&site, &["Action=DeleteUserPermissionsBoundary&UserName=dev"]);
    assert!(as_user(&site, &document, attach).is_err());
}

#[test]
fn no_action_passes_over_what_it_does_not_know() {
    let site = Site::new();
    for action in super::ACTIONS {
        let (code, status, _) = refusal(&site, &format!("Action={action}&Nonsense=1"));
        assert_eq!((&*code, status), ("UnknownParameter", 400), "{action}");
    }
}
