use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::api::Dialect;
use crate::api::form::Tree;

/// As an action has it: with a part that is borrowed from the snapshot.
struct Item<'s> {
    id: &'s str,
    hops: u8,
    groups: &'static [&'static str],
    tags: &'static [(&'static str, &'static str)],
}

const ITEMS: [Item<'_>; 3] = [
    Item { id: "i-1", hops: 1, groups: &["sg-1", "sg-2"], tags: &[("Name", "a"), ("env", "prod")] },
    Item { id: "i-2", hops: 64, groups: &[], tags: &[("Name", "ab")] },
    Item { id: "i-3", hops: 1, groups: &["sg-2"], tags: &[("x:y", "")] },
];

fn table<'s>() -> [Known<Item<'s>>; 4] {
    [
        Known::tags(|item| item.tags.to_vec()),
        Known::new("instance-id", |item| item.id.into()),
        Known::new("hops", |item| Values::shown(&item.hops)),
        Known::new("group-id", |item| item.groups.iter().copied().collect()),
    ]
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Describe {
    #[serde(default, rename = "Filter")]
    filters: Vec<Filter>,
}

fn filters<'s>(form: &str) -> Result<Filters<Item<'s>>, ApiFault> {
    let request: Describe = Tree::parse(form.as_bytes())?.read(Dialect::Ec2)?;
    Filters::new(request.filters, &table())
}

#[test]
fn filters_are_joined_by_and_and_their_values_by_or() {
    for (form, expected) in [
        ("", &["i-1", "i-2", "i-3"][..]),
        ("Filter.1.Name=instance-id&Filter.1.Value.1=i-1&Filter.1.Value.2=i-3", &["i-1", "i-3"]),
        (
            "Filter.1.Name=hops&Filter.1.Value.1=1&Filter.2.Name=group-id&Filter.2.Value.1=sg-1",
            &["i-1"],
        ),
        ("Filter.1.Name=group-id&Filter.1.Value.1=*", &["i-1", "i-3"]),
        ("Filter.1.Name=tag%3AName&Filter.1.Value.1=a", &["i-1"]),
        ("Filter.1.Name=tag%3AName&Filter.1.Value.1=a%3F", &["i-1", "i-2"]),
        ("Filter.1.Name=tag%3Aname&Filter.1.Value.1=*", &[]),
        ("Filter.1.Name=tag%3AName&Filter.1.Value.1=A", &[]),
        ("Filter.1.Name=tag%3Ax%3Ay&Filter.1.Value.1=", &["i-3"]),
        ("Filter.1.Name=tag-key&Filter.1.Value.1=env&Filter.1.Value.2=x%3A*", &["i-1", "i-3"]),
        ("Filter.1.Name=hops&Filter.1.Value.1=1&Filter.2.Name=hops&Filter.2.Value.1=64", &[]),
    ] {
        let filters = filters(form).unwrap();
        let found: Vec<_> = ITEMS.iter().filter(|item| filters.admit(item)).map(|i| i.id).collect();
        assert_eq!(found, expected, "{form}");
    }
}

#[test]
fn filters_that_an_action_does_not_have_are_refused() {
    let fault = |form: &str| filters(form).err().unwrap().to_string();
    let invalid = "InvalidParameterValue: The filter 'x' is invalid";
    assert_eq!(fault("Filter.1.Name=x&Filter.1.Value.1=y"), invalid);
    assert!(fault("Filter.1.Name=tags&Filter.1.Value.1=y").ends_with("'tags' is invalid"));
    assert!(fault("Filter.1.Name=Hops&Filter.1.Value.1=y").ends_with("'Hops' is invalid"));
    assert!(fault("Filter.1.Name=hops").ends_with("The filter 'hops' has no values"));
    assert_eq!(
        fault("Filter.2.Value.1=y"),
        "MissingParameter: The request must contain the parameter Filter.2.Name"
    );
}

#[test]
fn filters_have_limits() {
    let filter = |values: usize, length: usize| Filter {
        name: "hops".to_owned(),
        values: vec!["é".repeat(length); values],
    };
    let code = |given| Filters::new(given, &table()).err().map(|fault| fault.code.into_owned());
    let exceeded = Some("FilterLimitExceeded".to_owned());
    assert_eq!(code(vec![filter(VALUES_MAX, VALUE_CHARACTERS_MAX); FILTERS_MAX]), None);
    assert_eq!(code(vec![filter(1, 1); FILTERS_MAX + 1]), exceeded);
    assert_eq!(code(vec![filter(VALUES_MAX + 1, 1)]), exceeded);
    assert_eq!(code(vec![filter(1, VALUE_CHARACTERS_MAX + 1)]), exceeded);
}

#[test]
fn wildcards() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("a", "a", true),
        ("a", "A", false),
        ("a", "ab", false),
        ("*", "", true),
        ("*", "anything", true),
        ("a*c", "abc", true),
        ("a*c", "ac", true),
        ("a*c", "acb", false),
        ("?", "", true),
        ("?", "ü", true),
        ("?", "ab", false),
        ("a??d", "ad", true),
        ("a??d", "abd", true),
        ("a??d", "abcd", true),
        ("a??d", "abbcd", false),
        ("*?", "", true),
        ("\\*", "*", true),
        ("\\*", "a", false),
        ("\\?\\\\", "?\\", true),
        ("\\*amazon\\?\\\\", "*amazon?\\", true),
        ("a\\b", "a\\b", true),
        ("a\\", "a\\", true),
        ("*ab*ba", "abba", true),
        ("*ab*ba", "aba", false),
    ] {
        assert_eq!(Pattern::parse(pattern).matches(text), expected, "{pattern:?} {text:?}");
    }
}

#[test]
fn a_hostile_pattern_takes_no_longer_than_another() {
    let text = "a".repeat(256);
    for unit in ["*a", "?a", "*?", "?", "*"] {
        let mut value = unit.repeat(127);
        value.push('b');
        let start = Instant::now();
        assert!(!Pattern::parse(&value).matches(&text));
        // Backtracking takes longer than anybody has: more than 2^127 steps.
        assert!(start.elapsed() < Duration::from_secs(5), "{unit}");
    }
}

/// The rules, word for word.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
        ['?', rest @ ..] => naive(rest, text) || !text.is_empty() && naive(rest, &text[1..]),
        ['\\', c @ ('*' | '?' | '\\'), rest @ ..] | [c, rest @ ..] => {
            text.first() == Some(c) && naive(rest, &text[1..])
        }
    }
}

proptest! {
    #[test]
    fn patterns_mean_what_a_naive_matcher_says(
        pattern in r"[ab*?\\é]{0,9}",
        text in r"[ab*?\\é]{0,9}",
    ) {
        let split = |text: &str| text.chars().collect::<Vec<_>>();
        let expected = naive(&split(&pattern), &split(&text));
        prop_assert_eq!(Pattern::parse(&pattern).matches(&text), expected);
    }
}
