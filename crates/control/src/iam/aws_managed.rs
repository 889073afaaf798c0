//! The managed policies of AWS that are here: those that scripts attach, in as few words as say what
//! they are for.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use model::{IamName, PolicyArn};
use policy::{DocumentKind, Policy};

/// Name and document.
const DOCUMENTS: [(&str, &str); 1] = [(
    "AdministratorAccess",
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
)];

static COMPILED: LazyLock<BTreeMap<IamName, Policy>> = LazyLock::new(|| {
    let compile = |(name, text): (&str, &str)| {
        let policy = Policy::compile_or_deny(name, DocumentKind::Managed, text);
        name.parse().ok().map(|name| (name, policy))
    };
    DOCUMENTS.into_iter().filter_map(compile).collect()
});

/// Finds a policy of AWS's.
pub(crate) fn find(arn: &PolicyArn) -> Option<&'static Policy> {
    COMPILED.get(arn.name())
}

/// The text of a policy of AWS's.
pub(crate) fn document(arn: &PolicyArn) -> Option<&'static str> {
    let found = DOCUMENTS.iter().find(|(name, _)| *name == arn.name().as_str());
    found.map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_can_be_read() {
        assert_eq!(COMPILED.len(), DOCUMENTS.len());
        for policy in COMPILED.values() {
            assert_eq!(policy.refusal(), None, "{}", policy.name());
        }
    }
}
