//! Fleets that change, and what is wanted of their roles.

use std::convert::Infallible;

use model::{InstanceProfile, InstanceState, OptionsChange};
use store::{Change, Memory, Origin, Store};

use super::*;

/// A store, and what is wanted of it.
struct Fleet {
    store: Store,
    wanted: Wanted,
}

impl Fleet {
    fn new() -> Self {
        let store = Store::open(Box::new(Memory::default())).unwrap();
        Self { store, wanted: Wanted::default() }
    }

    fn make(&self, changes: Vec<Change>) {
        self.store.transact(|_| Ok::<_, Infallible>((changes, ()))).unwrap();
    }

    /// Puts a role with this source.
    fn role(&self, name: &str, source: &str) {
        let text = format!("{{\"name\":\"{name}\",{source}}}");
        let role: Role = serde_json::from_str(&text).unwrap();
        self.make(vec![Change::PutIam(role.into(), Origin::Api)]);
    }

    /// Puts an instance with this role, or none.
    fn instance(&self, number: u128, role: Option<&str>, tokens: HttpTokens, state: InstanceState) {
        let mut instance = Instance::described(InstanceId::from_number(number));
        let profile = |name: &str| InstanceProfile::of_role(name.parse().unwrap()).into();
        instance.instance_profile = role.map(profile);
        let change = OptionsChange { http_tokens: Some(tokens), ..OptionsChange::default() };
        instance.options = change.apply(instance.options);
        instance.state = state;
        self.make(vec![Change::PutInstance(Arc::new(instance), Origin::Api)]);
    }

    fn look_at_roles(&mut self) -> (Vec<String>, bool) {
        let mut steps = Vec::new();
        let is_behind = self.wanted.look_at_roles(&self.store.snapshot(), &mut steps);
        (told(steps), is_behind)
    }

    fn look_at(&mut self, number: u128) -> Vec<String> {
        let mut steps = Vec::new();
        self.wanted.look_at(&self.store.snapshot(), InstanceId::from_number(number), &mut steps);
        told(steps)
    }

    fn look_at_all(&mut self) -> Vec<String> {
        let mut steps = Vec::new();
        self.wanted.look_at_all(&self.store.snapshot(), &mut steps);
        let mut told = told(steps);
        told.sort();
        told
    }
}

fn key_of(role: &str) -> IamKey {
    let source = CredentialSource::Process { command: Vec::new() };
    Role::described(role.parse().unwrap(), source).key()
}

/// Steps in a word or two.
fn told(steps: Vec<Step>) -> Vec<String> {
    let of = |session: Session| {
        session.map_or_else(String::new, |(id, delivery)| format!(" {id} {delivery}"))
    };
    let tell = |step| match step {
        Step::PutRole(role) => format!("put {}", role.name),
        Step::RemoveRole(key) => format!("remove {}", key.name),
        Step::Want(key, session) => format!("want {}{}", key.name, of(session)),
        Step::Unwant(key, session) => format!("unwant {}{}", key.name, of(session)),
    };
    steps.into_iter().map(tell).collect()
}

const PROCESS: &str = r#""source":"process","command":["get"]"#;
const STS: &str = r#""source":"sts","role_arn":"arn:aws:iam::123456789012:role/app",
    "region":"eu-west-1","base":{"source":"web-identity","token_file":"/t"}"#;
const BUILT_IN: &str = r#""source":"built-in""#;
const NOTHING: [&str; 0] = [];

use HttpTokens::{Optional, Required};
use InstanceState::{Running, Stopped, Terminated};

#[test]
fn a_role_with_a_program_is_wanted_once_whoever_has_it() {
    let mut fleet = Fleet::new();
    fleet.role("app", PROCESS);
    fleet.role("other", BUILT_IN);
    fleet.instance(1, Some("app"), Optional, Running);
    assert_eq!(fleet.look_at_roles(), (vec!["put app".to_owned(), "want app".to_owned()], false));
    assert_eq!(fleet.look_at_all(), NOTHING);
    assert_eq!(fleet.look_at_roles(), (Vec::new(), false), "nothing has changed");
    fleet.role("app", PROCESS);
    assert_eq!(fleet.look_at_roles(), (Vec::new(), false), "nor has the source");
    fleet.role("app", &PROCESS.replace("get", "other"));
    assert_eq!(fleet.look_at_roles().0, ["put app", "want app"]);
    fleet.role("app", BUILT_IN);
    assert_eq!(fleet.look_at_roles().0, ["remove app"]);
}

#[test]
fn a_role_of_sts_is_wanted_for_each_instance_and_without_a_token_where_that_is_read() {
    let (one, two) = (InstanceId::from_number(1), InstanceId::from_number(2));
    let mut fleet = Fleet::new();
    fleet.role("app", STS);
    fleet.instance(1, Some("app"), Required, Running);
    fleet.instance(2, Some("app"), Optional, Running);
    fleet.instance(3, None, Optional, Running);
    fleet.instance(4, Some("app"), Optional, Stopped);
    assert_eq!(fleet.look_at(1), NOTHING, "the role is not known yet");
    assert_eq!(fleet.look_at_roles(), (vec!["put app".to_owned()], true));
    let all = [
        format!("want app {one} 2.0"),
        format!("want app {two} 1.0"),
        format!("want app {two} 2.0"),
    ];
    let mut all = all.to_vec();
    all.sort();
    assert_eq!(fleet.look_at_all(), all);
    assert_eq!(fleet.look_at_all(), NOTHING);
    fleet.instance(2, Some("app"), Required, Running);
    assert_eq!(fleet.look_at(2), [format!("unwant app {two} 1.0")]);
    fleet.instance(1, Some("app"), Optional, Running);
    assert_eq!(fleet.look_at(1), [format!("want app {one} 1.0")]);
    fleet.instance(1, Some("app"), Optional, Stopped);
    assert_eq!(
        fleet.look_at(1),
        [format!("unwant app {one} 1.0"), format!("unwant app {one} 2.0")]
    );
    fleet.make(vec![Change::DeleteInstance(two)]);
    assert_eq!(fleet.look_at_all(), [format!("unwant app {two} 2.0")]);
    assert!(fleet.wanted.instances.is_empty());
}

#[test]
fn whoever_gets_another_role_is_followed_and_whoever_ends_is_forgotten() {
    let one = InstanceId::from_number(1);
    let mut fleet = Fleet::new();
    fleet.role("app", STS);
    fleet.role("other", STS);
    fleet.instance(1, Some("app"), Required, Running);
    fleet.look_at_roles();
    assert_eq!(fleet.look_at(1), [format!("want app {one} 2.0")]);
    fleet.instance(1, Some("other"), Required, Running);
    assert_eq!(
        fleet.look_at(1),
        [format!("unwant app {one} 2.0"), format!("want other {one} 2.0")]
    );
    fleet.instance(1, Some("other"), Required, Terminated);
    assert_eq!(fleet.look_at(1), [format!("unwant other {one} 2.0")]);
}

#[test]
fn a_role_that_becomes_one_of_another_kind_is_begun_anew() {
    let one = InstanceId::from_number(1);
    let mut fleet = Fleet::new();
    fleet.role("app", PROCESS);
    fleet.instance(1, Some("app"), Required, Running);
    fleet.look_at_roles();
    fleet.look_at_all();
    fleet.role("app", STS);
    assert_eq!(fleet.look_at(1), NOTHING, "first the role is looked at");
    let (steps, is_behind) = fleet.look_at_roles();
    assert_eq!((steps, is_behind), (vec!["remove app".to_owned(), "put app".to_owned()], true));
    assert_eq!(fleet.look_at_all(), [format!("want app {one} 2.0")]);
    // Another role to assume: the sets are the same, and all of them old.
    fleet.role("app", &STS.replace("role/app", "role/other"));
    assert_eq!(fleet.look_at_roles(), (vec!["put app".to_owned()], false));
    fleet.make(vec![Change::DeleteIam(key_of("app"))]);
    assert_eq!(fleet.look_at_roles(), (vec!["remove app".to_owned()], false));
    assert_eq!(fleet.look_at_all(), NOTHING);
    assert!(fleet.wanted.instances.is_empty());
}
