//! Key pairs: `DescribeKeyPairs`, `ImportKeyPair` and `DeleteKeyPair`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Line, RegisteredKeyPair, Resource, ResourceKey, Scope};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Change, Snapshot};

use super::instance_element::{TagElement, derived_id, tag_elements};
use super::inventory::Inventory;
use super::launch_parameters::TagSpecification;
use super::tags::{self, Tags};
use super::{Action, Desk};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::xml::Time;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: the length of a key pair's name. EC2 documents it.
const NAME_CHARACTERS_MAX: usize = 255;

/// LIMIT: the length of a public key; one of 16384 bits has 2800 characters.
const MATERIAL_BYTES_MAX: usize = 8192;

/// The types of keys that EC2 imports, as keys name them, and as EC2 does.
const TYPES: [(&str, &str); 2] = [("ssh-ed25519", "ed25519"), ("ssh-rsa", "rsa")];

/// Describes key pairs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeKeyPairs {
    filter: Vec<Filter>,
    include_public_key: Option<bool>,
    key_name: Vec<String>,
    key_pair_id: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeKeyPairsAnswer {
    key_set: Vec<KeyPairElement>,
}

/// `keySet/item`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyPairElement {
    key_pair_id: String,
    // EC2 has one for RSA keys too: a digest of another form of the key.
    key_fingerprint: Option<String>,
    key_name: String,
    key_type: Option<&'static str>,
    tag_set: Vec<TagElement>,
    public_key: Option<String>,
    create_time: Time,
}

/// Registers a public key under a name.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ImportKeyPair {
    key_name: String,
    public_key_material: String,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportKeyPairAnswer {
    key_fingerprint: Option<String>,
    key_name: String,
    key_pair_id: String,
    tag_set: Vec<TagElement>,
}

/// Forgets a key pair. Instances keep the key that they were launched with.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DeleteKeyPair {
    key_name: Option<String>,
    key_pair_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeleteKeyPairAnswer {
    r#return: bool,
    key_pair_id: Option<String>,
}

/// What filters look at.
struct Item<'a> {
    id: String,
    pair: RegisteredKeyPair,
    tags: &'a Tags,
}

impl Action for DescribeKeyPairs {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let filters = Filters::new(self.filter, &filters())?;
        let snapshot = desk.store.snapshot();
        let items: Vec<_> = items(&snapshot, &desk.scope).collect();
        let has = |named: &dyn Fn(&Item<'_>) -> bool| items.iter().any(named);
        if let Some(name) = self.key_name.iter().find(|name| !has(&|of| *of.pair.name == ***name)) {
            return Err(ApiFault::key_pair_not_found(name));
        }
        if let Some(id) = self.key_pair_id.iter().find(|id| !has(&|of| of.id == **id)) {
            return Err(ApiFault::key_pair_id_not_found(id));
        }
        let names_none = self.key_name.is_empty() && self.key_pair_id.is_empty();
        let is_named = |item: &Item<'_>| {
            names_none
                || self.key_name.iter().any(|name| *item.pair.name == **name)
                || self.key_pair_id.contains(&item.id)
        };
        let shows_key = self.include_public_key == Some(true);
        let shown = items.iter().filter(|item| is_named(item) && filters.admit(item));
        let key_set = shown.map(|item| KeyPairElement::new(item, shows_key)).collect();
        Ok(Answer::of(DescribeKeyPairsAnswer { key_set }))
    }
}

impl KeyPairElement {
    fn new(item: &Item<'_>, shows_key: bool) -> Self {
        let public_key = item.pair.public_key.as_deref();
        Self {
            key_pair_id: item.id.clone(),
            key_fingerprint: public_key.and_then(fingerprint),
            key_name: item.pair.name.to_string(),
            key_type: public_key.and_then(key_type),
            tag_set: tag_elements(item.tags),
            // EC2: with the name behind it, as metadata has it.
            public_key: public_key.filter(|_| shows_key).map(|key| {
                let name = &item.pair.name;
                format!("{key} {name}")
            }),
            create_time: Time(item.pair.created),
        }
    }
}

fn items<'s>(snapshot: &'s Snapshot, scope: &'s Scope) -> impl Iterator<Item = Item<'s>> {
    Inventory::new(snapshot, scope).key_pairs().map(|pair| {
        let id = key_pair_id(scope, &pair);
        Item { tags: tags::of(snapshot, scope, &id), id, pair }
    })
}

fn filters<'a>() -> [Known<Item<'a>>; 4] {
    [
        Known::tags(|item| tags::pairs(item.tags)),
        Known::new("fingerprint", |item| {
            let of_key = item.pair.public_key.as_deref().and_then(fingerprint);
            of_key.map_or(Values::None, |text| Values::shown(&text))
        }),
        Known::new("key-name", |item| (&*item.pair.name).into()),
        Known::new("key-pair-id", |item| (&*item.id).into()),
    ]
}

impl Action for ImportKeyPair {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let mut asks = vec![Ask::on(desk.ec2_arn("key-pair", &self.key_name))];
        asks.extend(desk.asks_to_tag(&self.tag_specification, "ImportKeyPair"));
        Ok(asks)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let name = parse_name(&self.key_name)?;
        let public_key = parse_public_key(&self.public_key_material)?;
        let given = tags::specified(&self.tag_specification, "key-pair")?;
        let pair = RegisteredKeyPair { name, public_key: Some(public_key), created: desk.now };
        let id = key_pair_id(&desk.scope, &pair);
        desk.transact(|snapshot| {
            // One that was adopted for its name alone gets its key now.
            let known = Inventory::new(snapshot, &desk.scope).key_pair(&pair.name);
            if known.is_some_and(|known| known.public_key.is_some()) {
                return Err(ApiFault::key_pair_exists(&pair.name));
            }
            let mut changes = vec![desk.put(Resource::KeyPair(pair.clone()))];
            changes.extend(tags::put(desk, &id, given.clone()).filter(|_| !given.is_empty()));
            Ok((changes, ()))
        })?;
        Ok(Answer::of(ImportKeyPairAnswer {
            key_fingerprint: pair.public_key.as_deref().and_then(fingerprint),
            key_name: self.key_name,
            key_pair_id: id,
            tag_set: tag_elements(&given),
        }))
    }
}

impl Action for DeleteKeyPair {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let inventory = Inventory::new(snapshot, &desk.scope);
        let of_id = |id: &String| {
            let found = inventory.key_pairs().find(|pair| key_pair_id(&desk.scope, pair) == *id);
            found.map_or_else(|| id.clone(), |pair| pair.name.to_string())
        };
        let name = self.key_name.clone().or_else(|| self.key_pair_id.as_ref().map(of_id));
        Ok(vec![Ask::on(desk.ec2_arn("key-pair", name.as_deref().unwrap_or("*")))])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        if self.key_name.is_none() && self.key_pair_id.is_none() {
            return Err(ApiFault::missing_parameter("KeyName"));
        }
        let key_pair_id = desk.transact(|snapshot| {
            let by_id = |item: &Item<'_>| self.key_pair_id.as_ref().is_none_or(|id| *id == item.id);
            let by_name = |item: &Item<'_>| {
                self.key_name.as_ref().is_none_or(|name| **name == *item.pair.name)
            };
            let found = items(snapshot, &desk.scope).find(|item| by_id(item) && by_name(item));
            match (found, &self.key_pair_id) {
                (Some(item), _) => Ok((forget(desk, snapshot, &item)?, Some(item.id))),
                (None, Some(id)) => Err(ApiFault::key_pair_id_not_found(id)),
                // EC2: a name that is not there is as good as one that is deleted.
                (None, None) => Ok((Vec::new(), None)),
            }
        })?;
        Ok(Answer::of(DeleteKeyPairAnswer { r#return: true, key_pair_id }))
    }
}

fn forget(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    item: &Item<'_>,
) -> Result<Vec<Change>, ApiFault> {
    let name = item.pair.name.clone();
    if snapshot.key_pair(&desk.scope, name.clone()).is_none() {
        return Err(ApiFault::operation_not_permitted(format!(
            "The key pair '{name}' is that of the default instance: it goes with it."
        )));
    }
    let mut changes =
        vec![Change::DeleteResource(desk.scope.clone(), ResourceKey::KeyPair(name))];
    changes.extend(tags::put(desk, &item.id, Tags::new()).filter(|_| !item.tags.is_empty()));
    Ok(changes)
}

/// The id of a key pair. Another one that gets the name later has another one.
pub(crate) fn key_pair_id(scope: &Scope, pair: &RegisteredKeyPair) -> String {
    derived_id("key-", &format!("{scope}/{}/{}", pair.name, pair.created.as_millis()))
}

fn parse_name(text: &str) -> Result<Line, ApiFault> {
    let fits = text.is_ascii() && text.len() <= NAME_CHARACTERS_MAX;
    let name = text.parse().ok().filter(|_| fits);
    let reason = "Use 1 to 255 ASCII characters.";
    name.ok_or_else(|| ApiFault::invalid_value_for(text, "keyName", reason))
}

/// Reads a public key as OpenSSH writes it, in base64; what is kept is its type and its base64.
fn parse_public_key(material: &str) -> Result<Line, ApiFault> {
    let refused = ApiFault::invalid_public_key;
    let plain: String = material.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = Some(plain).filter(|plain| plain.len() <= MATERIAL_BYTES_MAX);
    let bytes = bytes.and_then(|plain| STANDARD.decode(plain).ok()).ok_or_else(refused)?;
    let text = String::from_utf8(bytes).map_err(|_| refused())?;
    let mut words = text.split_ascii_whitespace();
    let (of_type, blob) = words.next().zip(words.next()).ok_or_else(refused)?;
    let key = format!("{of_type} {blob}");
    if key_type(&key).is_some() { key.parse().map_err(|_| refused()) } else { Err(refused()) }
}

/// EC2's name of the type of a public key. None if it is none: RFC 4253, 6.6, has the type in
/// front of the key once more, behind its length.
fn key_type(public_key: &str) -> Option<&'static str> {
    let (of_type, blob) = public_key.split_once(' ')?;
    let blob = STANDARD.decode(blob).ok()?;
    let (length, rest) = blob.split_first_chunk()?;
    let own = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    let (known, name) = TYPES.into_iter().find(|(known, _)| *known == of_type)?;
    (own == known.as_bytes() && rest.len() > own.len()).then_some(name)
}

/// The digest by which an Ed25519 key is told from others.
fn fingerprint(public_key: &str) -> Option<String> {
    let blob = public_key.strip_prefix("ssh-ed25519 ")?;
    Some(STANDARD.encode(Sha256::digest(STANDARD.decode(blob).ok()?)))
}

#[cfg(test)]
mod tests;
