//! What is refused when it is written.

use std::collections::BTreeMap;
use std::convert::Infallible;

use model::{CredentialSource, Iam, RegisteredInstanceProfile, Role};
use store::{Change, Origin};

use super::{ALLOW, POLICY, TRUST, one, play, refusal};
use crate::ec2::site::{Site, elements};

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
fn no_action_passes_over_what_it_does_not_know() {
    let site = Site::new();
    for action in crate::iam::ACTIONS {
        let (code, status, _) = refusal(&site, &format!("Action={action}&Nonsense=1"));
        assert_eq!((&*code, status), ("UnknownParameter", 400), "{action}");
    }
}
