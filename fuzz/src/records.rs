//! The records of the store: whatever a state directory holds, a store is opened whole or not at
//! all, and what was opened can be written and opened again.
//!
//! The input is lines, by turns the key and the text of a record. The target puts the digest in
//! front of the text, or, where the text begins with `!`, the bytes behind that as they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metadata::TokenFormat;
use model::{Generation, TokenTtl};
use sha2::{Digest as _, Sha256};
use store::{Backend, BackendFault, Change, IssuerKey, Snapshot, Store, TransactFault, Write};

use crate::native::can_be_served;
use crate::tree::NOW;

type Records = BTreeMap<String, Vec<u8>>;

/// Holds records, and shares them.
#[derive(Clone, Debug, Default)]
struct Shared {
    kept: Arc<Mutex<(Generation, Records)>>,
}

impl Backend for Shared {
    fn load(
        &self,
        batch: &mut dyn FnMut(Vec<(String, Vec<u8>)>),
    ) -> Result<Generation, BackendFault> {
        let (generation, records) = self.kept.lock().expect("nobody panics").clone();
        batch(records.into_iter().collect());
        Ok(generation)
    }

    fn commit(
        &self,
        _: Generation,
        to: Generation,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), BackendFault> {
        let (generation, records) = &mut *self.kept.lock().expect("nobody panics");
        *generation = to;
        for Write { key, value } in writes {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
        Ok(())
    }
}

/// Opens a store that holds the records in `data`.
pub fn check(data: &[u8]) {
    let records = records(data);
    let backend = Shared::default();
    *backend.kept.lock().expect("nobody panics") = (Generation::from_number(7), records.clone());
    let Ok(store) = Store::open(Box::new(backend)) else {
        return;
    };
    for (key, value) in &records {
        let (digest, text) = value.split_at_checked(8).expect("a record has a digest");
        assert_eq!(digest, digest_of(key, text), "`{key}` is damaged");
    }
    let snapshot = store.snapshot();
    assert_eq!(snapshot.generation(), Generation::from_number(7));
    for (instance, _) in snapshot.instances() {
        assert_eq!(instance.check(), Ok(()));
        can_be_served(instance);
    }
    keys_work(&snapshot);
    can_be_opened_again(&snapshot, &records);
}

fn records(data: &[u8]) -> Records {
    let mut records = BTreeMap::new();
    let mut lines = data.split(|byte| *byte == b'\n');
    while let (Some(key), Some(text)) = (lines.next(), lines.next()) {
        let key = String::from_utf8_lossy(key).into_owned();
        let value = match text.strip_prefix(b"!") {
            Some(raw) => raw.to_vec(),
            None => [&digest_of(&key, text)[..], text].concat(),
        };
        records.insert(key, value);
    }
    records
}

fn digest_of(key: &str, text: &[u8]) -> Vec<u8> {
    let bytes = [key.as_bytes(), &[0], text].concat();
    Sha256::digest(bytes)[..8].to_vec()
}

/// Tokens of every key are accepted, and so they are after a rotation.
fn keys_work(snapshot: &Snapshot) {
    let Some(ring) = snapshot.token_key_ring() else {
        assert!(snapshot.token_keys().is_none());
        return;
    };
    let instance = model::Instance::default_id();
    let keys = ring.token_keys();
    let token = keys.mint(TokenFormat::Nitro, instance, TokenTtl::MAX, NOW, [0; 11]);
    let token = token.expect("a token can be minted");
    assert!(keys.verify(&token, instance, NOW).is_ok());
    let rotated = ring.rotated([42; 32], NOW);
    assert!(rotated.token_keys().verify(&token, instance, NOW).is_ok(), "after a rotation");
    let mut ids: Vec<_> = rotated.keys().map(|key| key.key.id()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "no two keys have one id");
}

/// Writes all of it to an empty store: the same records come about.
fn can_be_opened_again(snapshot: &Snapshot, records: &Records) {
    let backend = Shared::default();
    let store = Store::open(Box::new(backend.clone())).expect("an empty store opens");
    let changes = changes(snapshot);
    let written: Result<(), TransactFault<BackendFault>> = store.transact(|_| Ok((changes, ())));
    written.expect("it can be written");
    let (_, again) = backend.kept.lock().expect("nobody panics").clone();
    let keys = |records: &Records| records.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&again), keys(records), "each record stands under its key");
    for (key, value) in &again {
        if key.starts_with("role/") {
            assert_eq!(role_keys(value), role_keys(&records[key]), "`{key}` says more");
        }
    }
    let opened = Store::open(Box::new(backend)).expect("what was written opens");
    assert_eq!(picture(&opened.snapshot()), picture(snapshot));
}

/// The keys of a role and of its source of credentials; all but the end of static ones are always
/// written.
fn role_keys(record: &[u8]) -> Vec<String> {
    let record: serde_json::Value = serde_json::from_slice(&record[8..]).expect("is JSON");
    let keys = record["role"].as_object().expect("is a role").keys();
    keys.filter(|key| *key != "expiration").cloned().collect()
}

fn changes(snapshot: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    let instances = snapshot.instances();
    changes.extend(instances.map(|(each, origin)| Change::PutInstance(Arc::clone(each), origin)));
    changes.extend(snapshot.iam().map(|(each, origin)| Change::PutIam(each.clone(), origin)));
    changes.extend(snapshot.administrator().cloned().map(Change::PutAdministrator));
    changes.extend(snapshot.identity_keys().cloned().map(Change::PutIdentityKeys));
    changes.extend(snapshot.token_key_ring().cloned().map(Change::PutTokenKeys));
    let issuer = snapshot.issuer_key();
    changes.extend(issuer.map(|key| Change::PutIssuerKey(IssuerKey::new(*key.secret().expose()))));
    changes
}

/// Everything in a snapshot, secrets too, as values that can be compared.
fn picture(snapshot: &Snapshot) -> String {
    let mut instances: Vec<_> = snapshot.instances().map(|each| format!("{each:?}")).collect();
    instances.sort();
    let iam: Vec<_> = snapshot.iam().map(|each| format!("{each:?}")).collect();
    let keys = snapshot.token_key_ring().map(|ring| {
        let key = |key: &store::RingKey| (key.key.id(), *key.key.secret().expose(), key.created);
        ring.keys().map(key).collect::<Vec<_>>()
    });
    let issuer = snapshot.issuer_key().map(|key| *key.secret().expose());
    let administrator = snapshot.administrator().map(|administrator| {
        let secret = administrator.secret_access_key.expose();
        (administrator.account_id, &administrator.access_key_id, secret)
    });
    let identity = snapshot.identity_keys().map(|keys| keys.0.expose());
    format!("{instances:?} {iam:?} {keys:?} {issuer:?} {administrator:?} {identity:?}")
}
