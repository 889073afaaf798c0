//! How far answers to token requests travel: on this kernel at all, and which did not arrive.

use control::native::UndeliveredView;
use model::{TokenUndelivered, UndeliveredReason};

use crate::command::undelivered;
use crate::doctor::facts::{Facts, Family, Probe, Served, Server, Travelled};
use crate::doctor::finding::{Check, Finding, Severity};

const ENFORCED: Check = Check {
    id: "DOC-07",
    name: "kernel",
    why: "what keeps a token from a container is that the kernel that forwards it drops it there",
    derivation: "answers with a hop limit of 1 and of 2, over a service, an instance that forwards \
                 and a container, in three network namespaces made for that and gone again",
};

const ARRIVED: Check = Check {
    id: "DOC-08",
    name: "tokens",
    why: "a program whose token does not arrive waits for seconds, falls back to IMDSv1 or finds no \
          credentials at all",
    derivation: "the server's own record of tokens that were sent and not acknowledged",
};

/// Looks at what became of answers with a hop limit.
pub(crate) fn enforced(facts: &Facts) -> Vec<Finding> {
    let made = match &facts.hop_limit {
        Probe::NotMade(reason) => return vec![ENFORCED.not_assessed("kernel", reason.clone())],
        Probe::Made(made) => made,
    };
    let mut findings = Vec::new();
    let mut holding: Vec<String> = Vec::new();
    for (family, travelled) in made {
        match travelled {
            Travelled::AsLimited => holding.push(family.to_string()),
            Travelled::Further => findings.push(further(*family)),
            Travelled::NotFarEnough(reason) => {
                let reason = format!("over {family}, nothing can be told: {reason}");
                findings.push(ENFORCED.not_assessed("kernel", reason));
            }
            Travelled::NoSuchFamily => {}
        }
    }
    if !holding.is_empty() {
        let what = format!(
            "an answer with a hop limit of 1 reaches the instance, and is dropped on its way to a \
             container behind it, over {}",
            holding.join(" and ")
        );
        findings.push(ENFORCED.pass("kernel", what));
    }
    if findings.is_empty() {
        findings.push(ENFORCED.not_assessed("kernel", "neither IPv4 nor IPv6 is there to try"));
    }
    findings
}

fn further(family: Family) -> Finding {
    let what = format!("over {family}, an answer with a hop limit of 1 came two hops far");
    ENFORCED.fail(Severity::High, "kernel", what).mend(
        "see what forwards packets without counting a hop, or sets their TTL anew:\n  nft list \
         ruleset\n  bpftool net",
    )
}

/// Looks at the tokens that did not arrive.
pub(crate) fn arrived(facts: &Facts) -> Vec<Finding> {
    let Server::Served(served) = &facts.server else { return Vec::new() };
    let lost = served.diagnosis.undelivered.iter();
    let mut findings: Vec<_> = lost.filter_map(|lost| examine(served, lost)).collect();
    if findings.is_empty() {
        findings.push(ARRIVED.pass("server", "no token is known to have been lost on its way"));
    }
    findings
}

/// Returns what is not as it should be about tokens that were lost.
fn examine(served: &Served, view: &UndeliveredView) -> Option<Finding> {
    let lost = TokenUndelivered {
        instance: view.instance_id,
        source: view.source,
        reason: view.reason,
        hops: view.hops,
        hop_limit: view.hop_limit,
    };
    let severity = match lost.reason {
        UndeliveredReason::HopLimit | UndeliveredReason::Timeout => Severity::Medium,
        UndeliveredReason::Reset => Severity::Low,
    };
    let limit = served.wanted(lost.instance).map(|own| own.options.http_put_response_hop_limit);
    let is_raised = limit.is_some_and(|limit| limit >= undelivered::needed(&lost));
    if lost.reason == UndeliveredReason::HopLimit && is_raised {
        return None;
    }
    let times = match view.count {
        1 => "once, at".to_owned(),
        count => format!("{count} times, the last at"),
    };
    let what = format!("{} ({times} {})", undelivered::what(&lost), view.last);
    let found = ARRIVED.fail(severity, format!("{} {}", lost.instance, lost.source), what);
    Some(match (lost.reason, undelivered::mend(&lost)) {
        (_, None) => found,
        (UndeliveredReason::HopLimit, Some(command)) => {
            found.mend(format!("if it may have them, raise the limit:\n  {command}"))
        }
        (UndeliveredReason::Reset | UndeliveredReason::Timeout, Some(mend)) => found.mend(mend),
    })
}

#[cfg(test)]
mod tests {
    use model::{HopLimit, Timestamp};

    use super::*;
    use crate::doctor::finding::Status;
    use crate::doctor::made_up::{self, ID, only};

    fn tried(v4: Travelled, v6: Travelled) -> Vec<Finding> {
        let hop_limit = Probe::Made(vec![(Family::V4, v4), (Family::V6, v6)]);
        enforced(&Facts { hop_limit, ..made_up::facts() })
    }

    #[test]
    fn a_kernel_that_drops_what_is_over_the_limit_passes() {
        let found = only(tried(Travelled::AsLimited, Travelled::AsLimited));
        assert_eq!(found.status, Status::Pass);
        assert!(found.what.contains("IPv4 and IPv6"), "{found:?}");
        let found = only(tried(Travelled::AsLimited, Travelled::NoSuchFamily));
        assert_eq!(found.status, Status::Pass);
    }

    #[test]
    fn one_that_does_not_is_told_of() {
        let found = tried(Travelled::AsLimited, Travelled::Further);
        assert_eq!((found[0].status, found[0].severity), (Status::Fail, Severity::High));
        assert!(found[0].what.contains("over IPv6"), "{found:?}");
        assert_eq!(found[1].status, Status::Pass);
    }

    #[test]
    fn what_was_not_tried_or_proves_nothing_is_not_assessed() {
        let hop_limit = Probe::NotMade("no root".to_owned());
        let found = only(enforced(&Facts { hop_limit, ..made_up::facts() }));
        assert_eq!((found.status, found.what.as_str()), (Status::NotAssessed, "no root"));
        let broken = Travelled::NotFarEnough("no route".to_owned());
        let found = only(tried(broken, Travelled::NoSuchFamily));
        assert_eq!(found.status, Status::NotAssessed);
        let found = only(tried(Travelled::NoSuchFamily, Travelled::NoSuchFamily));
        assert_eq!(found.status, Status::NotAssessed);
    }

    fn lost(reason: UndeliveredReason, hops: Option<u8>, now: u8) -> Finding {
        only(arrived(&made_up::served(|served| {
            let limit = HopLimit::new(now).unwrap();
            served.diagnosis.instances[0].options.http_put_response_hop_limit = limit;
            served.diagnosis.undelivered = vec![UndeliveredView {
                instance_id: ID.parse().unwrap(),
                source: [172, 17, 0, 2].into(),
                reason,
                hops,
                hop_limit: HopLimit::MIN,
                count: 3,
                last: Timestamp::from_seconds(1_741_082_400),
            }];
        })))
    }

    #[test]
    fn a_container_behind_a_low_limit_is_told_of_until_it_is_raised() {
        assert_eq!(only(arrived(&made_up::facts())).status, Status::Pass);
        let found = lost(UndeliveredReason::HopLimit, Some(2), 1);
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::Medium));
        assert!(found.what.contains("a caller two hops away from i-"), "{found:?}");
        assert!(found.what.contains("3 times, the last at 2025-03-04T10:00:00Z"), "{found:?}");
        assert!(found.mend.unwrap().ends_with("--http-put-response-hop-limit 2"));
        assert_eq!(lost(UndeliveredReason::HopLimit, Some(2), 2).status, Status::Pass);
        assert_eq!(lost(UndeliveredReason::HopLimit, Some(3), 2).status, Status::Fail);
    }

    #[test]
    fn other_losses_have_other_cures() {
        let found = lost(UndeliveredReason::Timeout, Some(1), 1);
        assert!(found.mend.unwrap().contains("firewalls"));
        let found = lost(UndeliveredReason::Reset, Some(1), 2);
        assert_eq!((found.severity, found.mend), (Severity::Low, None));
    }
}
