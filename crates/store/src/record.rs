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
use model::{AccountId, Common, Instance, Line, Resource, Role, Scope, Secret, Timestamp, User};
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
pub(crate) const KINDS: [&str; 7] =
    ["administrator", "identity-keys", "instance", "issuer-key", "role", "token-keys", "user"];

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

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserRecord {
    v: V1,
    origin: Origin,
    user: Arc<User>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleRecord {
    v: V1,
    origin: Origin,
    role: Arc<Role>,
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
        Change::DeleteInstance(id) => format!("instance/{id}"),
        Change::DeleteResource(scope, key) => format!("{}/{scope}/{key}", key.kind()),
        Change::DeleteRole(name) => format!("role/{name}"),
        Change::DeleteUser(account_id, name) => format!("user/{account_id}/{name}"),
        Change::PutAdministrator(_) => "administrator".to_owned(),
        Change::PutIdentityKeys(_) => "identity-keys".to_owned(),
        Change::PutInstance(instance, _) => format!("instance/{}", instance.id),
        Change::PutIssuerKey(_) => "issuer-key".to_owned(),
        Change::PutResource(scope, resource) => {
            let key = resource.key();
            format!("{}/{scope}/{key}", key.kind())
        }
        Change::PutRole(role, _) => format!("role/{}", role.name),
        Change::PutTokenKeys(_) => "token-keys".to_owned(),
        Change::PutUser(user, _) => format!("user/{}/{}", user.account_id, user.name),
    }
}

/// Writes a change down.
pub(crate) fn encode(change: &Change) -> Write {
    let name = key_of(change);
    match change {
        Change::DeleteInstance(_)
        | Change::DeleteResource(..)
        | Change::DeleteRole(_)
        | Change::DeleteUser(..) => Write { key: name, value: None },
        Change::PutAdministrator(administrator) => put(
            name,
            &AdministratorRecord {
                v: V1::One,
                account_id: administrator.account_id,
                access_key_id: administrator.access_key_id.clone(),
                secret_access_key: administrator.secret_access_key.clone(),
            },
        ),
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
        Change::PutResource(scope, resource) => put(
            name,
            &ResourceRecord { v: V1::One, scope: scope.clone(), resource: Arc::clone(resource) },
        ),
        Change::PutRole(role, origin) => {
            put(name, &RoleRecord { v: V1::One, origin: *origin, role: Arc::clone(role) })
        }
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
        Change::PutUser(user, origin) => {
            put(name, &UserRecord { v: V1::One, origin: *origin, user: Arc::clone(user) })
        }
    }
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
        "role" => {
            let record: RoleRecord = parse(text)?;
            Ok(Change::PutRole(record.role, record.origin))
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
        "user" => {
            let record: UserRecord = parse(text)?;
            Ok(Change::PutUser(record.user, record.origin))
        }
        kind if kind.parse::<model::ResourceKind>().is_ok() => {
            let record: ResourceRecord = parse(text)?;
            Ok(Change::PutResource(record.scope, record.resource))
        }
        _ => Err(RecordFault::UnknownKind),
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
