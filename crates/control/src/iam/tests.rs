//! Sequences over several actions: forms in, XML and metadata's state out.

mod asked;
mod policies;
mod refused;

use model::InstanceProfileStatus;

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
