//! What may happen in the life of an account.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{HOP_LIMIT, Said, TOKENS};

/// What is to happen. An index is one into what there is at the time.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Launch { image: Index, said: Said, template: Option<(Index, Version)>, is_by_name: bool },
    Modify { instance: Index, said: Said },
    StopAndStart { instance: Index },
    Defaults { said: Said, enforced: Option<&'static str> },
    CreateTemplate { said: Said },
    CreateVersion { template: Index, source: Option<Version>, said: Said },
    SetDefault { template: Index, version: Version },
    DeleteVersion { template: Index, version: Version },
    DeleteTemplate { template: Index },
    RegisterImage { is_marked: bool },
    MarkImage { image: Index },
}

#[derive(Clone, Debug)]
pub(super) enum Version {
    Unsaid,
    Default,
    Latest,
    Number(Index),
}

/// Words that an option may have, and in a few cases one that it may not.
fn word(option: usize, bad: &'static str) -> BoxedStrategy<Option<&'static str>> {
    let good: &[&'static str] = match option {
        TOKENS => &["optional", "required"],
        HOP_LIMIT => &["1", "2", "3", "64"],
        _ => &["enabled", "disabled"],
    };
    prop_oneof![
        30 => Just(None),
        19 => select(good).prop_map(Some),
        1 => Just(Some(bad)),
    ]
    .boxed()
}

fn said() -> impl Strategy<Value = Said> {
    [
        word(0, "no-preference"),
        word(1, "65"),
        word(2, "no-preference"),
        word(3, ""),
        word(4, "Enabled"),
    ]
}

/// As [`said`], with words that forget, and without the option that has no default.
fn said_of_defaults() -> impl Strategy<Value = Said> {
    let forgetting =
        |option, forget, bad| prop_oneof![3 => word(option, bad), 1 => Just(Some(forget))].boxed();
    [
        forgetting(0, "no-preference", ""),
        forgetting(1, "-1", "0"),
        forgetting(2, "no-preference", "on"),
        Just(None).boxed(),
        forgetting(4, "no-preference", "-1"),
    ]
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        Just(Version::Unsaid),
        Just(Version::Default),
        Just(Version::Latest),
        any::<Index>().prop_map(Version::Number),
    ]
}

/// What may happen next.
pub(super) fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let enforced = prop_oneof![
        3 => Just(None),
        1 => select(vec!["enabled", "disabled", "no-preference"]).prop_map(Some),
    ];
    let template = prop::option::of((index(), version()));
    prop_oneof![
        8 => (index(), said(), template, any::<bool>()).prop_map(
            |(image, said, template, is_by_name)| Step::Launch { image, said, template, is_by_name }
        ),
        4 => (index(), said()).prop_map(|(instance, said)| Step::Modify { instance, said }),
        1 => index().prop_map(|instance| Step::StopAndStart { instance }),
        4 => (said_of_defaults(), enforced)
            .prop_map(|(said, enforced)| Step::Defaults { said, enforced }),
        2 => said().prop_map(|said| Step::CreateTemplate { said }),
        4 => (index(), prop::option::of(version()), said())
            .prop_map(|(template, source, said)| Step::CreateVersion { template, source, said }),
        2 => (index(), version())
            .prop_map(|(template, version)| Step::SetDefault { template, version }),
        1 => (index(), version())
            .prop_map(|(template, version)| Step::DeleteVersion { template, version }),
        1 => index().prop_map(|template| Step::DeleteTemplate { template }),
        1 => any::<bool>().prop_map(|is_marked| Step::RegisterImage { is_marked }),
        1 => index().prop_map(|image| Step::MarkImage { image }),
    ]
}
