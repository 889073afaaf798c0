//! What an examination comes to.

use serde::Serialize;

use crate::command::Outcome;

/// Something that is looked at, under a number that it keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// Its number, such as `DOC-03`.
    pub(crate) id: &'static str,
    /// Its name, in a word or two.
    pub(crate) name: &'static str,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// What the finding is drawn from.
    pub(crate) derivation: &'static str,
}

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It is not.
    Fail,
    /// It cannot be told.
    NotAssessed,
    /// It is.
    Pass,
}

/// How bad it is, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// Good to know.
    Info,
    /// Someone may be surprised.
    Low,
    /// Something does not work, or does not protect, for someone.
    Medium,
    /// Nobody is served, or a secret may go to whom it should not.
    High,
}

/// What one check comes to for one resource. One object a line with `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The check's number.
    pub(crate) id: &'static str,
    /// The check's name.
    pub(crate) check: &'static str,
    /// Whether all is well.
    pub(crate) status: Status,
    /// How bad it is if not.
    pub(crate) severity: Severity,
    /// What it is about: an instance, an attachment, an address, or `machine`.
    pub(crate) resource: String,
    /// What was found, or why it could not be told.
    pub(crate) what: String,
    /// Why it matters.
    pub(crate) why: String,
    /// What to do, commands on lines of their own; none where there is nothing to do.
    pub(crate) mend: Option<String>,
    /// What it is drawn from.
    pub(crate) derivation: &'static str,
}

impl Check {
    /// All is well.
    pub(crate) fn pass(self, resource: impl Into<String>, what: impl Into<String>) -> Finding {
        self.found(Status::Pass, Severity::Info, resource.into(), what.into())
    }

    /// Something is not as it should be.
    pub(crate) fn fail(
        self,
        severity: Severity,
        resource: impl Into<String>,
        what: impl Into<String>,
    ) -> Finding {
        self.found(Status::Fail, severity, resource.into(), what.into())
    }

    /// It cannot be told, for this reason.
    pub(crate) fn not_assessed(
        self,
        resource: impl Into<String>,
        reason: impl Into<String>,
    ) -> Finding {
        self.found(Status::NotAssessed, Severity::Info, resource.into(), reason.into())
    }

    fn found(self, status: Status, severity: Severity, resource: String, what: String) -> Finding {
        Finding {
            id: self.id,
            check: self.name,
            status,
            severity,
            resource,
            what,
            why: self.why.to_owned(),
            mend: None,
            derivation: self.derivation,
        }
    }
}

impl Finding {
    /// Says what to do about it.
    #[must_use]
    pub(crate) fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }

    /// Says why it matters in this case, where that is not what always holds.
    #[must_use]
    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        Self { why: why.into(), ..self }
    }
}

/// Returns what findings come to: something that was found outweighs what could not be assessed.
pub(crate) fn outcome(findings: &[Finding]) -> Outcome {
    let has = |status| findings.iter().any(|finding| finding.status == status);
    if has(Status::Fail) {
        Outcome::Found
    } else if has(Status::NotAssessed) {
        Outcome::NotAssessed
    } else {
        Outcome::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Check =
        Check { id: "DOC-00", name: "a check", why: "it matters", derivation: "made up" };

    #[test]
    fn a_finding_outweighs_what_could_not_be_assessed() {
        let pass = CHECK.pass("machine", "well");
        let unknown = CHECK.not_assessed("machine", "no root");
        let fail = CHECK.fail(Severity::Low, "machine", "wrong");
        assert_eq!(outcome(&[]), Outcome::Done);
        assert_eq!(outcome(std::slice::from_ref(&pass)), Outcome::Done);
        assert_eq!(outcome(&[pass.clone(), unknown.clone()]), Outcome::NotAssessed);
        assert_eq!(outcome(&[unknown, fail, pass]), Outcome::Found);
    }

    #[test]
    fn a_finding_has_one_written_form() {
        let found = CHECK.fail(Severity::Medium, "i-0", "wrong").mend("do this\n  command");
        assert_eq!(
            serde_json::to_string(&found).unwrap(),
            r#"{"id":"DOC-00","check":"a check","status":"fail","severity":"medium","resource":"i-0","what":"wrong","why":"it matters","mend":"do this\n  command","derivation":"made up"}"#
        );
        let found = CHECK.not_assessed("machine", "no root");
        let written = serde_json::to_value(&found).unwrap();
        assert_eq!(written["status"], "not_assessed");
        assert!(written["mend"].is_null());
    }
}
