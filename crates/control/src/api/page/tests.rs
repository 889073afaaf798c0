use std::collections::BTreeSet;

use model::InstanceId;
use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { min: 5, max: 1000 };
const ACTION: &str = "DescribeInstances";

fn ids(numbers: impl IntoIterator<Item = u128>) -> Vec<(InstanceId, u128)> {
    numbers.into_iter().map(|number| (InstanceId::from_number(number), number)).collect()
}

fn pager(size: Option<i64>, token: Option<&str>) -> Result<Pager<InstanceId>, ApiFault> {
    Pager::new(ACTION, BOUNDS, size, token)
}

#[test]
fn sizes_have_bounds() {
    for (size, expected) in [(None, Some(1000)), (Some(5), Some(5)), (Some(1000), Some(1000))] {
        assert_eq!(pager(size, None).ok().map(|pager| pager.size), expected);
    }
    for size in [i64::MIN, -1, 0, 4, 1001, i64::MAX] {
        let fault = pager(Some(size), None).unwrap_err().to_string();
        assert_eq!(fault, "InvalidMaxResults: The value of MaxResults must be between 5 and 1000.");
    }
}

#[test]
fn only_a_token_of_the_action_is_taken() {
    let page = pager(Some(5), None).unwrap().select(ids(0..6));
    let token = page.next_token.unwrap();
    assert!(pager(Some(5), Some(&token)).is_ok());
    let refused = |action, token: &str| {
        let fault = Pager::<InstanceId>::new(action, BOUNDS, None, Some(token)).err();
        fault.is_some_and(|fault| fault.code == "InvalidNextToken")
    };
    assert!(refused("DescribeTags", &token));
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    for token in [
        "",
        "abc",
        "=",
        &token[1..],
        &format!("{token}A"),
        &encode("[]"),
        &encode(r#"["DescribeInstances","junk"]"#),
        &encode(r#"["DescribeInstances",1]"#),
        &"A".repeat(TOKEN_BYTES_MAX + 4),
    ] {
        assert!(refused(ACTION, token), "{token}");
    }
}

#[test]
fn a_key_may_have_parts() {
    let bounds = Bounds { min: 1, max: 2 };
    let items = || [(("i-1", "b"), 2), (("i-1", "a"), 1), (("i-2", "a"), 3)];
    let owned = || items().map(|((id, key), item)| ((id.to_owned(), key.to_owned()), item));
    let pager = |token: Option<&str>| Pager::new("DescribeTags", bounds, None, token).unwrap();
    let first = pager(None).select(owned());
    assert_eq!(first.items, [1, 2]);
    let second = pager(first.next_token.as_deref()).select(owned());
    assert_eq!((second.items, second.next_token), (vec![3], None));
}

proptest! {
    #[test]
    fn a_walk_sees_everything_once_while_others_come_and_go(
        numbers in prop::collection::btree_set(0..60_u128, 0..40),
        comes_and_goes in prop::collection::vec(prop::collection::btree_set(0..60_u128, 0..20), 1..5),
        size in 5..12_i64,
    ) {
        let mut seen = Vec::new();
        let mut token: Option<String> = None;
        for round in 0.. {
            let visitors = &comes_and_goes[round % comes_and_goes.len()];
            let there: BTreeSet<_> = numbers.union(visitors).copied().collect();
            // Not in the order of the keys.
            let unordered = there.into_iter().map(|n| (n * 37 % 61, n)).collect::<BTreeSet<_>>();
            let items = ids(unordered.into_iter().map(|(_, n)| n));
            let page = pager(Some(size), token.as_deref()).unwrap().select(items);
            prop_assert!(page.items.len() <= usize::try_from(size).unwrap());
            prop_assert!(page.next_token.is_none() || !page.items.is_empty());
            seen.extend(page.items);
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        prop_assert!(seen.is_sorted_by(|a, b| a < b), "in order, and once: {:?}", seen);
        let seen: BTreeSet<_> = seen.into_iter().collect();
        prop_assert!(seen.is_superset(&numbers));
    }
}

#[test]
fn few_items_are_looked_at() {
    let pager = pager(Some(10), None).unwrap();
    let mut looked = 0;
    let page = pager.select_if(ids(0..10_000), |number| {
        looked += 1;
        (number % 2 == 1).then_some(number)
    });
    assert_eq!(page.items, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    assert_eq!(looked, 22);
    let token = page.next_token.unwrap();
    let next = self::pager(Some(10), Some(&token)).unwrap();
    let page = next.select_if(ids(0..24), |number| (number % 2 == 1).then_some(number));
    assert_eq!((page.items, page.next_token), (vec![21, 23], None));
}
