//! Records: how a change is written down.
//!
//! ```text
//! key    kind/name                     such as instance/i-1234567890abcdef0
//! value  digest (8 bytes)              of key and text, so that damage is noticed
//!        {"v":"1", …}                  JSON
//! ```

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metadata::{IssuerKey, TokenKey};
use model::{
    AccountId, Common, ControlPolicy, Group, Iam, IamKind, Instance, Line, ManagedPolicy,
    Organization, RegisteredInstanceProfile, Resource, Role, Scope, Secret, Timestamp, User,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::Change;
use crate::backend::Write;
use crate::keys::{Administrator, IdentityKeyRecord, RingKey, TokenKeyRing};
use crate::snapshot::Origin;

pub(crate) const DIGEST_BYTES: usize = 8;

/// The kinds of records besides those of resources, which have theirs in the model.
#[cfg(test)]
pub(crate) const KINDS: [&str; 12] = [
    "administrator",
    "control-policy",
    "group",
    "identity-keys",
    "instance",
    "instance-profile",
    "issuer-key",
    "organization",
    "policy",
    "role",
    "token-keys",
    "user",
];

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordFault {
    /// Its bytes are not those that were written.
    #[error("it is damaged: restore the state from a backup")]
    Damaged,
    /// Not understood: a newer version may have written it.
    #[error("it is not understood; a newer version of this program may have written it")]
    NotUnderstood(#[source] serde_json::Error),
    /// An instance whose fields do not go together.
    #[error("it does not describe an instance")]
    Instance(#[source] model::InstanceRefusal),
    /// Key material of the wrong size.
    #[error("it does not hold a key")]
    Key,
    /// Under another key than what it holds is written under.
    #[error("it holds something else than its key says: restore the state from a backup")]
    Misplaced,
    /// A key of no kind that is known.
    #[error("its kind is unknown; a newer version of this program may have written it")]
    UnknownKind,
}

/// The version of a record's shape.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum V1 {
    #[serde(rename = "1")]
    One,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstanceRecord {
    v: V1,
    origin: Origin,
    instance: Arc<Instance>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceRecord {
    v: V1,
    scope: Scope,
    resource: Arc<Resource>,
}

/// Records that hold one thing and where it was described, under the name of its kind.
macro_rules! records {
    ($($record:ident { $field:ident: $type:ty })+) => {
        $(
            #[derive(Serialize, Deserialize)]
            #[serde(deny_unknown_fields, rename_all = "kebab-case")]
            struct $record {
                v: V1,
                origin: Origin,
                $field: Arc<$type>,
            }
        )+
    };
}

records! {
    ControlPolicyRecord { control_policy: ControlPolicy }
    GroupRecord { group: Group }
    InstanceProfileRecord { instance_profile: RegisteredInstanceProfile }
    OrganizationRecord { organization: Organization }
    PolicyRecord { policy: ManagedPolicy }
    RoleRecord { role: Role }
    UserRecord { user: User }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenKeysRecord {
    v: V1,
    keys: Vec<TokenKeyRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenKeyRecord {
    id: u8,
    created: Timestamp,
    secret: Secret<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretRecord {
    v: V1,
    secret: Secret<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdministratorRecord {
    v: V1,
    account_id: AccountId,
    access_key_id: Line,
    secret_access_key: Secret<String>,
}

/// Returns the key of the record that a change writes or deletes.
fn key_of(change: &Change) -> String {
    match change {
        Change::DeleteControlPolicy(id) => format!("control-policy/{id}"),
        Change::DeleteIam(key) => key.to_string(),
        Change::DeleteInstance(id) => format!("instance/{id}"),
        Change::DeleteOrganization | Change::PutOrganization(..) => "organization".to_owned(),
        Change::DeleteResource(scope, key) => format!("{}/{scope}/{key}", key.kind()),
        Change::PutAdministrator(_) => "administrator".to_owned(),
        Change::PutControlPolicy(policy, _) => format!("control-policy/{}", policy.id),
        Change::PutIam(kept, _) => kept.key().to_string(),
        Change::PutIdentityKeys(_) => "identity-keys".to_owned(),
        Change::PutInstance(instance, _) => format!("instance/{}", instance.id),
        Change::PutIssuerKey(_) => "issuer-key".to_owned(),
        Change::PutResource(scope, resource) => {
            let key = resource.key();
            format!("{}/{scope}/{key}", key.kind())
        }
        Change::PutTokenKeys(_) => "token-keys".to_owned(),
    }
}

/// Writes a change down.
pub(crate) fn encode(change: &Change) -> Write {
    let name = key_of(change);
    match change {
        Change::DeleteControlPolicy(_)
        | Change::DeleteIam(_)
        | Change::DeleteInstance(_)
        | Change::DeleteOrganization
        | Change::DeleteResource(..) => Write { key: name, value: None },
        Change::PutAdministrator(administrator) => put(
            name,
            &AdministratorRecord {
                v: V1::One,
                account_id: administrator.account_id,
                access_key_id: administrator.access_key_id.clone(),
                secret_access_key: administrator.secret_access_key.clone(),
            },
        ),
        Change::PutControlPolicy(policy, origin) => {
            let control_policy = Arc::clone(policy);
            put(name, &ControlPolicyRecord { v: V1::One, origin: *origin, control_policy })
        }
        Change::PutIam(kept, origin) => encode_iam(name, kept, *origin),
        Change::PutIdentityKeys(IdentityKeyRecord(secret)) => {
            put(name, &SecretRecord { v: V1::One, secret: secret.clone() })
        }
        Change::PutInstance(instance, origin) => put(
            name,
            &InstanceRecord { v: V1::One, origin: *origin, instance: Arc::clone(instance) },
        ),
        Change::PutIssuerKey(key) => {
            put(name, &SecretRecord { v: V1::One, secret: encode_key(key.secret()) })
        }
        Change::PutOrganization(organization, origin) => {
            let organization = Arc::clone(organization);
            put(name, &OrganizationRecord { v: V1::One, origin: *origin, organization })
        }
        Change::PutResource(scope, resource) => put(
            name,
            &ResourceRecord { v: V1::One, scope: scope.clone(), resource: Arc::clone(resource) },
        ),
        Change::PutTokenKeys(ring) => {
            let keys = ring
                .keys()
                .map(|RingKey { key, created }| TokenKeyRecord {
                    id: key.id(),
                    created: *created,
                    secret: encode_key(key.secret()),
                })
                .collect();
            put(name, &TokenKeysRecord { v: V1::One, keys })
        }
    }
}

fn encode_iam(name: String, kept: &Iam, origin: Origin) -> Write {
    let v = V1::One;
    match kept.clone() {
        Iam::Group(group) => put(name, &GroupRecord { v, origin, group }),
        Iam::InstanceProfile(instance_profile) => {
            put(name, &InstanceProfileRecord { v, origin, instance_profile })
        }
        Iam::Policy(policy) => put(name, &PolicyRecord { v, origin, policy }),
        Iam::Role(role) => put(name, &RoleRecord { v, origin, role }),
        Iam::User(user) => put(name, &UserRecord { v, origin, user }),
    }
}

fn read_iam(kind: IamKind, text: &[u8]) -> Result<Change, RecordFault> {
    let (kept, origin) = match kind {
        IamKind::Group => {
            let GroupRecord { origin, group, .. } = parse(text)?;
            (Iam::Group(group), origin)
        }
        IamKind::InstanceProfile => {
            let InstanceProfileRecord { origin, instance_profile, .. } = parse(text)?;
            (Iam::InstanceProfile(instance_profile), origin)
        }
        IamKind::Policy => {
            let PolicyRecord { origin, policy, .. } = parse(text)?;
            (Iam::Policy(policy), origin)
        }
        IamKind::Role => {
            let RoleRecord { origin, role, .. } = parse(text)?;
            (Iam::Role(role), origin)
        }
        IamKind::User => {
            let UserRecord { origin, user, .. } = parse(text)?;
            (Iam::User(user), origin)
        }
    };
    Ok(Change::PutIam(kept, origin))
}

/// Writes a record under another key. A damaged one stays damaged.
pub(crate) fn moved(from: &str, to: &str, value: &[u8]) -> Write {
    let key = to.to_owned();
    let value = match value.split_first_chunk() {
        Some((digest, text)) if *digest == digest_of(from, text) => {
            [&digest_of(to, text)[..], text].concat()
        }
        Some(_) | None => value.to_vec(),
    };
    Write { key, value: Some(value) }
}

/// Reads a record back as the change that wrote it. What an instance has in common with those that
/// came before is shared with them.
pub(crate) fn decode(key: &str, value: &[u8], common: &mut Common) -> Result<Change, RecordFault> {
    let change = read(key, value, common)?;
    if key_of(&change) == key { Ok(change) } else { Err(RecordFault::Misplaced) }
}

fn read(key: &str, value: &[u8], common: &mut Common) -> Result<Change, RecordFault> {
    let (digest, text) = value.split_first_chunk().ok_or(RecordFault::Damaged)?;
    if *digest != digest_of(key, text) {
        return Err(RecordFault::Damaged);
    }
    match key.split_once('/').map_or(key, |(kind, _)| kind) {
        "administrator" => {
            let record: AdministratorRecord = parse(text)?;
            Ok(Change::PutAdministrator(Administrator {
                account_id: record.account_id,
                access_key_id: record.access_key_id,
                secret_access_key: record.secret_access_key,
            }))
        }
        "control-policy" => {
            let record: ControlPolicyRecord = parse(text)?;
            Ok(Change::PutControlPolicy(record.control_policy, record.origin))
        }
        "identity-keys" => {
            let record: SecretRecord = parse(text)?;
            Ok(Change::PutIdentityKeys(IdentityKeyRecord(record.secret)))
        }
        "instance" => {
            let mut record: InstanceRecord = parse(text)?;
            record.instance.check().map_err(RecordFault::Instance)?;
            Arc::make_mut(&mut record.instance).share(common);
            Ok(Change::PutInstance(record.instance, record.origin))
        }
        "issuer-key" => {
            let record: SecretRecord = parse(text)?;
            Ok(Change::PutIssuerKey(IssuerKey::new(decode_key(&record.secret)?)))
        }
        "organization" => {
            let record: OrganizationRecord = parse(text)?;
            Ok(Change::PutOrganization(record.organization, record.origin))
        }
        "token-keys" => {
            let record: TokenKeysRecord = parse(text)?;
            let key = |TokenKeyRecord { id, created, secret }| {
                decode_key(&secret)
                    .map(|secret| RingKey { key: TokenKey::new(id, secret), created })
            };
            let keys = record.keys.into_iter().map(key).collect::<Result<_, _>>()?;
            TokenKeyRing::try_from_keys(keys)
                .map(|ring| Change::PutTokenKeys(Arc::new(ring)))
                .ok_or(RecordFault::Key)
        }
        kind if kind.parse::<model::ResourceKind>().is_ok() => {
            let record: ResourceRecord = parse(text)?;
            Ok(Change::PutResource(record.scope, record.resource))
        }
        kind => match kind.parse::<IamKind>() {
            Ok(kind) => read_iam(kind, text),
            Err(_) => Err(RecordFault::UnknownKind),
        },
    }
}

fn put(key: String, record: &impl Serialize) -> Write {
    #[expect(clippy::expect_used, reason = "the records above have text keys and no failing parts")]
    let text = serde_json::to_vec(record).expect("records can be written as JSON");
    let value = [&digest_of(&key, &text)[..], &text].concat();
    Write { key, value: Some(value) }
}

fn parse<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Result<T, RecordFault> {
    serde_json::from_slice(text).map_err(RecordFault::NotUnderstood)
}

pub(crate) fn digest_of(key: &str, text: &[u8]) -> [u8; DIGEST_BYTES] {
    let digest = Sha256::new().chain_update(key).chain_update([0]).chain_update(text).finalize();
    let mut first = [0; DIGEST_BYTES];
    first.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    first
}

fn encode_key(key: &Secret<[u8; 32]>) -> Secret<String> {
    Secret::new(STANDARD.encode(key.expose()))
}

fn decode_key(text: &Secret<String>) -> Result<[u8; 32], RecordFault> {
    let bytes = STANDARD.decode(text.expose()).map(Zeroizing::new).map_err(|_| RecordFault::Key)?;
    bytes.as_slice().try_into().map_err(|_| RecordFault::Key)
}
