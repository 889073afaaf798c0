//! Whether a server runs, and whether its endpoints answer as the options of their instances say.

use model::{HttpTokens, Switch};

use crate::doctor::facts::{Answer, Asked, Facts, Heard, Served, Server};
use crate::doctor::finding::{Check, Finding, Severity};

const RUNS: Check = Check {
    id: "DOC-01",
    name: "server",
    why: "without a server, no instance of this state gets metadata or credentials",
    derivation: "the admin socket in the state directory",
};

const ANSWERS: Check = Check {
    id: "DOC-02",
    name: "endpoints",
    why: "what an endpoint answers to a token request, to a read with the token and to one without \
          is what guests get",
    derivation: "three requests to each endpoint: a token, a read with it, a read without",
};

/// Looks at the server itself.
pub(crate) fn runs(facts: &Facts) -> Vec<Finding> {
    let found = match &facts.server {
        Server::Absent { directory } => RUNS.pass(
            "machine",
            format!(
                "no server keeps its state in {directory}: this machine is looked at as one that \
                 asks for metadata, not as one that serves it"
            ),
        ),
        Server::Closed { reason } => RUNS
            .not_assessed("server", reason.clone())
            .mend("run this command as that user, or as root"),
        Server::Served(served) => {
            let process = served.diagnosis.place.as_ref();
            let process = process.map(|place| format!(" (process {})", place.process_id));
            let process = process.unwrap_or_default();
            RUNS.pass("server", format!("a server answers for {}{process}", served.directory))
        }
        Server::Silent { directory, reason } => RUNS
            .fail(Severity::High, "server", reason.clone())
            .mend(format!("start it:\n  imds serve --data-dir {directory}")),
    };
    vec![found]
}

/// Looks at what endpoints answer.
pub(crate) fn answers(facts: &Facts) -> Vec<Finding> {
    let Server::Served(served) = &facts.server else { return Vec::new() };
    let mut findings: Vec<_> =
        served.asked.iter().filter_map(|asked| examine(served, asked)).collect();
    let wrong = findings.len();
    let asked = served.asked.len();
    if asked == 0 {
        let what = "no endpoint can be asked from here: guests alone reach those there are";
        findings.push(ANSWERS.pass("server", what));
    } else if wrong < asked {
        let rest = match served.unasked {
            0 => String::new(),
            unasked => format!("; {unasked} more were not asked"),
        };
        let what = match (served.asked.as_slice(), wrong) {
            ([one], _) => format!("{} answers as it should{rest}", one.url),
            (_, 0) => format!("all {asked} endpoints that were asked answer as they should{rest}"),
            (_, wrong) => {
                format!("{} of {asked} endpoints answer as they should{rest}", asked - wrong)
            }
        };
        findings.push(ANSWERS.pass("server", what));
    }
    findings
}

/// Returns what is not as it should be about an endpoint.
fn examine(served: &Served, asked: &Asked) -> Option<Finding> {
    let Asked { url, instance, from, answer } = asked;
    let place = from.as_ref().map(|name| format!(" in network namespace {name}"));
    let resource = format!("{instance} {url}{}", place.unwrap_or_default());
    let answer = match answer {
        Ok(answer) => answer,
        Err(reason) => return Some(ANSWERS.not_assessed(resource, reason.clone())),
    };
    if let Some(reason) = answer.silence() {
        let what = format!("{url} does not answer: {reason}");
        let mend = "see that no firewall drops packets to it:\n  nft list ruleset";
        return Some(ANSWERS.fail(Severity::High, resource, what).mend(mend));
    }
    let wanted = served.wanted(*instance)?;
    let options = wanted.options;
    if options.http_endpoint == Switch::Disabled {
        let is_off = [&answer.token, &answer.tokenless].iter().all(|h| h.status() == Some(403));
        let what = format!("the endpoint of {instance} is disabled, and {}", told(answer));
        return (!is_off).then(|| ANSWERS.fail(Severity::High, resource, what).mend(RESTART));
    }
    let tokenless = match options.http_tokens {
        HttpTokens::Optional => 200,
        HttpTokens::Required => 401,
    };
    let is_own = |heard: &Heard| *heard == Heard::Status(200, instance.to_string());
    let is_right = answer.token.status() == Some(200)
        && answer.instance_id.as_ref().is_some_and(is_own)
        && answer.tokenless.status() == Some(tokenless)
        && (tokenless != 200 || is_own(&answer.tokenless));
    if is_right {
        return None;
    }
    let what = format!(
        "{url} does not answer as {instance} should be, with tokens {}: {}",
        options.http_tokens,
        told(answer)
    );
    Some(ANSWERS.fail(Severity::High, resource, what).mend(FOREIGN))
}

const RESTART: &str = "the option is not in force; stop the server and start it again, and report \
                       this as a defect";

const FOREIGN: &str = "something else answers in its place: see who listens there, and what redirects \
                       packets:\n  ss -ltnp\n  nft list ruleset";

/// Says what was answered to each request.
fn told(answer: &Answer) -> String {
    let one = |heard: &Heard| match heard {
        Heard::Status(200, text) if text.is_empty() => "200".to_owned(),
        Heard::Status(200, text) => format!("200 `{text}`"),
        Heard::Status(status, _) => status.to_string(),
        Heard::Nothing(reason) => format!("nothing ({reason})"),
    };
    let with_token = answer.instance_id.as_ref();
    let with_token = with_token.map(|heard| format!(", a read with it {}", one(heard)));
    format!(
        "a token request was answered {}{}, a read without a token {}",
        one(&answer.token),
        with_token.unwrap_or_default(),
        one(&answer.tokenless)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Status;
    use crate::doctor::made_up::{self, ID, answer, only};

    fn asked(answer: Result<Answer, String>) -> Facts {
        let url = "http://127.0.0.1:1338/".to_owned();
        let asked = Asked { url, instance: ID.parse().unwrap(), from: None, answer };
        made_up::served(|served| served.asked = vec![asked])
    }

    #[test]
    fn a_server_runs_or_not_or_is_not_expected() {
        assert_eq!(only(runs(&made_up::facts())).status, Status::Pass);
        let with = |server| Facts { server, ..made_up::facts() };
        let directory = "/var/lib/imds".to_owned();
        let silent = with(Server::Silent { directory, reason: "no server".to_owned() });
        let found = only(runs(&silent));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::High));
        assert!(found.mend.unwrap().contains("imds serve --data-dir /var/lib/imds"));
        let absent = with(Server::Absent { directory: "/var/lib/imds".to_owned() });
        assert_eq!(only(runs(&absent)).status, Status::Pass);
        let closed = with(Server::Closed { reason: "another user".to_owned() });
        assert_eq!(only(runs(&closed)).status, Status::NotAssessed);
        assert!(answers(&closed).is_empty());
    }

    #[test]
    fn an_endpoint_answers_as_its_instance_asks() {
        let found = only(answers(&asked(Ok(answer(200, ID, 401)))));
        assert_eq!(found.status, Status::Pass);
        assert!(found.what.contains("http://127.0.0.1:1338/ answers"), "{found:?}");
    }

    #[test]
    fn an_endpoint_that_lets_tokenless_readers_in_is_told_of() {
        let mut wrong = answer(200, ID, 200);
        wrong.tokenless = Heard::Status(200, ID.to_owned());
        let found = only(answers(&asked(Ok(wrong))));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::High));
        assert!(found.what.contains("tokens required"), "{found:?}");
        assert!(found.what.contains("without a token 200"), "{found:?}");
    }

    #[test]
    fn an_endpoint_that_answers_for_another_is_told_of() {
        let found = only(answers(&asked(Ok(answer(200, "i-00000000000000009", 401)))));
        assert!(found.what.contains("i-00000000000000009"), "{found:?}");
        assert_eq!(found.status, Status::Fail);
    }

    #[test]
    fn a_disabled_endpoint_refuses_everything() {
        let disabled = |tokenless| {
            let mut facts = asked(Ok(Answer {
                token: Heard::Status(403, String::new()),
                instance_id: None,
                tokenless: Heard::Status(tokenless, String::new()),
            }));
            made_up::change(&mut facts, |served| {
                served.diagnosis.instances[0].options.http_endpoint = Switch::Disabled;
            });
            only(answers(&facts)).status
        };
        assert_eq!(disabled(403), Status::Pass);
        assert_eq!(disabled(200), Status::Fail);
    }

    #[test]
    fn silence_is_a_finding_and_no_way_to_ask_is_not() {
        let silent = Heard::Nothing("timeout".to_owned());
        let silent = Answer { token: silent.clone(), instance_id: None, tokenless: silent };
        assert_eq!(only(answers(&asked(Ok(silent)))).status, Status::Fail);
        let found = only(answers(&asked(Err("it is in another namespace".to_owned()))));
        assert_eq!(found.status, Status::NotAssessed);
        let nothing = made_up::served(|served| served.asked = Vec::new());
        assert_eq!(only(answers(&nothing)).status, Status::Pass);
    }
}
