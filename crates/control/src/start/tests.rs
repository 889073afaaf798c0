use model::{HopLimit, HttpTokens, User};
use store::{Memory, Store};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

fn fresh() -> Fresh {
    Fresh {
        token_key: [1; 32],
        issuer_key: [2; 32],
        access_key_id: [3; 16],
        secret_access_key: Secret::new("secret".to_owned()),
    }
}

fn store() -> Store {
    Store::open(Box::new(Memory::default())).unwrap()
}

fn start_with(store: &Store, configured: &Configured) -> InstanceId {
    let started =
        store.transact(|snapshot| start(snapshot, configured.clone(), fresh(), NOW)).unwrap();
    started.default_instance
}

fn refusal(configured: &Configured) -> StartRefusal {
    start(&store().snapshot(), configured.clone(), fresh(), NOW).unwrap_err()
}

fn described(number: u128) -> Described {
    Described {
        instance: Instance::described(InstanceId::from_number(number)),
        options: OptionsChange::default(),
    }
}

fn tokens(store: &Store, id: InstanceId) -> HttpTokens {
    store.snapshot().instance(id).unwrap().options.http_tokens
}

fn optional() -> OptionsChange {
    OptionsChange { http_tokens: Some(HttpTokens::Optional), ..OptionsChange::default() }
}

#[test]
fn a_first_start_makes_everything_and_a_second_nothing() {
    let store = store();
    let default = start_with(&store, &Configured::default());
    let snapshot = store.snapshot();
    assert_eq!(snapshot.instance_count(), 1);
    assert_eq!(tokens(&store, default), HttpTokens::Required);
    assert!(snapshot.token_keys().is_some() && snapshot.issuer_key().is_some());
    let id = &snapshot.administrator().unwrap().access_key_id;
    assert!(id.starts_with("AKIA") && id.len() == 20, "{id}");
    start_with(&store, &Configured::default());
    assert_eq!(store.snapshot().generation(), snapshot.generation());
}

#[test]
fn access_key_ids_have_aws_letters() {
    let all: String = (0..32).map(|n| access_key_id([n; 16]).chars().last().unwrap()).collect();
    assert!(all.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)), "{all}");
    assert_eq!(all.bytes().collect::<BTreeSet<_>>().len(), 32);
}

#[test]
fn described_instances_come_and_go_with_the_file() {
    let store = store();
    let one = Configured { instances: vec![described(1)], ..Configured::default() };
    start_with(&store, &one);
    assert_eq!(store.snapshot().instance_count(), 2);
    start_with(&store, &Configured::default());
    assert_eq!(store.snapshot().instance_count(), 1);
}

#[test]
fn the_file_may_describe_the_default_instance() {
    let store = store();
    start_with(&store, &Configured::default());
    let mut own = described(0);
    own.instance.id = Instance::default_id();
    start_with(&store, &Configured { instances: vec![own], ..Configured::default() });
    let snapshot = store.snapshot();
    assert!(snapshot.instance(Instance::default_id()).unwrap().user_data.is_none());
    start_with(&store, &Configured::default());
    assert!(store.snapshot().instance(Instance::default_id()).unwrap().user_data.is_some());
}

#[test]
fn options_that_the_file_does_not_name_stay_as_they_were_set() {
    let store = store();
    let mut one = described(1);
    one.options = optional();
    let configured = Configured { instances: vec![one], ..Configured::default() };
    start_with(&store, &configured);
    let id = InstanceId::from_number(1);
    let mut modified = (**store.snapshot().instance(id).unwrap()).clone();
    modified.options.http_tokens = HttpTokens::Required;
    modified.options.http_put_response_hop_limit = HopLimit::new(7).unwrap();
    let changes = vec![Change::PutInstance(Arc::new(modified), Origin::Config)];
    store.transact(|_| Ok::<_, StartRefusal>((changes, ()))).unwrap();
    start_with(&store, &configured);
    assert_eq!(tokens(&store, id), HttpTokens::Optional, "the file names it");
    let hops = store.snapshot().instance(id).unwrap().options.http_put_response_hop_limit;
    assert_eq!(hops.as_hops(), 7, "the file does not");
}

#[test]
fn default_options_are_set_at_this_start() {
    let store = store();
    let configured = Configured { default_options: optional(), ..Configured::default() };
    let default = start_with(&store, &configured);
    assert_eq!(tokens(&store, default), HttpTokens::Optional);
    start_with(&store, &Configured::default());
    assert_eq!(tokens(&store, default), HttpTokens::Optional, "and stay");
}

#[test]
fn what_does_not_fit_together_does_not_start() {
    let twice = Configured { instances: vec![described(1), described(1)], ..Configured::default() };
    assert!(matches!(refusal(&twice), StartRefusal::Twice(_)));

    let mut app = described(1);
    app.instance.instance_profile = Instance::default_instance().instance_profile.map(|mut p| {
        p.role = "app".parse().ok();
        p
    });
    let roleless = Configured { instances: vec![app], ..Configured::default() };
    assert!(matches!(refusal(&roleless), StartRefusal::RoleWithoutSource { .. }));

    let nobody = InstanceId::from_number(9);
    let missing = Configured { default_instance: Some(nobody), ..Configured::default() };
    assert_eq!(refusal(&missing), StartRefusal::NoDefaultInstance(nobody));

    let address: SocketAddr = "127.0.0.1:1338".parse().unwrap();
    let mut claims = described(1);
    claims.instance.attachments = vec![Attachment::Listener(address)];
    let shared =
        Configured { instances: vec![claims], listen: vec![address], ..Configured::default() };
    assert!(matches!(refusal(&shared), StartRefusal::SharedAttachment { .. }));

    let attached = |number, attachment: &str| {
        let mut described = described(number);
        described.instance.attachments = vec![attachment.parse().unwrap()];
        described
    };
    let both = vec![attached(1, "netns=blue"), attached(2, "netns=blue")];
    let shared = Configured { instances: both, ..Configured::default() };
    assert!(matches!(refusal(&shared), StartRefusal::SharedAttachment { .. }));
    let sources = vec![attached(1, "source=10.0.0.5")];
    let unshared = Configured { instances: sources, ..Configured::default() };
    assert!(matches!(refusal(&unshared), StartRefusal::NoSharedListener { .. }));
    let listener = vec![attached(1, "listener=127.0.0.1:1338")];
    let shared =
        Configured { instances: listener, shared_listen: vec![address], ..Configured::default() };
    assert!(matches!(refusal(&shared), StartRefusal::ListenerIsShared { .. }));
}

#[test]
fn a_store_that_has_lost_its_keys_is_not_given_new_ones() {
    let store = store();
    let instance = Arc::new(Instance::default_instance());
    let changes = vec![Change::PutInstance(instance, Origin::Api)];
    store.transact(|_| Ok::<_, StartRefusal>((changes, ()))).unwrap();
    let snapshot = store.snapshot();
    let planned = start(&snapshot, Configured::default(), fresh(), NOW);
    assert_eq!(planned.unwrap_err(), StartRefusal::KeysLost);
}

#[test]
fn attachments_are_told() {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut one = described(1);
    one.instance.attachments = vec![
        Attachment::Listener(address),
        "netns=blue".parse().unwrap(),
        "source=10.0.0.5".parse().unwrap(),
    ];
    let shared_listen = vec![address];
    let configured = Configured { instances: vec![one], shared_listen, ..Configured::default() };
    let (_, started) = start(&store().snapshot(), configured, fresh(), NOW).unwrap();
    assert_eq!(started.listeners, [(address, InstanceId::from_number(1))]);
    assert_eq!(started.others, 1);
}

fn user(name: &str, keys: &[&str]) -> Iam {
    let secret = || Secret::new("secret".to_owned());
    let key = |id: &&str| model::AccessKey::new(id.parse().unwrap(), secret(), NOW);
    let described = User::described("123456789012".parse().unwrap(), name.parse().unwrap());
    User { access_keys: keys.iter().map(key).collect(), ..described }.into()
}

#[test]
fn users_come_and_go_with_the_file() {
    let store = store();
    let with = |users: &[Iam]| Configured { iam: users.to_vec(), ..Configured::default() };
    start_with(&store, &with(&[user("dev", &["AKIAONE"]), user("ops", &["AKIATWO"])]));
    let name_of = |id: &str| store.snapshot().access_key(id).map(|(user, _)| user.name.to_string());
    assert_eq!(name_of("AKIATWO").as_deref(), Some("ops"));
    let generation = store.current().generation();
    start_with(&store, &with(&[user("dev", &["AKIAONE"]), user("ops", &["AKIATWO"])]));
    assert_eq!(store.current().generation(), generation, "nothing has changed");
    // They change keys, and then one is gone.
    start_with(&store, &with(&[user("dev", &["AKIATWO"]), user("ops", &["AKIAONE"])]));
    assert_eq!(name_of("AKIAONE").as_deref(), Some("ops"));
    assert_eq!(name_of("AKIATWO").as_deref(), Some("dev"));
    start_with(&store, &with(&[user("dev", &["AKIATWO"])]));
    assert_eq!(
        (name_of("AKIAONE"), store.snapshot().users("123456789012".parse().unwrap()).count()),
        (None, 1)
    );
    let administrator = store.snapshot().administrator().unwrap().access_key_id.clone();
    assert_eq!(name_of(&administrator).as_deref(), Some("admin"));
}

#[test]
fn an_access_key_is_one_users() {
    let with = |iam| Configured { iam, ..Configured::default() };
    let shared = with(vec![user("dev", &["AKIAONE"]), user("ops", &["AKIAONE"])]);
    assert!(matches!(refusal(&shared), StartRefusal::SharedAccessKey { .. }));
    let twice = with(vec![user("dev", &["AKIAONE", "AKIAONE"])]);
    assert!(matches!(refusal(&twice), StartRefusal::SharedAccessKey { .. }));
    let administrator = super::access_key_id(fresh().access_key_id);
    let refused = refusal(&with(vec![user("dev", &[&administrator])])).to_string();
    assert!(refused.contains("so has the administrator"), "{refused}");
    let admin = with(vec![user("admin", &["AKIAONE"])]);
    assert!(matches!(refusal(&admin), StartRefusal::UserIsAdministrator(_)));
}

#[test]
fn a_role_that_is_described_no_more_keeps_no_server_from_starting() {
    let store = Store::open(Box::new(Memory::default())).unwrap();
    let role =
        Role::described("app".parse().unwrap(), CredentialSource::BuiltIn { life_seconds: None });
    let with_role = Configured { iam: vec![role.into()], ..Configured::default() };
    store.transact(|snapshot| start(snapshot, with_role, fresh(), NOW)).unwrap();
    let mut launched = Instance::described(InstanceId::from_number(7));
    launched.instance_profile =
        Some(model::InstanceProfile::of_role("app".parse().unwrap()).into());
    let put = Change::PutInstance(Arc::new(launched), Origin::Api);
    store.transact(|_| Ok::<_, StartRefusal>((vec![put], ()))).unwrap();
    let again = start(&store.snapshot(), Configured::default(), fresh(), NOW);
    assert!(again.is_ok(), "{again:?}");
}

/// What was launched with a profile has the role that the file puts in it, and none once it is gone.
#[test]
fn a_role_that_the_file_takes_from_a_profile_is_taken_from_its_instances() {
    let store = Store::open(Box::new(Memory::default())).unwrap();
    let described = |profile_role: Option<&str>| {
        let source = || CredentialSource::BuiltIn { life_seconds: None };
        let role = |name: &str| Iam::from(Role::described(name.parse().unwrap(), source()));
        let mut iam = vec![role("admin"), role("reader")];
        let profile = profile_role.map(|name| model::RegisteredInstanceProfile {
            name: "web".parse().unwrap(),
            account_id: "123456789012".parse().unwrap(),
            path: model::IamPath::default(),
            id: None,
            created: NOW,
            role: Some(name.parse().unwrap()),
            tags: std::collections::BTreeMap::new(),
        });
        iam.extend(profile.map(Iam::from));
        Configured { iam, ..Configured::default() }
    };
    let begin = |configured: Configured| {
        store.transact(|snapshot| start(snapshot, configured, fresh(), NOW)).unwrap();
    };
    begin(described(Some("admin")));
    let id = InstanceId::from_number(7);
    let mut launched = Instance::described(id);
    launched.account_id = "123456789012".parse().unwrap();
    launched.instance_profile = Some(
        model::InstanceProfile {
            name: "web".parse().unwrap(),
            role: Some("admin".parse().unwrap()),
            ..model::InstanceProfile::of_role("admin".parse().unwrap())
        }
        .into(),
    );
    let put = Change::PutInstance(Arc::new(launched), Origin::Api);
    store.transact(|_| Ok::<_, StartRefusal>((vec![put], ()))).unwrap();
    let role_now = || {
        let snapshot = store.snapshot();
        let profile = snapshot.instance(id).unwrap().instance_profile.clone().unwrap();
        (profile.role.as_ref().map(ToString::to_string), profile.status.as_str())
    };
    begin(described(Some("reader")));
    assert_eq!(role_now(), (Some("reader".to_owned()), "active"));
    begin(described(None));
    assert_eq!(role_now(), (None, "deleted"));
    begin(described(Some("admin")));
    assert_eq!(role_now(), (None, "deleted"), "another one of its name");
}
