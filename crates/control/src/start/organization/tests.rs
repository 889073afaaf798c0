use std::convert::Infallible;

use model::PolicyDocument;
use store::{Memory, Store};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);
const MANAGEMENT: &str = "111111111111";
const WORK: &str = "222222222222";

fn unit(name: &str, parent: Option<&str>) -> DescribedUnit {
    let parent = parent.map(str::to_owned);
    DescribedUnit { id: None, name: name.parse().unwrap(), parent }
}

fn account(id: &str, parent: &str) -> DescribedAccount {
    let parent = Some(parent.to_owned());
    DescribedAccount { id: id.parse().unwrap(), name: None, email: None, parent }
}

fn policy(name: &str, targets: &[&str]) -> DescribedPolicy {
    let content =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}"#;
    DescribedPolicy {
        id: None,
        name: name.parse().unwrap(),
        description: None,
        type_: PolicyType::ServiceControlPolicy,
        content: Some(PolicyDocument::new(content)),
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
        tags: BTreeMap::new(),
    }
}

fn described() -> DescribedOrganization {
    DescribedOrganization {
        id: None,
        root_id: None,
        management_account_id: MANAGEMENT.parse().unwrap(),
        policy_types: None,
        units: vec![unit("Inner", Some("Outer")), unit("Outer", None)],
        accounts: vec![account(WORK, "Outer/Inner")],
        policies: vec![policy("deny", &["Inner"])],
    }
}

fn store() -> Store {
    Store::open(Box::new(Memory::default())).unwrap()
}

fn start(store: &Store, described: Option<DescribedOrganization>) {
    store
        .transact(|snapshot| {
            Ok::<_, StartRefusal>((organization_changes(snapshot, described, NOW)?, ()))
        })
        .unwrap();
}

fn refusal(described: DescribedOrganization) -> Refused {
    let refusal = organization_changes(&store().snapshot(), Some(described), NOW).unwrap_err();
    let StartRefusal::Organization { table, reason } = refusal else { panic!("{refusal}") };
    (table, reason)
}

fn targets_of(store: &Store, id: &str) -> Vec<String> {
    let snapshot = store.snapshot();
    let policy = snapshot.control_policy(&id.parse().unwrap()).unwrap();
    policy.targets.iter().map(ToString::to_string).collect()
}

fn put(store: &Store, changes: Vec<Change>) {
    store.transact(|_| Ok::<_, Infallible>((changes, ()))).unwrap();
}

#[test]
fn a_tree_is_made_in_any_order_and_stays_the_same() {
    let store = store();
    start(&store, Some(described()));
    let first = store.snapshot();
    let organization = first.organization().unwrap();
    let way: Vec<_> = organization.way_to(WORK.parse().unwrap());
    assert_eq!(way.len(), 4, "{way:?}");
    assert!(organization.accounts.contains_key(&MANAGEMENT.parse().unwrap()));
    assert_eq!(targets_of(&store, "p-FullAWSAccess").len(), 5);
    let deny = first.control_policies().find(|(policy, _)| &*policy.name == "deny").unwrap();
    assert_eq!((deny.1, deny.0.targets.contains(&way[2])), (Origin::Config, true));
    start(&store, Some(described()));
    assert_eq!(store.snapshot().generation(), first.generation(), "nothing is to be changed");
    start(&store, None);
    let snapshot = store.snapshot();
    assert!(snapshot.organization().is_none());
    assert_eq!(snapshot.control_policies().count(), 0);
}

#[test]
fn what_an_api_added_stays_and_what_was_described_goes_with_the_file() {
    let store = store();
    start(&store, Some(described()));
    let mut organization = (**store.snapshot().organization().unwrap()).clone();
    let inner = organization.accounts[&WORK.parse().unwrap()].parent.clone();
    let added: AccountId = "333333333333".parse().unwrap();
    let member = Member {
        name: "added".parse().unwrap(),
        email: "added@example.com".parse().unwrap(),
        parent: inner.clone(),
        joined: NOW,
        tags: BTreeMap::new(),
        described: false,
    };
    organization.accounts.insert(added, member);
    put(&store, vec![Change::PutOrganization(Arc::new(organization), Origin::Config)]);
    let mut less = described();
    less.units.clear();
    less.accounts.clear();
    less.policies[0].targets.clear();
    start(&store, Some(less));
    let snapshot = store.snapshot();
    let organization = snapshot.organization().unwrap();
    assert_eq!(organization.accounts[&added].parent, inner, "it is where it was");
    assert_eq!(organization.way_to(added).len(), 4);
    assert!(!organization.accounts.contains_key(&WORK.parse().unwrap()));
}

#[test]
fn where_everything_was_no_longer_allowed_it_is_not_again_after_a_start() {
    let store = store();
    start(&store, Some(described()));
    let mut kept =
        (**store.snapshot().control_policy(&"p-FullAWSAccess".parse().unwrap()).unwrap()).clone();
    let work = Target::Account(WORK.parse().unwrap());
    kept.targets.remove(&work);
    put(&store, vec![Change::PutControlPolicy(Arc::new(kept), Origin::Api)]);
    let mut more = described();
    more.accounts.push(account("333333333333", "root"));
    start(&store, Some(more));
    let targets = targets_of(&store, "p-FullAWSAccess");
    assert!(!targets.contains(&WORK.to_owned()), "{targets:?}");
    assert!(targets.contains(&"333333333333".to_owned()), "{targets:?}");
    // Unless the file says where.
    let mut own = described();
    own.policies.push(DescribedPolicy { content: None, ..policy("FullAWSAccess", &["root"]) });
    start(&store, Some(own));
    assert_eq!(targets_of(&store, "p-FullAWSAccess").len(), 1);
}

#[test]
fn what_is_no_tree_is_refused_with_its_table() {
    use OrganizationRefusal as Why;
    use OrganizationTable as At;
    let with_units = |units| DescribedOrganization { units, ..described() };
    let with_accounts = |accounts| DescribedOrganization { accounts, ..described() };
    let with_policies = |policies| DescribedOrganization { policies, ..described() };
    let circle = vec![unit("a", None), unit("b", Some("c")), unit("c", Some("b"))];
    assert!(matches!(refusal(with_units(circle)), (At::Unit(1 | 2), Why::Circle(_))));
    let unknown = vec![unit("a", Some("x"))];
    assert_eq!(refusal(with_units(unknown)), (At::Unit(0), Why::NoUnit("x".to_owned())));
    let deep: Vec<_> = (0..6)
        .map(|n| {
            let parent = (n > 0).then(|| format!("u{}", n - 1));
            unit(&format!("u{n}"), parent.as_deref())
        })
        .collect();
    assert_eq!(refusal(with_units(deep)), (At::Unit(5), Why::TooDeep("u5".parse().unwrap())));
    let twice = vec![unit("a", None), unit("a", None)];
    assert!(matches!(refusal(with_units(twice)), (At::Unit(1), Why::Twice(_))));
    let same = vec![unit("a", None), unit("b", None), unit("p", Some("a")), unit("p", Some("b"))];
    let ambiguous =
        DescribedOrganization { accounts: vec![account(WORK, "p")], ..with_units(same) };
    assert_eq!(refusal(ambiguous), (At::Account(0), Why::Ambiguous("p".to_owned())));
    let mut other = described();
    other.units[1].id = Some("ou-zzzz-aaaaaaaa".parse().unwrap());
    assert!(matches!(refusal(other), (At::Unit(1), Why::OtherRoot { .. })));
    let nowhere = with_accounts(vec![account(WORK, "x")]);
    assert_eq!(refusal(nowhere), (At::Account(0), Why::NoUnit("x".to_owned())));
    let twice = with_accounts(vec![account(WORK, "root"), account(WORK, "Outer")]);
    assert!(matches!(refusal(twice), (At::Account(1), Why::Twice(_))));
    let at_nobody = with_policies(vec![policy("p", &["999999999999"])]);
    assert_eq!(refusal(at_nobody), (At::Policy(0), Why::NoTarget("999999999999".to_owned())));
    let twice = with_policies(vec![policy("p", &[]), policy("p", &[])]);
    assert!(matches!(refusal(twice), (At::Policy(1), Why::Twice(_))));
    let empty = with_policies(vec![DescribedPolicy { content: None, ..policy("p", &[]) }]);
    assert!(matches!(refusal(empty), (At::Policy(0), Why::NoContent(_))));
    let of_aws = with_policies(vec![policy("FullAWSAccess", &[])]);
    assert!(matches!(refusal(of_aws), (At::Policy(0), Why::ContentOfAws(_))));
    let off = DescribedOrganization { policy_types: Some(BTreeSet::new()), ..described() };
    assert!(matches!(refusal(off), (At::Policy(0), Why::TypeNotInForce { .. })));
}
