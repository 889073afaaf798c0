//! What a token that did not arrive means, in a sentence: for the log and for `imds doctor`.

use model::{HopLimit, TokenUndelivered, UndeliveredReason};

/// Says who asked, what became of the answer, and what to do.
pub(crate) fn sentence(lost: &TokenUndelivered) -> String {
    let mend = match (lost.reason, mend(lost)) {
        (_, None) => String::new(),
        (UndeliveredReason::HopLimit, Some(mend)) => format!(". If it may have them: {mend}"),
        (UndeliveredReason::Reset | UndeliveredReason::Timeout, Some(mend)) => format!(": {mend}"),
    };
    format!("{}{mend}", what(lost))
}

/// Says who asked, and what became of the answer.
pub(crate) fn what(lost: &TokenUndelivered) -> String {
    let TokenUndelivered { instance, source, reason, hops, hop_limit } = *lost;
    match (reason, hops) {
        (UndeliveredReason::HopLimit, Some(hops)) => format!(
            "a caller {} away from {instance}, at {source}, asks for tokens; limit is {hop_limit}",
            counted(hops),
        ),
        (UndeliveredReason::HopLimit, None) => format!(
            "a caller of {instance}, at {source}, asks for tokens from further away than its hop \
             limit, {hop_limit}, allows"
        ),
        (UndeliveredReason::Reset, _) => format!(
            "a caller of {instance}, at {source}, asked for a token and was gone before it arrived"
        ),
        (UndeliveredReason::Timeout, _) => {
            format!("a token for {instance} was never acknowledged by {source}")
        }
    }
}

/// Says what to do, if there is anything: for a hop limit, the command that raises it.
pub(crate) fn mend(lost: &TokenUndelivered) -> Option<String> {
    match lost.reason {
        UndeliveredReason::HopLimit => Some(format!(
            "imds instance options {} --http-put-response-hop-limit {}",
            lost.instance,
            needed(lost),
        )),
        UndeliveredReason::Reset => None,
        UndeliveredReason::Timeout => {
            Some("see whether packets find their way back there (routes, firewalls)".to_owned())
        }
    }
}

/// The lowest limit that lets tokens travel as far as the caller is, or one more than was too low.
pub(crate) fn needed(lost: &TokenUndelivered) -> HopLimit {
    let more = lost.hop_limit.as_hops().saturating_add(1);
    HopLimit::new(lost.hops.unwrap_or(more).max(more)).unwrap_or(HopLimit::MAX)
}

fn counted(hops: u8) -> String {
    const WORDS: [&str; 4] = ["one hop", "two hops", "three hops", "four hops"];
    let word = usize::from(hops).checked_sub(1).and_then(|index| WORDS.get(index));
    word.map_or_else(|| format!("{hops} hops"), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use model::InstanceId;

    use super::*;

    #[test]
    fn a_container_behind_a_low_limit_is_told_as_one() {
        let lost = TokenUndelivered {
            instance: InstanceId::from_number(1),
            source: [172, 17, 0, 2].into(),
            reason: UndeliveredReason::HopLimit,
            hops: Some(2),
            hop_limit: HopLimit::MIN,
        };
        let said = sentence(&lost);
        assert!(said.starts_with("a caller two hops away from i-00000000000000001"), "{said}");
        assert!(said.contains("asks for tokens; limit is 1."), "{said}");
        assert!(said.ends_with("--http-put-response-hop-limit 2"), "{said}");
    }
}
