//! The documented example policies (control plane, 5.3) against the actions themselves, and how
//! denials are told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use metadata::session::{RoleSession, SessionPolicies, SourceInstance};
use model::{
    CredentialSource, Iam, InstanceId, PolicyDocument, Role, RoleDelivery, SessionName, User,
};
use store::{Change, Origin};

use crate::caller::{Caller, Principal};
use crate::ec2::site::Site;

const ALLOW_ALL: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

const P1: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"RequireImdsV2","Effect":"Deny",
    "Action":"ec2:RunInstances","Resource":"arn:aws:ec2:*:*:instance/*",
    "Condition":{"StringNotEquals":{"ec2:MetadataHttpTokens":"required"}}}]}"#;

const P2: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"DenyIMDSv1HttpTokensModification",
    "Effect":"Deny","Action":"ec2:ModifyInstanceMetadataOptions",
    "Resource":"arn:aws:ec2:*:*:instance/*",
    "Condition":{"StringNotEquals":{"ec2:Attribute/HttpTokens":"required"},
                 "Null":{"ec2:Attribute/HttpTokens":"false"}}}]}"#;

const P3: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"MaxImdsHopLimit","Effect":"Deny",
    "Action":"ec2:RunInstances","Resource":"arn:aws:ec2:*:*:instance/*",
    "Condition":{"NumericGreaterThan":{"ec2:MetadataHttpPutResponseHopLimit":"3"}}}]}"#;

const P4: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Sid":"AllowOnlyImdsAdminsToModifySettings","Effect":"Deny",
    "Action":"ec2:ModifyInstanceMetadataOptions","Resource":"*",
    "Condition":{"StringNotLike":{"aws:PrincipalARN":"arn:aws:iam::*:role/ec2-imds-admins"}}}]}"#;

const P5: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"RequireAllEc2RolesToUseV2",
    "Effect":"Deny","Action":"*","Resource":"*",
    "Condition":{"NumericLessThan":{"ec2:RoleDelivery":"2.0"}}}]}"#;

/// The image that nobody has marked.
const OLD: &str = "ImageId=ami-0ce107ae7af2e92b5";

fn keep(site: &Site, kept: impl Into<Iam>) {
    let put = Change::PutIam(kept.into(), Origin::Api);
    site.store.transact(|_| Ok::<_, Infallible>((vec![put], ()))).unwrap();
}

fn inline(documents: &[&str]) -> model::Permissions {
    let named = documents.iter().enumerate();
    let inline = named
        .map(|(number, text)| (format!("p{number}").parse().unwrap(), PolicyDocument::new(text)));
    model::Permissions { inline: inline.collect(), ..model::Permissions::default() }
}

/// A user with these policies.
fn user(site: &Site, documents: &[&str]) -> Caller {
    let mut user = User::described(site.scope.account_id, "dev".parse().unwrap());
    user.permissions = inline(documents);
    keep(site, user.clone());
    Caller::of_user(user, &site.scope.region)
}

/// Somebody in a role with these policies, who read the credentials on an instance if `delivery` says
/// how.
fn in_role(site: &Site, name: &str, delivery: Option<RoleDelivery>, documents: &[&str]) -> Caller {
    let source = CredentialSource::BuiltIn { life_seconds: None };
    let mut role = Role::described(name.parse().unwrap(), source);
    role.permissions = inline(documents);
    keep(site, role.clone());
    let instance = model::Instance::described(InstanceId::from_number(7));
    let session = RoleSession {
        role: role.name.clone(),
        role_id: role.unique_id(),
        name: SessionName::from(instance.id),
        source: delivery.map(|delivery| SourceInstance::new(&instance, delivery)),
        policies: SessionPolicies::default(),
        tags: BTreeMap::new(),
    };
    Caller {
        account_id: role.account_id,
        principal: Principal::Role(Arc::new(role), Box::new(session)),
        issued_at: Some(site.now.get()),
        partition: "aws",
    }
}

fn launch(more: &str) -> String {
    format!("Action=RunInstances&MinCount=1&MaxCount=1&{OLD}&{more}")
}

fn modify(id: &str, more: &str) -> String {
    format!("Action=ModifyInstanceMetadataOptions&InstanceId={id}&{more}")
}

/// Whether it is allowed; a dry run is told so.
fn may(site: &Site, caller: &Caller, form: &str) -> bool {
    let fault = site.ask_by(caller, &format!("{form}&DryRun=true")).unwrap_err();
    match &*fault.code {
        "DryRunOperation" => true,
        "UnauthorizedOperation" => false,
        other => panic!("{other}: {}", fault.message),
    }
}

#[test]
fn nobody_may_do_what_nothing_allows() {
    let site = Site::new();
    let dev = user(&site, &[]);
    let fault = site.ask_by(&dev, "Action=DescribeInstances").unwrap_err();
    assert_eq!((&*fault.code, fault.status), ("UnauthorizedOperation", 403));
    assert_eq!(
        fault.message,
        "You are not authorized to perform this operation. User: \
         arn:aws:iam::123456789012:user/dev is not authorized to perform: ec2:DescribeInstances \
         because no identity-based policy allows the ec2:DescribeInstances action"
    );
    assert!(site.ask_by(&user(&site, &[ALLOW_ALL]), "Action=DescribeInstances").is_ok());
}

#[test]
fn a_launch_is_held_against_what_the_instance_would_get() {
    let site = Site::new();
    let dev = user(&site, &[ALLOW_ALL, P1]);
    let required = "MetadataOptions.HttpTokens=required";
    assert!(!may(&site, &dev, &launch("")));
    assert!(may(&site, &dev, &launch(required)));
    assert!(!may(&site, &dev, &launch("MetadataOptions.HttpTokens=optional")));
    // The image says so, or a template, or the account.
    let marked = "Action=RunInstances&MinCount=1&MaxCount=1&ImageId=ami-0abcdef1234567890";
    assert!(may(&site, &dev, marked));
    site.ask(&format!(
        "Action=CreateLaunchTemplate&LaunchTemplateName=imdsv2&LaunchTemplateData.{OLD}\
         &LaunchTemplateData.{required}"
    ))
    .unwrap();
    let templated =
        "Action=RunInstances&MinCount=1&MaxCount=1&LaunchTemplate.LaunchTemplateName=imdsv2";
    assert!(may(&site, &dev, templated));
    site.ask("Action=ModifyInstanceMetadataDefaults&HttpTokens=required").unwrap();
    assert!(may(&site, &dev, &launch("")));
    site.ask("Action=ModifyInstanceMetadataDefaults&HttpTokens=no-preference").unwrap();
    assert!(!may(&site, &dev, &launch("")));
    // Not only dry runs: nothing is launched.
    let before = site.store.current().instance_count();
    assert_eq!(site.ask_by(&dev, &launch("")).unwrap_err().code, "UnauthorizedOperation");
    assert_eq!(site.store.current().instance_count(), before);
    assert!(site.ask_by(&dev, &launch(required)).is_ok());
    assert_eq!(site.store.current().instance_count(), before + 1);
}

/// The keys are those of the instance alone, and a negated operator is true without its key.
#[test]
fn the_options_are_known_of_the_instance_alone() {
    let site = Site::new();
    let required = launch("MetadataOptions.HttpTokens=required");
    let everywhere = P1.replace("arn:aws:ec2:*:*:instance/*", "*");
    assert!(!may(&site, &user(&site, &[ALLOW_ALL, &everywhere]), &required));
    let if_exists = everywhere.replace("StringNotEquals", "StringNotEqualsIfExists");
    assert!(!may(&site, &user(&site, &[ALLOW_ALL, &if_exists]), &required));
    let with_null = everywhere
        .replace(r#""Condition":{"#, r#""Condition":{"Null":{"ec2:MetadataHttpTokens":"false"},"#);
    let dev = user(&site, &[ALLOW_ALL, &with_null]);
    assert!(may(&site, &dev, &required));
    assert!(!may(&site, &dev, &launch("")));
}

#[test]
fn a_modification_is_held_against_what_the_request_says() {
    let site = Site::new();
    let id = site.launch(OLD);
    let dev = user(&site, &[ALLOW_ALL, P2]);
    assert!(may(&site, &dev, &modify(&id, "HttpPutResponseHopLimit=2")));
    assert!(may(&site, &dev, &modify(&id, "HttpTokens=required")));
    assert!(!may(&site, &dev, &modify(&id, "HttpTokens=optional")));
    let without_null = P2.replace(
        r#""Null":{"ec2:Attribute/HttpTokens":"false"}"#,
        r#""StringLike":{"ec2:Region":"*"}"#,
    );
    let dev = user(&site, &[ALLOW_ALL, &without_null]);
    assert!(!may(&site, &dev, &modify(&id, "HttpPutResponseHopLimit=2")));
    // The instance's own options are known too, as they are now.
    let of_v1 = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ec2:StopInstances",
        "Resource":"*","Condition":{"StringEquals":{"ec2:MetadataHttpTokens":"optional"}}}]}"#;
    let dev = user(&site, &[ALLOW_ALL, of_v1]);
    let stop = format!("Action=StopInstances&InstanceId.1={id}");
    assert!(!may(&site, &dev, &stop));
    site.ask(&modify(&id, "HttpTokens=required")).unwrap();
    assert!(may(&site, &dev, &stop));
}

#[test]
fn hop_limits_are_numbers() {
    let site = Site::new();
    let dev = user(&site, &[ALLOW_ALL, P3]);
    assert!(!may(&site, &dev, &launch("MetadataOptions.HttpPutResponseHopLimit=4")));
    assert!(may(&site, &dev, &launch("MetadataOptions.HttpPutResponseHopLimit=3")));
    assert!(may(&site, &dev, &launch("")));
}

#[test]
fn a_session_is_known_by_its_role() {
    let site = Site::new();
    let id = site.launch(OLD);
    let form = modify(&id, "HttpTokens=required");
    assert!(may(&site, &in_role(&site, "ec2-imds-admins", None, &[ALLOW_ALL, P4]), &form));
    assert!(!may(&site, &in_role(&site, "others", None, &[ALLOW_ALL, P4]), &form));
    assert!(!may(&site, &user(&site, &[ALLOW_ALL, P4]), &form));
}

#[test]
fn credentials_tell_how_they_were_read() {
    let site = Site::new();
    let id = site.launch(OLD);
    let stop = format!("Action=StopInstances&InstanceId.1={id}");
    let documents = [ALLOW_ALL, P5];
    assert!(!may(&site, &in_role(&site, "app", Some(RoleDelivery::V1), &documents), &stop));
    assert!(may(&site, &in_role(&site, "app", Some(RoleDelivery::V2), &documents), &stop));
    assert!(may(&site, &in_role(&site, "app", None, &documents), &stop));
    assert!(may(&site, &user(&site, &documents), &stop));
    // They tell on which instance, too.
    let elsewhere = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*",
        "Condition":{"ArnNotEquals":{"ec2:SourceInstanceARN":
        "arn:aws:ec2:us-east-1:123456789012:instance/i-00000000000000008"}}}]}"#;
    let caller = in_role(&site, "app", Some(RoleDelivery::V2), &[ALLOW_ALL, elsewhere]);
    assert!(!may(&site, &caller, &stop));
}

#[test]
fn a_role_is_handed_to_ec2_by_who_may_pass_it() {
    let site = Site::new();
    let launch_only = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}"#;
    let pass = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::*:role/example-role",
        "Condition":{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}}]}"#;
    let with_role = launch("IamInstanceProfile.Name=example-role");
    let fault = site.ask_by(&user(&site, &[launch_only]), &with_role).unwrap_err();
    let expected = "is not authorized to perform: iam:PassRole on resource: \
                    arn:aws:iam::123456789012:role/example-role because no identity-based policy \
                    allows the iam:PassRole action";
    assert!(fault.message.contains(expected), "{}", fault.message);
    assert!(may(&site, &user(&site, &[launch_only]), &launch("")));
    assert!(may(&site, &user(&site, &[launch_only, pass]), &with_role));
}

#[test]
fn tags_of_what_is_launched_are_asked_for() {
    let site = Site::new();
    let document = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"ec2:RunInstances","Resource":"*"},
        {"Effect":"Allow","Action":"ec2:CreateTags","Resource":"*","Condition":{
            "StringEquals":{"ec2:CreateAction":"RunInstances","aws:RequestTag/team":"blue"},
            "ForAllValues:StringEquals":{"aws:TagKeys":["team"]}}}]}"#;
    let dev = user(&site, &[document]);
    let tagged = |key: &str, value: &str| {
        launch(&format!(
            "TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key={key}\
             &TagSpecification.1.Tag.1.Value={value}"
        ))
    };
    assert!(may(&site, &dev, &launch("")));
    assert!(may(&site, &dev, &tagged("team", "blue")));
    assert!(!may(&site, &dev, &tagged("team", "red")));
    assert!(!may(&site, &dev, &tagged("other", "blue")));
}

#[test]
fn what_is_not_there_is_denied_before_it_is_missed() {
    let site = Site::new();
    let form = modify("i-0123456789abcdef0", "HttpTokens=required");
    assert_eq!(site.refusal(&form).0, "InvalidInstanceID.NotFound");
    assert!(!may(&site, &user(&site, &[]), &form));
    assert_eq!(site.ask_by(&user(&site, &[]), &form).unwrap_err().code, "UnauthorizedOperation");
}

#[test]
fn a_denial_names_the_statement_to_who_may_decode_it() {
    let site = Site::new();
    let fault = site.ask_by(&user(&site, &[ALLOW_ALL, P1]), &launch("")).unwrap_err();
    let (told, encoded) =
        fault.message.split_once(". Encoded authorization failure message: ").unwrap();
    assert_eq!(
        told,
        "You are not authorized to perform this operation. User: \
         arn:aws:iam::123456789012:user/dev is not authorized to perform: ec2:RunInstances on \
         resource: arn:aws:ec2:us-east-1:123456789012:instance/* with an explicit deny in an \
         identity-based policy"
    );
    let text = site.store.snapshot().issuer_key().unwrap().open_message(encoded).unwrap();
    let text = text.strip_prefix("123456789012\n").unwrap();
    let decoded: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(decoded["explicitDeny"], true);
    assert_eq!(decoded["matchedStatements"]["items"][0]["statementId"], "RequireImdsV2");
    assert_eq!(decoded["context"]["action"], "RunInstances");
    assert_eq!(decoded["context"]["principal"]["name"], "dev");
    let conditions = decoded["context"]["conditions"]["items"].as_array().unwrap();
    let tokens = conditions.iter().find(|of| of["key"] == "ec2:MetadataHttpTokens").unwrap();
    assert_eq!(tokens["values"]["items"][0]["value"], "optional");
    assert!(text.starts_with(r#"{"allowed":false,"explicitDeny":true,"matchedStatements":"#));
}

/// Of several interfaces, each is asked for with the subnet and the group that it would get.
#[test]
fn every_interface_is_asked_for_with_its_own_defaults() {
    let site = Site::new();
    let bare = site.launch(OLD);
    let shown = format!("Action=DescribeInstances&InstanceId.1={bare}");
    let subnet = site.all(&shown, "subnetId").remove(0);
    let denied = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Action":"ec2:RunInstances",
        "Resource":"arn:aws:ec2:*:*:subnet/{subnet}"}}]}}"#
    );
    let dev = user(&site, &[ALLOW_ALL, &denied]);
    let other =
        "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId=subnet-03d74b8d6ab6c39f2";
    assert!(may(&site, &dev, &launch(other)));
    assert!(!may(&site, &dev, &launch(&format!("{other}&NetworkInterface.2.DeviceIndex=1"))));
    assert!(!may(&site, &dev, &launch("")));
    let zone = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"ec2:RunInstances",
        "Resource":"arn:aws:ec2:*:*:instance/*",
        "Condition":{"StringEquals":{"ec2:AvailabilityZone":"us-east-1b"}}}]}"#;
    let dev = user(&site, &[ALLOW_ALL, zone]);
    assert!(!may(&site, &dev, &launch("Placement.AvailabilityZone=us-east-1b")));
    assert!(may(&site, &dev, &launch("Placement.AvailabilityZone=us-east-1a")));
}

/// What a group that is gone would have denied, nobody knows.
#[test]
fn a_group_that_is_gone_denies() {
    let site = Site::new();
    let mut dev = User::described(site.scope.account_id, "dev".parse().unwrap());
    dev.permissions = inline(&[ALLOW_ALL]);
    dev.groups.insert("gone".parse().unwrap());
    assert!(!may(&site, &Caller::of_user(dev, &site.scope.region), &launch("")));
}
