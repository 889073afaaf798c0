//! `gaps.toml`: the cases that do not hold, and why.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// The ledger of known gaps.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ledger {
    #[serde(default)]
    gap: Vec<Gap>,
}

/// One gap.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gap {
    /// The case.
    id: String,
    /// Why it does not hold.
    why: String,
    /// The stage on which it does not hold, if it does on the other.
    only: Option<String>,
}

impl Ledger {
    /// Reads the ledger.
    ///
    /// # Errors
    ///
    /// It cannot be read, or an entry has no id or no reason, or stands there twice.
    pub(crate) fn load(file: &Path) -> Result<Self, String> {
        fs::read_to_string(file)
            .map_err(|source| source.to_string())
            .and_then(|text| Self::parse(&text))
            .map_err(|fault| format!("{}: {fault}", file.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let ledger: Self = toml::from_str(text).map_err(|source| source.to_string())?;
        let mut seen = BTreeSet::new();
        for Gap { id, why, only } in &ledger.gap {
            if why.trim().is_empty() {
                return Err(format!("the gap {id} has no reason"));
            }
            let stages = ["in process", "over the wire"];
            if let Some(only) = only.as_deref().filter(|only| !stages.contains(only)) {
                return Err(format!("{id}: `{only}` is no stage: use {}", stages.join(" or ")));
            }
            if !seen.insert(id) {
                return Err(format!("the gap {id} is listed twice"));
            }
        }
        Ok(ledger)
    }

    /// Returns the ids of all gaps.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.gap.iter().map(|gap| gap.id.as_str())
    }

    /// Whether the case is known not to hold on this stage.
    pub(crate) fn lists(&self, id: &str, stage: &str) -> bool {
        self.gap
            .iter()
            .any(|gap| gap.id == id && gap.only.as_deref().is_none_or(|only| only == stage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_has_an_id_a_reason_and_perhaps_a_stage() {
        let text =
            "[[gap]]\nid = 'T1'\nwhy = 'x'\n[[gap]]\nid = 'T2'\nwhy = 'y'\nonly = 'in process'";
        let ledger = Ledger::parse(text).unwrap();
        assert!(ledger.lists("T1", "in process") && ledger.lists("T1", "over the wire"));
        assert!(ledger.lists("T2", "in process") && !ledger.lists("T2", "over the wire"));
        assert!(!ledger.lists("T3", "in process"));
    }

    #[test]
    fn a_gap_without_a_reason_is_refused() {
        for bad in [
            "[[gap]]\nid = 'T1'",
            "[[gap]]\nid = 'T1'\nwhy = ' '",
            "[[gap]]\nid = 'T1'\nwhy = 'x'\nonly = 'on Sundays'",
            "[[gap]]\nid = 'T1'\nwhy = 'x'\n[[gap]]\nid = 'T1'\nwhy = 'x'",
        ] {
            assert!(Ledger::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Ledger::parse("").unwrap().ids().count(), 0);
    }
}
