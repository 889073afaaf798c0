use std::convert::Infallible;

use model::{Generation, HttpTokens, Idempotency, OptionLayer, OptionsChange, Resource, Shared};
use store::{AttachmentTaken, Memory, Store};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

fn id(number: u128) -> InstanceId {
    InstanceId::from_number(number)
}

fn line(text: &str) -> Line {
    text.parse().unwrap()
}

/// A store with an instance in this state, which this driver has made, and which is changed a bit.
fn store_with(
    state: InstanceState,
    driver: Option<Driver>,
    change: impl FnOnce(&mut Instance),
) -> Store {
    let store = Store::open(Box::new(Memory::default())).unwrap();
    let mut instance = Instance::described(id(1));
    launch(&mut instance, driver, NOW);
    if state != InstanceState::Pending {
        instance.state = state;
        instance.attributes.state_reason = None;
        instance.attributes.machine =
            if driver.is_some() { Machine::Made } else { Machine::Absent };
    }
    change(&mut instance);
    commit(&store, vec![Change::PutInstance(Arc::new(instance), Origin::Api)]);
    store
}

fn commit(store: &Store, changes: Vec<Change>) {
    store.transact(|_| Ok::<_, Infallible>((changes, ()))).unwrap();
}

fn instance(store: &Store) -> Arc<Instance> {
    Arc::clone(store.snapshot().instance(id(1)).unwrap())
}

fn settle(store: &Store, event: LifecycleEvent, outcome: Outcome) {
    let settlement = Settlement { id: id(1), event, outcome };
    commit(store, settled(&store.snapshot(), &[settlement], NOW.plus_seconds(9)));
}

fn done() -> Outcome {
    Outcome::Done(None)
}

fn ask(store: &Store, event: LifecycleEvent) -> Result<[InstanceState; 2], LifecycleRefusal> {
    ask_in(store, event, None)
}

fn ask_in(
    store: &Store,
    event: LifecycleEvent,
    scope: Option<&Scope>,
) -> Result<[InstanceState; 2], LifecycleRefusal> {
    let (snapshot, now) = (store.snapshot(), NOW.plus_seconds(60));
    let meant = Meant { ids: &[id(1), id(1)], scope };
    let (changes, moved) = match event {
        LifecycleEvent::Reboot => reboot(&snapshot, meant),
        LifecycleEvent::Start => start(&snapshot, meant, now),
        LifecycleEvent::Stop => stop(&snapshot, meant, now),
        LifecycleEvent::Terminate => terminate(&snapshot, meant, Instance::default_id(), now),
        LifecycleEvent::Launch => unreachable!("it is asked for with an instance"),
    }?;
    let [moved] = moved[..] else { panic!("{moved:?}") };
    assert!(changes.len() == usize::from(moved.before != moved.after), "{changes:?}");
    commit(store, changes);
    Ok([moved.before, moved.after])
}

#[test]
fn what_may_be_asked_in_which_state() {
    use {InstanceState as State, LifecycleEvent as Event};
    for state in State::ALL.iter().copied().filter(|state| *state != State::Terminated) {
        for (event, to) in [
            (Event::Start, [Some(State::Pending), Some(State::Running), None]),
            (Event::Stop, [None, Some(State::Stopping), None]),
        ] {
            let expected = match (event, state) {
                (Event::Start, State::Stopped) => to[0],
                (Event::Start, State::Pending | State::Running)
                | (Event::Stop, State::Stopped | State::Stopping) => Some(state),
                (Event::Stop, State::Running) => to[1],
                _ => None,
            };
            let store = store_with(state, Some(Driver::Exec), |_| ());
            let told = ask(&store, event);
            let refusal = LifecycleRefusal::State { id: id(1), state, event };
            let expected = expected.map(|after| [state, after]).ok_or(refusal);
            assert_eq!(told, expected, "{event} {state}");
        }
        let store = store_with(state, Some(Driver::Exec), |_| ());
        assert_eq!(ask(&store, Event::Terminate), Ok([state, State::ShuttingDown]));
    }
}

#[test]
fn a_machine_is_made_stopped_started_and_removed() {
    let store = store_with(InstanceState::Pending, Some(Driver::Exec), |instance| {
        instance.attachments = vec!["source=10.0.0.9".parse().unwrap()];
    });
    assert_eq!(instance(&store).due(), Some(LifecycleEvent::Launch));
    let given = |name: &str| Outcome::Done(Some(vec![name.parse().unwrap()]));
    settle(&store, LifecycleEvent::Launch, given("interface=tap0"));
    let has = |names: &[&str]| {
        let attachments: Vec<_> =
            instance(&store).attachments.iter().map(ToString::to_string).collect();
        assert_eq!(attachments, names);
    };
    has(&["source=10.0.0.9", "interface=tap0"]);
    assert_eq!(instance(&store).attributes.state_since, Some(NOW.plus_seconds(9)));

    ask(&store, LifecycleEvent::Stop).unwrap();
    settle(&store, LifecycleEvent::Stop, done());
    assert_eq!(instance(&store).state, InstanceState::Stopped);
    has(&["source=10.0.0.9", "interface=tap0"]);
    ask(&store, LifecycleEvent::Start).unwrap();
    assert_eq!(instance(&store).due(), Some(LifecycleEvent::Start));
    assert_eq!(instance(&store).pending_time, NOW.plus_seconds(60));
    settle(&store, LifecycleEvent::Start, given("interface=tap7"));
    has(&["source=10.0.0.9", "interface=tap7"]);

    ask(&store, LifecycleEvent::Terminate).unwrap();
    assert!(!instance(&store).state.may_ask());
    settle(&store, LifecycleEvent::Terminate, done());
    let snapshot = store.snapshot();
    assert!(snapshot.instance(id(1)).is_none() && !snapshot.is_in_transition(id(1)));
    let scope = Instance::default_instance().scope();
    let gone = snapshot.terminated_instance(&scope, id(1)).unwrap();
    assert_eq!((gone.state, gone.attachments.len()), (InstanceState::Terminated, 0));
    assert_eq!(&*gone.attributes.state_reason.as_ref().unwrap().code, ASKED_FOR);
    // Whoever ends it again is told so, where the scope is known.
    let terminated = [InstanceState::Terminated; 2];
    assert_eq!(ask_in(&store, LifecycleEvent::Terminate, Some(&scope)), Ok(terminated));
    assert_eq!(ask_in(&store, LifecycleEvent::Reboot, Some(&scope)), Ok(terminated));
    assert!(ask_in(&store, LifecycleEvent::Start, Some(&scope)).is_err());
    assert_eq!(ask(&store, LifecycleEvent::Start), Err(LifecycleRefusal::Unknown(id(1))));
}

#[test]
fn options_outlive_a_stop() {
    let store = store_with(InstanceState::Running, None, |instance| {
        let change =
            OptionsChange { http_tokens: Some(HttpTokens::Optional), ..OptionsChange::default() };
        instance.set_options(change, OptionLayer::Modify, Generation::default().next());
    });
    let before = instance(&store).options;
    for event in [LifecycleEvent::Stop, LifecycleEvent::Start] {
        ask(&store, event).unwrap();
        let due = instance(&store).due().unwrap();
        settle(&store, due, done());
        let stopped_in = (event == LifecycleEvent::Stop).then(|| store.current().generation());
        assert_eq!(instance(&store).attributes.stopped_in, stopped_in);
    }
    assert_eq!(instance(&store).state, InstanceState::Running);
    assert_eq!(instance(&store).options, before);
}

#[test]
fn a_failed_launch_ends_the_instance_and_says_why() {
    for end in [done(), Outcome::Failed("there is nothing".to_owned())] {
        let store = store_with(InstanceState::Pending, Some(Driver::Exec), |_| ());
        let why = "no\nroom".to_owned() + &"é".repeat(4000);
        settle(&store, LifecycleEvent::Launch, Outcome::Failed(why));
        assert_eq!(instance(&store).state, InstanceState::ShuttingDown);
        settle(&store, LifecycleEvent::Terminate, end);
        let snapshot = store.snapshot();
        let scope = Instance::default_instance().scope();
        let gone = snapshot.terminated_instance(&scope, id(1)).unwrap();
        assert!(failure(gone).unwrap().starts_with("no room"), "{gone:?}");
        assert!(failure(gone).unwrap().len() <= REASON_BYTES_MAX);
    }
}

#[test]
fn what_fails_later_is_told_and_loses_no_machine() {
    let failed = || Outcome::Failed("busy".to_owned());
    let store = store_with(InstanceState::Running, Some(Driver::Exec), |_| ());
    ask(&store, LifecycleEvent::Stop).unwrap();
    settle(&store, LifecycleEvent::Stop, failed());
    assert_eq!(instance(&store).state, InstanceState::Stopping);
    assert_eq!(failure(&instance(&store)), Some("busy"));
    let generation = store.current().generation();
    settle(&store, LifecycleEvent::Stop, failed());
    assert_eq!(store.current().generation(), generation, "it is said once");
    settle(&store, LifecycleEvent::Stop, done());
    assert_eq!(failure(&instance(&store)), None);
    ask(&store, LifecycleEvent::Start).unwrap();
    settle(&store, LifecycleEvent::Start, failed());
    assert_eq!(instance(&store).state, InstanceState::Stopped);
    assert_eq!(failure(&instance(&store)), Some("busy"));
    ask(&store, LifecycleEvent::Terminate).unwrap();
    settle(&store, LifecycleEvent::Terminate, failed());
    assert_eq!(instance(&store).due(), Some(LifecycleEvent::Terminate), "it is tried again");
}

#[test]
fn what_a_driver_did_for_a_state_that_was_does_not_count() {
    let store = store_with(InstanceState::Pending, Some(Driver::Exec), |_| ());
    ask(&store, LifecycleEvent::Terminate).unwrap();
    let before = instance(&store);
    settle(&store, LifecycleEvent::Launch, Outcome::Failed("no".to_owned()));
    assert_eq!(instance(&store), before);
    settle(&store, LifecycleEvent::Launch, done());
    assert_eq!(instance(&store).due(), Some(LifecycleEvent::Terminate));
    // But that it made a machine does: it is not forgotten while it may run.
    settle(&store, LifecycleEvent::Terminate, Outcome::Failed("busy".to_owned()));
    assert_eq!(instance(&store).due(), Some(LifecycleEvent::Terminate));
}

#[test]
fn an_account_is_told_of_no_instance_of_another() {
    let store = store_with(InstanceState::Running, None, |_| ());
    let mut other = Instance::described(id(2));
    commit(&store, vec![Change::PutInstance(Arc::new(other.clone()), Origin::Api)]);
    let attachment: model::Attachment = "source=10.0.0.5".parse().unwrap();
    let taken = AttachmentTaken { attachment, holder: id(2), claimant: id(1) };
    let holder = id(2).to_string();
    assert!(describe_taken(&store.snapshot(), &taken).contains(&holder));
    other.account_id = "210987654321".parse().unwrap();
    commit(&store, vec![Change::PutInstance(Arc::new(other), Origin::Api)]);
    let told = describe_taken(&store.snapshot(), &taken);
    assert!(told.contains("source=10.0.0.5") && !told.contains(&holder), "{told}");
}

#[test]
fn a_reboot_is_due_once() {
    let store = store_with(InstanceState::Running, Some(Driver::Exec), |_| ());
    let (changes, _) = reboot(&store.snapshot(), Meant::from(&[id(1)][..])).unwrap();
    commit(&store, changes);
    assert_eq!(instance(&store).due(), Some(LifecycleEvent::Reboot));
    assert!(instance(&store).state.may_ask());
    settle(&store, LifecycleEvent::Reboot, Outcome::Failed("no".to_owned()));
    assert_eq!(instance(&store).due(), None);
}

#[test]
fn what_is_protected_stays() {
    let protected = |event| LifecycleRefusal::Protected { id: id(1), event };
    let store = store_with(InstanceState::Running, None, |instance| {
        instance.attributes.disable_api_stop = true;
        instance.attributes.disable_api_termination = true;
    });
    for event in [LifecycleEvent::Stop, LifecycleEvent::Terminate] {
        assert_eq!(ask(&store, event), Err(protected(event)));
    }
    let described = Change::PutInstance(Arc::new(Instance::described(id(2))), Origin::Config);
    commit(&store, vec![described]);
    let end = |number, default| {
        let (snapshot, ids) = (store.snapshot(), [id(number)]);
        terminate(&snapshot, Meant::from(&ids[..]), id(default), NOW).unwrap_err()
    };
    assert_eq!(end(2, 9), LifecycleRefusal::Described(id(2)));
    assert_eq!(end(1, 1), LifecycleRefusal::DefaultInstance(id(1)));
    assert_eq!(end(3, 9), LifecycleRefusal::Unknown(id(3)));
    // What is described may be stopped, and stays described.
    let (changes, _) = stop(&store.snapshot(), Meant::from(&[id(2)][..]), NOW).unwrap();
    commit(&store, changes);
    assert_eq!(store.snapshot().origin(id(2)), Some(Origin::Config));
}

#[test]
fn one_bad_id_fails_the_whole_request() {
    let store = store_with(InstanceState::Running, None, |_| ());
    let ids = [id(1), id(2)];
    let refusal = stop(&store.snapshot(), Meant::from(&ids[..]), NOW).unwrap_err();
    assert_eq!(refusal, LifecycleRefusal::Unknown(id(2)));
    // What is in another scope is not there.
    let elsewhere = Scope { region: "eu-west-1".parse().unwrap(), ..instance(&store).scope() };
    let told = ask_in(&store, LifecycleEvent::Stop, Some(&elsewhere));
    assert_eq!(told, Err(LifecycleRefusal::Unknown(id(1))));
}

#[test]
fn what_is_gone_is_forgotten_in_time() {
    let store = store_with(InstanceState::Running, None, |_| ());
    let scope = instance(&store).scope();
    let mut gone = Instance::described(id(5));
    gone.state = InstanceState::Terminated;
    gone.attributes =
        Shared::from(model::Attributes { state_since: Some(NOW), ..model::Attributes::default() });
    let made = Idempotency {
        action: line("RunInstances"),
        client_token: line("token"),
        digest: line("digest"),
        outcome: vec![line("i-00000005")],
        made: NOW,
    };
    let put = |resource| Change::PutResource(scope.clone(), Arc::new(resource));
    commit(
        &store,
        vec![put(Resource::TerminatedInstance(Box::new(gone))), put(Resource::Idempotency(made))],
    );
    let count_after = |seconds| expired(&store.snapshot(), NOW.plus_seconds(seconds)).len();
    assert_eq!(count_after(TERMINATED_SECONDS - 1), 0);
    assert_eq!(count_after(TERMINATED_SECONDS), 1);
    assert_eq!(count_after(IDEMPOTENCY_SECONDS), 2);
    commit(&store, expired(&store.snapshot(), NOW.plus_seconds(TERMINATED_SECONDS)));
    assert_eq!(store.snapshot().terminated_instances(&scope).count(), 0);
    assert_eq!(store.snapshot().instance_count(), 1);
    assert_eq!(count_after(TERMINATED_SECONDS), 0);
}
