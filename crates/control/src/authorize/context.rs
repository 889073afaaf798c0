//! The condition keys that every request has (control plane, 5.2).

use model::{AccountId, MetadataOptions};
use policy::{Context, Principal, PrincipalKind, RequestRefusal, Value};
use store::Snapshot;

use crate::action::Desk;
use crate::caller::{self, Caller};

/// LIMIT: how much of what a client calls itself is held against policies.
const USER_AGENT_CHARACTERS_MAX: usize = 1024;

/// The caller, as policies know it.
pub(crate) fn principal_of(caller: &Caller) -> Principal {
    let role_arn = |path_and_name: &str| {
        format!("arn:{}:iam::{}:role{path_and_name}", caller.partition, caller.account_id)
    };
    let mut tags = Vec::new();
    let kind = match &caller.principal {
        caller::Principal::Instance(_) => {
            let role = role_arn(&format!("/{}", metadata::session::INSTANCE_ROLE));
            PrincipalKind::RoleSession { role }
        }
        caller::Principal::Role(role, session) => {
            // A session's own tags come before those of its role.
            let own = session.tags.iter().chain(&role.tags);
            tags.extend(own.rev().map(|(key, value)| (key.to_string(), value.to_string())));
            PrincipalKind::RoleSession { role: role.arn(caller.partition) }
        }
        caller::Principal::User(user) => {
            let of_user = user.tags.iter();
            tags.extend(of_user.map(|(key, value)| (key.to_string(), value.to_string())));
            PrincipalKind::User { name: user.name.to_string() }
        }
    };
    Principal { kind, account: Some(caller.account_id), arn: caller.arn(), tags }
}

/// Says all that is known of a request, whatever it asks for. What policies know of the principal as
/// such follows from it.
pub(super) fn describe(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    action: &str,
    resource_account: AccountId,
    context: &mut Context,
) -> Result<(), RequestRefusal> {
    let mut put = |key: &str, value: Value| context.insert(key, vec![value]);
    put("aws:userid", Value::text(&desk.caller.user_id()))?;
    put("aws:RequestedRegion", Value::text(desk.scope.region.as_str()))?;
    put("aws:ResourceAccount", Value::text(resource_account.as_str()))?;
    // The management listener is plain HTTP: TLS ends before it, if anywhere.
    put("aws:SecureTransport", Value::bool(false))?;
    put("aws:ViaAWSService", Value::bool(false))?;
    if let Some(source) = desk.call.source {
        put("aws:SourceIp", Value::address(source))?;
    }
    if let Some(user_agent) = desk.call.user_agent {
        let short: String = user_agent.chars().take(USER_AGENT_CHARACTERS_MAX).collect();
        put("aws:UserAgent", Value::text(&short))?;
    }
    if action.starts_with("ec2:") {
        put("ec2:Region", Value::text(desk.scope.region.as_str()))?;
    }
    if let Some(issued_at) = desk.caller.issued_at {
        put("aws:TokenIssueTime", Value::time(issued_at))?;
        put("aws:MultiFactorAuthPresent", Value::bool(false))?;
    }
    describe_source(&desk.caller, context)?;
    describe_organization(snapshot, desk.caller.account_id, context)?;
    context.insert_time(desk.now)
}

/// The instance that read the credentials, and how it did.
fn describe_source(caller: &Caller, context: &mut Context) -> Result<(), RequestRefusal> {
    let Some(source) = caller.source() else { return Ok(()) };
    let mut put = |key: &str, value: Value| context.insert(key, vec![value]);
    put("ec2:RoleDelivery", Value::text(source.delivery.as_str()))?;
    put("ec2:SourceInstanceARN", Value::text(&source.arn(caller.account_id)))?;
    if let Some(vpc_id) = source.vpc_id {
        put("aws:Ec2InstanceSourceVpc", Value::text(&vpc_id.text()))?;
    }
    if let Some(address) = source.ipv4 {
        put("aws:Ec2InstanceSourcePrivateIPv4", Value::address(address.into()))?;
    }
    Ok(())
}

fn describe_organization(
    snapshot: &Snapshot,
    account_id: AccountId,
    context: &mut Context,
) -> Result<(), RequestRefusal> {
    for (key, value) in organization_keys(snapshot, account_id) {
        context.insert(&key, vec![Value::text(&value)])?;
    }
    Ok(())
}

/// The keys that follow from where an account is in the organization.
pub(crate) fn organization_keys(
    snapshot: &Snapshot,
    account_id: AccountId,
) -> Vec<(String, String)> {
    let Some(organization) = snapshot.organization() else { return Vec::new() };
    let way = organization.way_to(account_id);
    if way.is_empty() {
        return Vec::new();
    }
    let mut path = format!("{}/", organization.id);
    for step in way.iter().filter(|step| !matches!(step, model::Target::Account(_))) {
        path.push_str(&step.to_string());
        path.push('/');
    }
    let id = ("aws:PrincipalOrgID".to_owned(), organization.id.to_string());
    vec![id, ("aws:PrincipalOrgPaths".to_owned(), path)]
}

/// The keys that metadata options are asked about by.
pub(crate) fn keys_of_options(options: MetadataOptions) -> [(String, Vec<Value>); 4] {
    let hop_limit = i64::from(options.http_put_response_hop_limit.as_hops());
    [
        ("MetadataHttpTokens", Value::text(options.http_tokens.as_str())),
        ("MetadataHttpEndpoint", Value::text(options.http_endpoint.as_str())),
        ("MetadataHttpPutResponseHopLimit", Value::number(hop_limit)),
        ("InstanceMetadataTags", Value::text(options.instance_metadata_tags.as_str())),
    ]
    .map(|(name, value)| (format!("ec2:{name}"), vec![value]))
}
