//! `imds doctor`: what is wrong with the wiring, why it matters, and how to mend it.

use std::io::IsTerminal as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use model::InstanceId;

use crate::command::serve::print_out;
use crate::command::{Outcome, data_dir_argument, json_argument, named_directory, state_directory};
use crate::doctor::{Finding, Question, Severity, Status, examine, gather, outcome};
use crate::fault::Fault;

/// When it is said that something takes long.
const LONG: Duration = Duration::from_secs(1);

/// The longest line of prose.
const WIDTH: usize = 96;

pub(crate) fn definition() -> Command {
    Command::new("doctor")
        .about("Check the wiring: what is wrong, why it matters, and how to mend it")
        .long_about(
            "Check the wiring: what is wrong, why it matters, and how to mend it.\n\nIt looks at \
             the server of the state directory and at each of its attachments (addresses, \
             interfaces, hop limits, tokens that did not arrive), and at this machine as one that \
             asks for metadata (routes, proxies, variables, firmware). It changes nothing; as root \
             it sees more, and tries in networks of its own whether this kernel keeps a hop \
             limit.\n\nIt asks every endpoint for a token, and reads the instance's id with it and \
             without: the latter counts as a request of IMDSv1.",
        )
        .arg(Arg::new("id").value_name("ID").help("Look at this instance alone"))
        .arg(Arg::new("endpoint").long("endpoint").value_name("URL").conflicts_with("id").help(
            "Where programs on this machine find the service [variable: \
             AWS_EC2_METADATA_SERVICE_ENDPOINT] [default: http://169.254.169.254]",
        ))
        .args([data_dir_argument(), json_argument()])
        .after_help(
            "Exit status: 0 all is well, 3 something was found, 4 something could not be looked \
             at.",
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<Outcome, Fault> {
    let text = |name: &str| matches.get_one::<String>(name);
    let id = |text: &String| text.parse().map_err(|why: model::IdRefusal| why.to_string());
    let named = named_directory(matches);
    let question = Question {
        is_named: named.is_some(),
        directory: state_directory(named)?,
        instance: text("id").map(id).transpose().map_err(Fault::usage)?,
        endpoint: text("endpoint").cloned(),
    };
    let findings = examine(&patiently(|| gather(&question))?);
    if matches.get_flag("json") {
        let line = |finding| serde_json::to_string(finding).map(|text| format!("{text}\n"));
        let lines: Result<String, _> = findings.iter().map(line).collect();
        print_out(&lines.map_err(|fault| Fault::failed(&fault))?)?;
    } else {
        let paint = Paint::of_terminal();
        print_out(&report(&findings, question.instance, &paint))?;
    }
    Ok(outcome(&findings))
}

/// Says so if an action takes long.
fn patiently<T>(action: impl FnOnce() -> T) -> T {
    let (done, watched) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if watched.recv_timeout(LONG) == Err(mpsc::RecvTimeoutError::Timeout) {
                say!("imds: something does not answer; waiting a few seconds for it");
            }
        });
        let result = action();
        drop(done);
        result
    })
}

/// Colours, where a person sees them.
struct Paint {
    is_on: bool,
}

impl Paint {
    fn of_terminal() -> Self {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { is_on: std::io::stdout().is_terminal() && !is_unwanted }
    }

    fn status(&self, finding: &Finding) -> String {
        let (word, colour) = match finding.status {
            Status::Fail => ("FAIL", "31;1"),
            Status::NotAssessed => ("?", "33"),
            Status::Pass => ("ok", "32"),
        };
        let padded = format!("{word:<4}");
        if self.is_on { format!("\x1b[{colour}m{padded}\x1b[0m") } else { padded }
    }

    fn head(&self, text: &str) -> String {
        if self.is_on { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Writes the report that people read: a line for each check, and findings in full.
fn report(findings: &[Finding], instance: Option<InstanceId>, paint: &Paint) -> String {
    let findings: Vec<_> = findings.iter().map(plain).collect();
    let mut text = String::new();
    for finding in &findings {
        let line = format!("{} {:<13}", finding.id, finding.check);
        let indent = " ".repeat(5 + line.len() + 1);
        let said = match finding.status {
            Status::Pass | Status::NotAssessed => wrapped(&finding.what, &indent),
            Status::Fail => format!("{}, {}\n", severity(finding.severity), finding.resource),
        };
        text.extend([paint.status(finding).as_str(), " ", &line, " ", &said]);
    }
    for finding in findings.iter().filter(|finding| finding.status != Status::Pass) {
        if finding.status == Status::NotAssessed && finding.mend.is_none() {
            continue;
        }
        let head = format!("{} {}: {}", finding.id, finding.check, finding.resource);
        text.extend(["\n", &paint.head(&head), "\n"]);
        let part = |name: &str, said: &str| format!("  {name:<5} {said}");
        text.push_str(&part("what", &wrapped(&finding.what, "        ")));
        text.push_str(&part("why", &wrapped(&finding.why, "        ")));
        if let Some(mend) = &finding.mend {
            text.push_str(&part("mend", &format!("{}\n", mend.replace('\n', "\n        "))));
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let scope = instance.map(|id| format!(" ({id} alone)")).unwrap_or_default();
    let last = format!(
        "\n{} ok, {} found, {} not assessed{scope}\n",
        count(Status::Pass),
        count(Status::Fail),
        count(Status::NotAssessed)
    );
    text + &last
}

/// Keeps what the name of an interface may hold, or an answer, from steering a terminal.
fn plain(finding: &Finding) -> Finding {
    let plain = |text: &str| -> String {
        let is_harmless = |c: char| c == '\n' || !c.is_control();
        text.chars().map(|c| if is_harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
    };
    Finding {
        resource: plain(&finding.resource),
        what: plain(&finding.what),
        why: plain(&finding.why),
        mend: finding.mend.as_deref().map(plain),
        ..finding.clone()
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "high",
        Severity::Info => "info",
        Severity::Low => "low",
        Severity::Medium => "medium",
    }
}

/// Breaks prose into lines, all but the first of which are indented. It ends with a line's end.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = String::new();
    let mut width = indent.len();
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > indent.len() && width + 1 + length > WIDTH {
            lines.push('\n');
            lines.push_str(indent);
            width = indent.len();
        } else if width > indent.len() {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::examine_made_up;

    #[test]
    fn prose_is_broken_between_words() {
        let text = "word ".repeat(40);
        let lines = wrapped(&text, "    ");
        assert!(lines.lines().all(|line| line.len() <= WIDTH), "{lines}");
        assert_eq!(lines.split_whitespace().count(), 40);
        assert_eq!(wrapped("one", "  "), "one\n");
    }

    #[test]
    fn nothing_that_is_shown_steers_a_terminal() {
        let mut findings = examine_made_up();
        findings[0].what = "evil\x1b[2Jname\r".to_owned();
        findings[0].status = Status::Fail;
        let text = report(&findings, None, &Paint { is_on: false });
        assert!(text.contains("evil\u{fffd}[2Jname\u{fffd}"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }

    #[test]
    fn a_healthy_report_has_a_line_for_each_check_and_no_colour() {
        let text = report(&examine_made_up(), None, &Paint { is_on: false });
        assert_eq!(text.lines().filter(|line| line.starts_with("ok   DOC-")).count(), 14);
        assert!(text.ends_with("\n14 ok, 0 found, 0 not assessed\n"), "{text}");
        assert!(!text.contains('\x1b'));
    }
}
