//! What actions ask for, and who may.

use model::{PolicyDocument, User};

use super::{ALLOW, POLICY, TRUST, play};
use crate::api::route::Service;
use crate::ec2::site::Site;

/// A user of the account with an inline policy, who asks.
fn as_user(site: &Site, document: &str, form: &str) -> Result<String, String> {
    let document = crate::iam::elements::encoded(&PolicyDocument::new(document));
    let _ = site.ask_iam("Action=CreateUser&UserName=asker");
    let put = format!("Action=PutUserPolicy&UserName=asker&PolicyName=p&PolicyDocument={document}");
    play(site, &[&put]);
    let name = "asker".parse().unwrap();
    let user: User = (**site.store.snapshot().user(site.scope.account_id, &name).unwrap()).clone();
    site.ask_service(user, Service::Iam, form)
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
