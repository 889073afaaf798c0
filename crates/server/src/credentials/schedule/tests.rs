//! Hours of fetching in virtual time.

use model::{CredentialSource, InstanceId, RoleDelivery};
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_seconds(1_741_082_400);

fn role(name: &str, command: &str) -> Arc<Role> {
    let command = vec![command.to_owned()];
    Arc::new(Role::described(name.parse().unwrap(), CredentialSource::Process { command }))
}

#[expect(clippy::unnecessary_wraps, reason = "the other kind of session is none")]
fn session(number: u128) -> Session {
    Some((InstanceId::from_number(number), RoleDelivery::V2))
}

/// A schedule that draws the same always.
fn schedule(random: u32, roles: &[&Arc<Role>]) -> Schedule {
    let mut schedule = Schedule::new(move || random);
    for role in roles {
        schedule.put_role(role, START);
    }
    schedule
}

fn after(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + millis)
}

#[test]
fn a_set_is_fetched_at_once_and_again_at_half_its_life_or_a_little_earlier() {
    for (random, pause) in [(0, 450_000), (u32::MAX, 360_000)] {
        let role = role("app", "a");
        let mut schedule = schedule(random, &[&role]);
        schedule.want(&role.key(), None);
        schedule.want(&role.key(), None);
        assert!(!schedule.has_tried_all());
        let fetch = schedule.begin(START).unwrap();
        assert!(schedule.begin(START).is_none(), "one at a time");
        assert!(schedule.succeeded(&fetch, 900_000, START));
        assert!(schedule.has_tried_all());
        assert_eq!(schedule.next(), Some(after(pause)));
        assert!(schedule.begin(after(pause - 1)).is_none());
        assert!(schedule.begin(after(pause)).is_some());
    }
}

#[test]
fn what_ends_at_once_is_not_fetched_without_end() {
    let role = role("app", "a");
    let mut schedule = schedule(0, &[&role]);
    schedule.want(&role.key(), None);
    let fetch = schedule.begin(START).unwrap();
    assert!(schedule.succeeded(&fetch, -1_000, START));
    assert_eq!(schedule.next(), Some(after(REFRESH_MILLIS_MIN)));
}

#[test]
fn a_source_that_fails_is_left_alone_for_longer_and_longer() {
    let role = role("app", "a");
    let mut schedule = schedule(0, &[&role]);
    schedule.want(&role.key(), None);
    let mut now = START;
    for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        let fetch = schedule.begin(now).unwrap();
        assert!(schedule.failed(&fetch, now));
        let due = schedule.next().unwrap();
        assert_eq!(due.as_millis() - now.as_millis(), expected);
        now = due;
    }
    let fetch = schedule.begin(now).unwrap();
    assert!(schedule.succeeded(&fetch, 7_200_000, now));
    now = schedule.next().unwrap();
    let fetch = schedule.begin(now).unwrap();
    assert!(schedule.failed(&fetch, now));
    assert_eq!(schedule.next().unwrap().as_millis() - now.as_millis(), 1_000, "from the start");
}

#[test]
fn ten_thousand_sets_come_a_few_at_a_time_and_one_at_a_time_while_their_source_fails() {
    let (many, one) = (role("many", "a"), role("one", "b"));
    let mut schedule = schedule(0, &[&many, &one]);
    (0..10_000).for_each(|number| schedule.want(&many.key(), session(number)));
    schedule.want(&one.key(), None);
    let begun: Vec<_> = std::iter::from_fn(|| schedule.begin(START)).collect();
    let of_many = begun.iter().filter(|fetch| fetch.role.name == many.name).count();
    assert_eq!((begun.len(), of_many), (AT_A_TIME_OF_ROLE + 1, AT_A_TIME_OF_ROLE));
    assert_eq!(schedule.next(), None, "there is no room");
    for fetch in begun {
        schedule.failed(&fetch, START);
    }
    let begun: Vec<_> = std::iter::from_fn(|| schedule.begin(START)).collect();
    assert_eq!(begun.len(), 1, "the others wait for a sign of life");
    assert!(schedule.succeeded(&begun[0], 900_000, START));
    assert_eq!(std::iter::from_fn(|| schedule.begin(START)).count(), AT_A_TIME_OF_ROLE);
}

#[test]
fn a_new_set_comes_before_those_that_are_renewed() {
    let role = role("app", "a");
    let mut schedule = schedule(0, &[&role]);
    (0..100).for_each(|number| schedule.want(&role.key(), session(number)));
    while let Some(fetch) = schedule.begin(START) {
        schedule.succeeded(&fetch, 900_000, START);
    }
    schedule.want(&role.key(), session(1_000));
    assert_eq!(schedule.begin(after(900_000)).unwrap().session, session(1_000));
}

#[test]
fn roles_take_turns() {
    let roles = ["a", "b", "c"].map(|name| role(name, name));
    let mut schedule = schedule(0, &roles.each_ref());
    for role in &roles {
        (0..4).for_each(|number| schedule.want(&role.key(), session(number)));
    }
    let begun = std::iter::from_fn(|| schedule.begin(START));
    let names: String = begun.map(|fetch| fetch.role.name.to_string()).collect();
    assert_eq!(names, "abcabcabcabc");
}

#[test]
fn what_comes_of_another_source_is_not_kept_and_the_new_one_is_asked_at_once() {
    let (old, new) = (role("app", "old"), role("app", "new"));
    let mut schedule = schedule(0, &[&old]);
    schedule.want(&old.key(), session(1));
    schedule.want(&old.key(), session(2));
    let first = schedule.begin(START).unwrap();
    schedule.succeeded(&first, 900_000, START);
    let second = schedule.begin(START).unwrap();
    schedule.put_role(&new, after(1));
    let again = schedule.begin(after(1)).unwrap();
    assert_eq!((again.session, &*again.role), (first.session, &*new));
    assert!(schedule.begin(after(1)).is_none(), "what is under way has to end first");
    assert!(!schedule.succeeded(&second, 900_000, after(2)), "it is in vain");
    let again = schedule.begin(after(2)).unwrap();
    assert_eq!((again.session, &*again.role), (second.session, &*new));
}

#[test]
fn what_nobody_wants_is_not_kept_and_comes_back_when_it_is_wanted_again() {
    let role = role("app", "a");
    let mut schedule = schedule(0, &[&role]);
    schedule.want(&role.key(), session(1));
    let fetch = schedule.begin(START).unwrap();
    schedule.unwant(&role.key(), session(1));
    schedule.want(&role.key(), session(1));
    assert!(schedule.begin(START).is_none(), "never two at a time");
    assert!(!schedule.succeeded(&fetch, 900_000, START));
    let fetch = schedule.begin(START).unwrap();
    schedule.remove_role(&role.key());
    assert!(!schedule.failed(&fetch, START));
    assert_eq!((schedule.next(), schedule.has_tried_all()), (None, true));
    assert!(schedule.roles.is_empty());
    schedule.put_role(&role, START);
    schedule.want(&role.key(), session(1));
    assert!(schedule.begin(START).is_some());
}

#[test]
fn a_clock_that_was_set_has_everything_fetched_again_within_a_minute() {
    let role = role("app", "a");
    let mut schedule = schedule(u32::MAX, &[&role]);
    schedule.want(&role.key(), None);
    let fetch = schedule.begin(START).unwrap();
    schedule.succeeded(&fetch, 7_200_000, START);
    schedule.hasten(START);
    assert_eq!(schedule.next(), Some(after(SPREAD_MILLIS)));
}

#[test]
fn while_a_source_fails_for_less_than_half_a_life_there_are_always_living_credentials() {
    let role = role("app", "a");
    let mut state = 1_u32;
    let mut schedule = Schedule::new(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state
    });
    schedule.put_role(&role, START);
    (0..100).for_each(|number| schedule.want(&role.key(), session(number)));
    let mut ends: HashMap<Session, Timestamp> = HashMap::new();
    // A day, second by second; each hour the source is down for six minutes.
    for second in 0..86_400 {
        let now = after(second * 1_000);
        let is_down = second > 0 && second % 3_600 < 360;
        while let Some(fetch) = schedule.begin(now) {
            if is_down {
                assert!(schedule.failed(&fetch, now));
            } else {
                assert!(schedule.succeeded(&fetch, 900_000, now));
                ends.insert(fetch.session, now.plus_seconds(900));
            }
        }
        assert!(ends.values().all(|end| *end > now), "second {second}");
        assert_eq!(ends.len(), 100);
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Want(u128),
    Unwant(u128),
    Change(u8),
    Remove,
    Begin,
    End(usize, bool),
    Pass(i64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0_u128..40).prop_map(Deed::Want),
        (0_u128..40).prop_map(Deed::Unwant),
        (0_u8..3).prop_map(Deed::Change),
        Just(Deed::Remove),
        Just(Deed::Begin),
        Just(Deed::Begin),
        (any::<usize>(), any::<bool>()).prop_map(|(which, is_good)| Deed::End(which, is_good)),
        (0_i64..100_000).prop_map(Deed::Pass),
    ]
}

proptest! {
    #[test]
    fn nothing_is_ever_fetched_twice_at_a_time_and_all_counts_agree(
        deeds in proptest::collection::vec(deed(), 1..200)
    ) {
        let mut now = START;
        let mut schedule = schedule(7, &[]);
        let name = role("app", "0").key();
        let mut under_way: Vec<Fetch> = Vec::new();
        for deed in deeds {
            match deed {
                Deed::Want(number) => schedule.want(&name, session(number)),
                Deed::Unwant(number) => schedule.unwant(&name, session(number)),
                Deed::Change(to) => schedule.put_role(&role("app", &to.to_string()), now),
                Deed::Remove => schedule.remove_role(&name),
                Deed::Pass(millis) => now = Timestamp::from_millis(now.as_millis() + millis),
                Deed::Begin => if let Some(fetch) = schedule.begin(now) {
                    prop_assert!(under_way.iter().all(|other| other.session != fetch.session));
                    under_way.push(fetch);
                }
                Deed::End(which, is_good) => if !under_way.is_empty() {
                    let fetch = under_way.swap_remove(which % under_way.len());
                    if is_good {
                        schedule.succeeded(&fetch, 900_000, now);
                    } else {
                        schedule.failed(&fetch, now);
                    }
                }
            }
            prop_assert_eq!(schedule.under_way, under_way.len());
            prop_assert!(under_way.len() <= AT_A_TIME_OF_ROLE);
            let sets = || schedule.roles.values().flat_map(|queue| queue.sets.values());
            prop_assert_eq!(schedule.untried, sets().filter(|entry| entry.is_untried).count());
            let waits = sets().filter(|entry| matches!(entry.stage, Stage::Waits(_))).count();
            prop_assert_eq!(waits, schedule.roles.values().map(|queue| queue.due.len()).sum::<usize>());
        }
    }
}
