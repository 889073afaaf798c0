//! The suite that every backend passes, and what is particular to the embedded one.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::iter::once;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use model::{CredentialSource, HttpTokens, Timestamp};
use model::{IamKey, IamKind, Role, User};

use super::*;

mod document;

const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

type Made = Result<(Vec<Change>, ()), Infallible>;

fn memory() -> Store {
    Store::open(Box::new(Memory::default())).unwrap()
}

fn embedded(directory: &Path) -> Store {
    Store::open(Box::new(Redb::open(&directory.join("state.redb")).unwrap())).unwrap()
}

fn put(instance: Instance) -> Change {
    Change::PutInstance(Arc::new(instance), Origin::Api)
}

/// Runs a case against every backend.
fn each(case: impl Fn(Store)) {
    case(memory());
    let directory = tempfile::tempdir().unwrap();
    case(embedded(directory.path()));
}

#[test]
fn a_change_is_in_force_when_it_is_acknowledged() {
    each(|store| {
        let watch = store.watch();
        let before = store.snapshot();
        store.transact(|_| -> Made { Ok((vec![put(Instance::default_instance())], ())) }).unwrap();
        assert!(store.current().instance(Instance::default_id()).is_some());
        assert_eq!(store.current().generation(), before.generation().next());
        assert_eq!(*watch.borrow(), before.generation().next());
        assert_eq!(before.instance_count(), 0, "a snapshot never changes");
    });
}

#[test]
fn a_refused_change_changes_nothing() {
    each(|store| {
        let mut wrong = Instance::default_instance();
        wrong.interfaces.clear();
        let good = put(Instance::described("i-00000000000000001".parse().unwrap()));
        let fault = store.transact(|_| -> Made { Ok((vec![good, put(wrong)], ())) }).unwrap_err();
        assert!(matches!(fault, TransactFault::Instance(_)), "{fault}");
        assert_eq!(store.current().instance_count(), 0);
        assert_eq!(store.current().generation(), Generation::default());
    });
}

#[test]
fn a_scope_sees_its_own_resources_only() {
    each(|store| {
        let scope = |region: &str| model::Scope {
            account_id: "123456789012".parse().unwrap(),
            region: region.parse().unwrap(),
        };
        let pair = |name: &str| {
            let (name, created) = (name.parse().unwrap(), NOW);
            Arc::new(Resource::KeyPair(model::RegisteredKeyPair {
                name,
                public_key: None,
                created,
            }))
        };
        let (here, there) = (scope("us-east-1"), scope("eu-west-1"));
        let changes = vec![
            Change::PutResource(here.clone(), pair("b")),
            Change::PutResource(here.clone(), pair("a")),
            Change::PutResource(there.clone(), pair("c")),
        ];
        store.transact(|_| -> Made { Ok((changes, ())) }).unwrap();
        let names = |scope| -> Vec<String> {
            store.snapshot().key_pairs(scope).map(|pair| pair.name.to_string()).collect()
        };
        assert_eq!((names(&here), names(&there)), (vec!["a".into(), "b".into()], vec!["c".into()]));
        let kind = model::ResourceKind::KeyPair;
        let counts = || {
            let snapshot = store.snapshot();
            [Some(&here), Some(&there), None].map(|scope| snapshot.resource_count(scope, kind))
        };
        assert_eq!(counts(), [2, 1, 3]);
        let key = |name: &str| ResourceKey::KeyPair(name.parse().unwrap());
        assert!(store.snapshot().has_resource(&here, &key("a")));
        assert!(!store.snapshot().has_resource(&there, &key("a")));
        let gone = [(&here, "a"), (&there, "c")]
            .map(|(scope, name)| Change::DeleteResource(scope.clone(), key(name)));
        store.transact(|_| -> Made { Ok((gone.to_vec(), ())) }).unwrap();
        assert_eq!(names(&here), ["b"]);
        assert_eq!(counts(), [1, 0, 1]);
        let snapshot = store.snapshot();
        assert_eq!(snapshot.scopes_with_resources().collect::<Vec<_>>(), [&here]);
    });
}

#[test]
fn an_access_key_leads_to_its_user() {
    each(|store| {
        let user = |id: &str| {
            let account_id = "210987654321".parse().unwrap();
            let mut user = User::described(account_id, "dev".parse().unwrap());
            let secret = model::Secret::new("secret".to_owned());
            user.access_keys.push(model::AccessKey::new(id.parse().unwrap(), secret, NOW));
            user
        };
        let put = |id| vec![Change::PutIam(user(id).into(), Origin::Config)];
        store.transact(|_| -> Made { Ok((put("AKIAONE"), ())) }).unwrap();
        store.transact(|_| -> Made { Ok((put("AKIATWO"), ())) }).unwrap();
        let snapshot = store.snapshot();
        assert!(snapshot.access_key("AKIAONE").is_none(), "the user has another key now");
        // A key changes hands in one change, whoever comes first in it.
        let other = User { name: "ops".parse().unwrap(), ..user("AKIATWO") };
        let changes = [vec![Change::PutIam(other.into(), Origin::Config)], put("AKIAONE")];
        store.transact(|_| -> Made { Ok((changes.concat(), ())) }).unwrap();
        let snapshot = store.snapshot();
        let name_of = |id| snapshot.access_key(id).unwrap().0.name.to_string();
        assert_eq!((name_of("AKIAONE"), name_of("AKIATWO")), ("dev".to_owned(), "ops".to_owned()));
    });
}

#[test]
fn documents_are_compiled_when_they_are_kept() {
    each(|store| {
        let source = CredentialSource::BuiltIn { life_seconds: None };
        let described = Role::described("app".parse().unwrap(), source);
        let trusting = |text: &str| Role {
            assume_role_policy_document: model::PolicyDocument::new(text),
            ..described.clone()
        };
        let put = |role: Role| {
            let put = Change::PutIam(role.into(), Origin::Api);
            store.transact(|_| -> Made { Ok((vec![put], ())) }).unwrap();
            let snapshot = store.snapshot();
            let is_read = snapshot.trust_policy(&described.key()).unwrap().refusal().is_none();
            (is_read, snapshot.trusts_ec2(described.account_id, &described.name))
        };
        assert_eq!(put(described.clone()), (true, true));
        let of_users = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},
            "Action":"sts:AssumeRole"}}"#;
        assert_eq!(put(trusting(of_users)), (true, false));
        assert_eq!(put(trusting("damaged")), (false, false), "it denies");
    });
}

#[test]
fn what_is_in_transition_is_known() {
    each(|store| {
        let commit = |change| store.transact(|_| -> Made { Ok((vec![change], ())) }).unwrap();
        let count = || store.snapshot().in_transition().count();
        let id = Instance::default_id();
        let mut instance = Instance::default_instance();
        for (state, expected) in [
            (model::InstanceState::Pending, 1),
            (model::InstanceState::Stopping, 1),
            (model::InstanceState::Stopped, 0),
            (model::InstanceState::ShuttingDown, 1),
        ] {
            instance.state = state;
            commit(put(instance.clone()));
            assert_eq!((count(), store.current().is_in_transition(id)), (expected, expected == 1));
        }
        commit(Change::DeleteInstance(id));
        assert_eq!(count(), 0);
    });
}

#[test]
fn a_state_of_format_1_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    // Written by version 0.1.0 before there was a control plane: a default instance whose tokens
    // had been made optional, and one that was launched.
    std::fs::write(&path, include_bytes!("suite/format-1.redb")).unwrap();
    for _ in 0..2 {
        let store = Store::open(Box::new(Redb::open(&path).unwrap())).unwrap();
        let snapshot = store.snapshot();
        assert_eq!(snapshot.instance_count(), 2);
        let default = snapshot.instance(Instance::default_id()).unwrap();
        assert_eq!(default.options.http_tokens, HttpTokens::Optional);
        assert_eq!(default.state, model::InstanceState::Running);
        assert!(snapshot.administrator().is_some());
        let role = "example-role".parse().unwrap();
        assert!(snapshot.role(default.account_id, &role).is_some(), "of the account it was of");
        store.transact(|_| -> Made { Ok((vec![put((**default).clone())], ())) }).unwrap();
    }
}

#[test]
fn racing_writers_lose_nothing() {
    each(|store| {
        let add = |number: u128| {
            let instance = Instance::described(InstanceId::from_number(number));
            store.transact(|_| -> Made { Ok((vec![put(instance)], ())) }).unwrap();
        };
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || (0..10).for_each(|number| add(writer * 100 + number)));
            }
        });
        assert_eq!(store.current().instance_count(), 40);
        assert_eq!(store.current().generation(), Generation::from_number(40));
    });
}

#[test]
fn what_instances_have_in_common_is_kept_once() {
    let directory = tempfile::tempdir().unwrap();
    let is_shared = |store: &Store| {
        let snapshot = store.snapshot();
        let [one, two] = [1, 2].map(|n| snapshot.instance(InstanceId::from_number(n)).unwrap());
        one.region == two.region && one.region.as_str().as_ptr() == two.region.as_str().as_ptr()
    };
    let store = embedded(directory.path());
    for number in [1, 2] {
        let mut instance = Instance::described(InstanceId::from_number(number));
        instance.region = "eu-west-1".parse().unwrap();
        store.transact(|_| -> Made { Ok((vec![put(instance)], ())) }).unwrap();
    }
    assert!(is_shared(&store), "as they are put");
    drop(store);
    assert!(is_shared(&embedded(directory.path())), "as they are read");
}

#[test]
fn an_attachment_has_one_holder() {
    each(|store| {
        let attached = |number, attachments: &[&str]| {
            let mut instance = Instance::described(InstanceId::from_number(number));
            instance.attachments = attachments.iter().map(|text| text.parse().unwrap()).collect();
            put(instance)
        };
        let make = |changes| store.transact(|_| -> Made { Ok((changes, ())) });
        let (one, two) = (InstanceId::from_number(1), InstanceId::from_number(2));
        make(vec![attached(1, &["source=10.0.0.5", "netns=blue", "listener=127.0.0.1:0"])])
            .unwrap();
        make(vec![attached(2, &["listener=127.0.0.1:0"])]).unwrap();
        for taken in ["source=10.0.0.5,mac=02:00:00:00:00:01", "netns=blue"] {
            let fault = make(vec![attached(2, &[taken])]).unwrap_err().to_string();
            assert!(fault.contains(&*one.text()) && fault.contains(&*two.text()), "{fault}");
        }
        let snapshot = store.snapshot();
        assert_eq!(snapshot.source("10.0.0.5".parse().unwrap()), Some((one, None)));
        assert_eq!(snapshot.entrances().count(), 3);
        // What changes no attachment leaves them as they are.
        let since = snapshot.entrances_since();
        let same = (**snapshot.instance(one).unwrap()).clone();
        make(vec![put(Instance { monitoring: model::Switch::Enabled, ..same })]).unwrap();
        assert_eq!(store.current().entrances_since(), since);
        // Changing hands in one transaction, whichever comes first.
        make(vec![attached(2, &["netns=blue"]), attached(1, &["source=10.0.0.6"])]).unwrap();
        assert_eq!(store.current().holder(&"netns=blue".parse().unwrap()), Some(two));
        assert_eq!(store.current().source("10.0.0.5".parse().unwrap()), None);
        make(vec![Change::DeleteInstance(one), Change::DeleteInstance(two)]).unwrap();
        assert_eq!(store.current().source_count(), 0);
        assert_eq!(store.current().entrances().count(), 0);
    });
}

/// Everything that can be stored, once.
fn everything() -> Vec<Change> {
    let ring = TokenKeyRing::new([1; 32], NOW).rotated([2; 32], NOW.plus_seconds(60));
    vec![
        put(Instance::default_instance()),
        Change::PutIam(
            Role::described(
                "example-role".parse().unwrap(),
                CredentialSource::BuiltIn { life_seconds: None },
            )
            .into(),
            Origin::Config,
        ),
        Change::PutTokenKeys(Arc::new(ring)),
        Change::PutIssuerKey(metadata::IssuerKey::new([3; 32])),
        Change::PutAdministrator(Administrator {
            account_id: "123456789012".parse().unwrap(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
            secret_access_key: model::Secret::new("secret".to_owned()),
        }),
        Change::PutIdentityKeys(IdentityKeyRecord(model::Secret::new("PEM".to_owned()))),
    ]
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded(directory.path());
    store.transact(|_| -> Made { Ok((everything(), ())) }).unwrap();
    let before = store.snapshot();
    drop(store);
    let after = embedded(directory.path()).snapshot();
    assert_eq!(after.generation(), before.generation());
    let id = Instance::default_id();
    assert_eq!(after.instance(id), before.instance(id));
    assert_eq!(after.iam().count(), 1);
    assert_eq!(after.administrator(), before.administrator());
    assert_eq!(after.identity_keys(), before.identity_keys());
    let secrets = |snapshot: &Snapshot| -> Vec<_> {
        let ring = snapshot.token_key_ring().unwrap();
        ring.keys().map(|key| (key.key.id(), *key.key.secret().expose(), key.created)).collect()
    };
    assert_eq!(secrets(&after), secrets(&before));
    assert_eq!(
        after.issuer_key().unwrap().secret().expose(),
        before.issuer_key().unwrap().secret().expose()
    );
}

#[test]
fn deleting_forgets() {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded(directory.path());
    store.transact(|_| -> Made { Ok((everything(), ())) }).unwrap();
    let changes = vec![
        Change::DeleteInstance(Instance::default_id()),
        Change::DeleteIam(IamKey {
            account_id: "123456789012".parse().unwrap(),
            kind: IamKind::Role,
            name: "example-role".parse().unwrap(),
        }),
    ];
    store.transact(|_| -> Made { Ok((changes, ())) }).unwrap();
    drop(store);
    let after = embedded(directory.path()).snapshot();
    assert_eq!((after.instance_count(), after.iam().count()), (0, 0));
}

#[test]
fn the_file_is_private_and_for_one_process() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let first = Redb::open(&path).unwrap();
    assert!(matches!(Redb::open(&path), Err(BackendFault::Busy { .. })));
    drop(first);
    assert!(Redb::open(&path).is_ok());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    std::fs::write(&path, b"not a database at all").unwrap();
    let fault = Redb::open(&path).unwrap_err();
    assert!(matches!(fault, BackendFault::Damaged { .. }), "{fault:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"not a database at all", "and it is left alone");
}

/// Damage is noticed, or it was where nothing is: what is served is never a changed record.
#[test]
fn damage_never_changes_what_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.redb");
    let store = embedded(directory.path());
    store.transact(|_| -> Made { Ok((everything(), ())) }).unwrap();
    let expected = store.snapshot();
    drop(store);
    let sound = std::fs::read(&path).unwrap();
    let damaged_path = directory.path().join("damaged.redb");
    let id = Instance::default_id();
    let mut refused = 0;
    for at in (0..sound.len()).step_by(sound.len() / 150) {
        let mut bytes = sound.clone();
        bytes[at..(at + 64).min(sound.len())].iter_mut().for_each(|byte| *byte ^= 0x55);
        std::fs::write(&damaged_path, &bytes).unwrap();
        let opened = Redb::open(&damaged_path)
            .map_err(OpenFault::Backend)
            .and_then(|backend| Store::open(Box::new(backend)));
        match opened {
            Err(_) => refused += 1,
            Ok(store) => {
                let snapshot = store.snapshot();
                // An empty state is one that a first start would fill anew: as good as refused.
                if snapshot.generation() != Generation::default() {
                    assert_eq!(snapshot.instance(id), expected.instance(id), "damage at {at}");
                }
            }
        }
    }
    assert!(refused > 0, "some damage must have met a record");
}

#[test]
fn a_record_of_a_newer_version_is_refused_whole() {
    let backend = Memory::default();
    let write = record::encode(&put(Instance::default_instance()));
    backend.commit(Generation::default(), Generation::default().next(), &mut once(write)).unwrap();
    let unknown =
        Write { key: "quota/1".to_owned(), value: record::encode(&everything()[0]).value };
    backend
        .commit(Generation::from_number(1), Generation::from_number(2), &mut once(unknown))
        .unwrap();
    assert!(matches!(Store::open(Box::new(backend)), Err(OpenFault::Record { .. })));
}

/// Set in the process that [`a_killed_writer_loses_nothing_it_acknowledged`] starts and kills.
const WRITER_DIRECTORY: &str = "STORE_SUITE_WRITER_DIRECTORY";

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged() {
    if let Some(directory) = std::env::var_os(WRITER_DIRECTORY) {
        return write_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=10_usize {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "suite::a_killed_writer_loses_nothing_it_acknowledged",
            ])
            .env(WRITER_DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(writer.stdout.take().unwrap());
        let mut generations =
            output.lines().filter_map(|line| line.ok()?.strip_prefix("generation ")?.parse().ok());
        // Kill after a few changes, a different number each round; what is printed while the
        // signal is under way counts too.
        acknowledged = generations.nth(round * 3).unwrap();
        writer.kill().unwrap();
        acknowledged = generations.last().unwrap_or(acknowledged);
        writer.wait().unwrap();

        let snapshot = embedded(directory.path()).snapshot();
        assert!(snapshot.generation().as_number() >= acknowledged, "round {round}");
        assert_eq!(snapshot.instance_count() as u64, snapshot.generation().as_number());
    }
    assert!(acknowledged > 100, "{acknowledged} changes were made in all");
}

fn write_until_killed(directory: &Path) {
    let store = embedded(directory);
    loop {
        let next = store.snapshot().generation().next();
        let mut instance = Instance::described(InstanceId::from_number(next.as_number().into()));
        instance.options.http_tokens = HttpTokens::Required;
        store.transact(|_| -> Made { Ok((vec![put(instance)], ())) }).unwrap();
        println!("generation {next}");
    }
}
