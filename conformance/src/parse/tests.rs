use std::time::Duration;

use super::*;
use crate::case::{Assertion, Field, Manner, Request, Sameness, Subject};
use crate::target::{Family, Sender, Whom};

fn read(text: &str) -> Result<Vec<Case>, CaseFault> {
    let bodies = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/bodies");
    cases("x.case", text, &bodies)
}

/// Reads one case with these lines below `case` and returns its steps.
fn steps(text: &str) -> Vec<Step> {
    let mut cases = read(&format!("case A\n{text}")).unwrap();
    assert_eq!(cases.len(), 1);
    cases.remove(0).steps
}

/// Reads one exchange that first captures `$T`.
fn exchange(text: &str) -> Exchange {
    let steps = steps(&format!("GET /\n=> 200\n  body as $T\n{text}"));
    let Some(Action::Exchange(exchange)) = steps.into_iter().nth(1).map(|step| step.action) else {
        panic!("not an exchange: {text}");
    };
    exchange
}

#[test]
fn a_case_has_an_id_a_title_states_and_a_profile() {
    let text = "# about\n\ncase   T1  a token  # really\ngiven  one, two\nprofile legacy\nGET /\n=> 200\n\
        case T2\nGET /\n=> 404 Not Found\n";
    let cases = read(text).unwrap();
    assert_eq!(cases.len(), 2);
    assert_eq!((cases[0].id.as_str(), cases[0].title.as_str()), ("T1", "a token"));
    assert_eq!(cases[0].place.to_string(), "x.case:3");
    assert_eq!(cases[0].given, ["one", "two"]);
    assert_eq!(cases[0].profile, Profile::Legacy);
    assert_eq!((cases[1].profile, cases[1].given.len()), (Profile::Nitro, 0));
}

#[test]
fn a_request_has_header_lines_and_a_manner() {
    let exchange = exchange(
        "PUT /x HTTP/1.0\n    A: b: c\n    Empty:\n    with $T\n    with $T changed at 3\n    \
         over ipv6\n    to other\n    times 100, 10 at once\n=> 200",
    );
    let Request::Http { method, target, version, fields } = exchange.request else {
        panic!("not HTTP");
    };
    assert_eq!((method.as_str(), target.as_str(), version), ("PUT", "/x", "HTTP/1.0"));
    assert!(matches!(&fields[0], Field::Line { name, value } if name == "A" && value == "b: c"));
    assert!(
        matches!(&fields[1], Field::Line { name, value } if name == "Empty" && value.is_empty())
    );
    assert!(matches!(&fields[2], Field::Token { capture, changed_at: None } if capture == "T"));
    assert!(matches!(&fields[3], Field::Token { changed_at: Some(3), .. }));
    assert!(matches!(
        exchange.manner,
        Manner {
            over: Family::V6,
            to: Whom::Other,
            times: 100,
            at_once: 10,
            sender: Sender::Stays,
        }
    ));
}

#[test]
fn raw_bytes_are_followed_by_the_end_unless_they_stay_open() {
    let ends = exchange("raw \"GET / HTTP/1.1\\r\\n\"\n=> closed");
    assert!(matches!(&ends.request, Request::Raw(bytes) if bytes == b"GET / HTTP/1.1\r\n"));
    assert_eq!(ends.manner.sender, Sender::Ends);
    assert!(matches!(ends.expected, Expected::Closed));
    let stays = exchange("raw \"\"\n    stays open\n=> 400");
    assert_eq!(stays.manner.sender, Sender::Stays);
}

fn assertions<const N: usize>(text: &str) -> [Assertion; N] {
    let exchange = exchange(&format!("GET /\n=> 200\n{text}"));
    let assertions: Vec<Assertion> = exchange.assertions.into_iter().map(|(_, a)| a).collect();
    assertions.try_into().unwrap()
}

#[test]
fn an_answer_has_a_status_and_perhaps_a_reason() {
    assert!(matches!(
        exchange("GET /\n=> 405 Not Allowed").expected,
        Expected::Status { code: 405, reason: Some(reason) } if reason == "Not Allowed"
    ));
    assert!(matches!(
        exchange("GET /\n=> 200").expected,
        Expected::Status { code: 200, reason: None }
    ));
}

#[test]
fn heads_are_compared_in_these_forms() {
    let [one, any, several, absent, head] = assertions(
        "   A: b\n   A: *\n   A: one of a | b\n   ! B\n   head exactly\n      HTTP/1.1 200 OK\n      A: *",
    );
    assert!(matches!(one, Assertion::Header { values, .. } if values == ["b"]));
    assert!(matches!(any, Assertion::Header { values, .. } if values.is_empty()));
    assert!(matches!(several, Assertion::Header { values, .. } if values == ["a", "b"]));
    assert!(matches!(absent, Assertion::Absent(name) if name == "B"));
    assert!(matches!(head, Assertion::Head(lines) if lines == ["HTTP/1.1 200 OK", "A: *"]));
}

#[test]
fn bodies_are_compared_in_these_forms() {
    let [text, file, matches, empty, lists, check, shape] = assertions(
        "   body \"x\\n\"\n   body file legacy-404.html\n   body matches a(?<N>b)\n      c\n   \
         body empty\n   body lists a b\n      c\n   check verifies-signature $N\n   \
         check cms-shape-of-pkcs7",
    );
    assert!(matches!(text, Assertion::Body(bytes) if bytes == b"x\n"));
    assert!(matches!(file, Assertion::Body(bytes) if bytes.len() == 337));
    assert!(matches!(matches, Assertion::BodyMatches(regex) if regex.is_match("abc")));
    assert!(matches!(empty, Assertion::Body(bytes) if bytes.is_empty()));
    assert!(matches!(lists, Assertion::Body(bytes) if bytes == b"a\nb\nc"));
    assert!(matches!(check, Assertion::Check { capture: Some(name), .. } if name == "N"));
    assert!(matches!(shape, Assertion::Check { capture: None, .. }));
}

#[test]
fn captures_are_made_and_compared_in_these_forms() {
    use Sameness::{Different, Same};

    let [keep, keep_header, later] = assertions("   body as $U\n   A as $V\n   $U > $V");
    assert!(matches!(keep, Assertion::As { subject: Subject::Body, capture } if capture == "U"));
    assert!(
        matches!(keep_header, Assertion::As { subject: Subject::Header(name), .. } if name == "A")
    );
    assert!(matches!(later, Assertion::Later { later, earlier } if later == "U" && earlier == "V"));
    let compared: [Assertion; 6] = assertions(
        "   body is $T\n   body is not $T\n   A is $T\n   A is not $T\n   $T is $T\n   $T is not $T",
    );
    let [body, header, capture] =
        [Subject::Body, Subject::Header("A".into()), Subject::Capture("T".into())];
    let expected = [
        (&body, Same),
        (&body, Different),
        (&header, Same),
        (&header, Different),
        (&capture, Same),
        (&capture, Different),
    ];
    for (assertion, (expected, sameness)) in compared.iter().zip(expected) {
        assert!(
            matches!(assertion, Assertion::Is { subject, same, .. }
                if subject == expected && *same == sameness),
            "{assertion:?}"
        );
    }
}

#[test]
fn the_clock_and_the_instance_move() {
    let steps = steps(
        "GET /\n=> 200\n   body as $T\nadvance 25 s\nadvance 500 ms\nadvance until 300 s before $T\n\
         change one, two\nchange { tags = { A = \"b\" } }",
    );
    let moves = |step: &Step, expected| matches!(&step.action, Action::Advance(Advance::By(by)) if *by == expected);
    assert!(moves(&steps[1], Duration::from_secs(25)));
    assert!(moves(&steps[2], Duration::from_millis(500)));
    assert!(matches!(&steps[3].action,
        Action::Advance(Advance::UntilBefore { seconds: 300, capture }) if capture == "T"));
    assert!(
        matches!(&steps[4].action, Action::Change(Patch::States(names)) if names == &["one", "two"])
    );
    assert!(
        matches!(&steps[5].action, Action::Change(Patch::Table(table)) if table.contains_key("tags"))
    );
}

/// Each text is refused at this line, with these words among others.
fn all_are_refused(texts: &[(&str, usize, &str)]) {
    for (text, line, part) in texts {
        let refusal = read(text).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("x.case:{line}: ")), "{text:?}: {refusal}");
        assert!(refusal.contains(part), "{text:?}: {refusal}");
    }
}

#[test]
fn lines_that_are_not_of_the_language_are_refused() {
    all_are_refused(&[
        ("  case A\n", 1, "indented"),
        ("GET /\n", 1, "starts with `case"),
        ("case A\n", 1, "does nothing"),
        ("case A\n  given x\n", 1, "indented below"),
        ("case A\nGET /\n", 2, "no `=>` follows"),
        ("case A\n=> 200\n", 2, "not a line"),
        ("case A\ngiven x\n=> 200\n", 3, "no request precedes"),
        ("case A\nGET /\n=> 200\n=> 200\n", 4, "not a line"),
        ("case A\nGET /\n=> 20\n", 3, "not a status"),
        ("case A\nGET\n=> 200\n", 2, "METHOD target"),
        ("case A\nGET / HTTP/2.0\n=> 200\n", 2, "METHOD target"),
        ("case A\nget /\n=> 200\n", 2, "not a line"),
        ("case A\nGET /\n  with $T\n=> 200\n", 3, "nothing was captured as `$T`"),
        ("case A\nGET /\n  A: $T\n=> 200\n", 3, "nothing was captured as `$T`"),
        ("case A\nGET /\n  no header\n=> 200\n", 3, "not a header line"),
        ("case A\nraw \"\"\n  A: b\n=> 200\n", 2, "no header lines"),
        ("case A\nraw x\n=> 200\n", 2, "double quotes"),
        ("case A\nadvance soon\n", 2, "not a time"),
        ("case A\nchange { x\n", 2, "TOML parse error"),
        ("case A\nprofile xen\n", 2, "not a profile"),
        ("case A\nadvance 1 s\ngiven x\n", 3, "before the first step"),
    ]);
}

#[test]
fn assertions_that_are_none_are_refused() {
    all_are_refused(&[
        ("case A\nGET /\n=> 200\n  body is $T\n", 4, "nothing was captured"),
        ("case A\nGET /\n=> 200\n  body as T\n", 4, "not the name of a capture"),
        ("case A\nGET /\n=> 200\n  body perhaps\n", 4, "not an assertion"),
        ("case A\nGET /\n=> 200\n  body matches (\n", 4, "open group"),
        ("case A\nGET /\n=> 200\n  body file nowhere\n", 4, "nowhere: "),
        ("case A\nGET /\n=> 200\n  nonsense\n", 4, "not an assertion"),
        ("case A\nGET /\n=> 200\n  check nothing\n", 4, "no check `nothing`"),
        ("case A\nGET /\n=> 200\n  A: b\n    C: d\n", 4, "indented below"),
    ]);
}
