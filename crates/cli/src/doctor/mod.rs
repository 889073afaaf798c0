//! What is wrong with the wiring, why it matters, and how to mend it.
//!
//! [`gather()`] asks the server, the kernel and the endpoints, all at once and for seconds at most;
//! what comes of it are [`Facts`]. [`examine`] draws findings from them and asks nothing more: each
//! check is a function from facts to findings, with a number that it keeps.
//!
//! ```text
//!  admin socket ─┐
//!  network ──────┤                        server      attachments   addresses
//!  endpoints ────┼─▶ gather ─▶ Facts ─▶   tokens      route         proxy       ─▶ findings
//!  hop limits ───┤                        variables   firmware
//!  firmware ─────┘
//! ```

mod addresses;
mod attachments;
mod facts;
mod finding;
mod firmware;
mod gather;
#[cfg(test)]
mod made_up;
mod proxy;
mod route;
mod server;
mod tokens;
mod variables;

pub(crate) use facts::Facts;
pub(crate) use finding::{Finding, Severity, Status, outcome};
pub(crate) use gather::{Question, gather};

/// The checks, in the order of their numbers.
const CHECKS: [fn(&Facts) -> Vec<Finding>; 14] = [
    server::runs,
    server::answers,
    addresses::there,
    attachments::serve,
    addresses::ipv6,
    attachments::hop_limits,
    tokens::enforced,
    tokens::arrived,
    route::way,
    route::reached,
    proxy::direct,
    variables::agree,
    variables::unshadowed,
    firmware::identified,
];

/// Draws findings from facts.
pub(crate) fn examine(facts: &Facts) -> Vec<Finding> {
    CHECKS.iter().flat_map(|check| check(facts)).collect()
}

/// What a healthy machine comes to.
#[cfg(test)]
pub(crate) fn examine_made_up() -> Vec<Finding> {
    examine(&made_up::facts())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::made_up;

    #[test]
    fn every_check_has_its_number_and_passes_where_all_is_well() {
        let findings = examine(&made_up::facts());
        let ids: Vec<_> = findings.iter().map(|finding| finding.id).collect();
        let numbers: Vec<_> = (1..=CHECKS.len()).map(|number| format!("DOC-{number:02}")).collect();
        assert_eq!(ids, numbers);
        for finding in findings {
            assert_eq!(finding.status, Status::Pass, "{finding:?}");
            assert_eq!(finding.mend, None, "{finding:?}");
        }
    }

    #[test]
    fn one_instance_is_looked_at_without_the_machine() {
        let findings = examine(&Facts { machine: None, ..made_up::facts() });
        assert_eq!(findings.len(), 8);
    }
}
