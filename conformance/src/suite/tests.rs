use super::*;
use crate::target::{End, Received, Sent, Target};
use model::Instance;
use std::time::Duration;

fn suite() -> Suite {
    Suite::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn every_row_of_the_specification_is_a_case_or_a_gap_exactly_once() {
    let suite = suite();
    let ids: Vec<&str> = suite.ids().collect();
    for (section, letter, rows) in SECTIONS {
        for row in 1..=rows {
            let id = format!("{letter}{row}");
            let count = ids.iter().filter(|known| **known == id).count();
            assert_eq!(count, 1, "{section}: {id}");
        }
        let beyond = ids.iter().filter(|id| id.starts_with(letter)).count();
        assert_eq!(beyond, rows, "{section} has rows that the specification does not have");
    }
}

#[test]
fn every_scene_is_sound() {
    let suite = suite();
    for case in &suite.cases {
        let scene = suite.states.scene(case.profile, &case.given);
        assert!(scene.is_ok(), "{}: {scene:?}", case.place);
    }
}

#[test]
fn every_state_and_every_body_is_used() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = fs::read_to_string(root.join("states.toml")).unwrap();
    let states: toml::Table = toml::from_str(&text).unwrap();
    for area in names(&root.join("cases")).unwrap() {
        for name in names(&root.join("cases").join(&area)).unwrap() {
            if name.strip_suffix(".case").is_some() {
                text += &fs::read_to_string(root.join("cases").join(&area).join(name)).unwrap();
            }
        }
    }
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c == ',' || c == '"').collect();
    let bodies = names(&root.join("cases/bodies")).unwrap();
    for name in states.keys().chain(&bodies) {
        assert!(words.contains(&name.as_str()), "nothing names {name}");
    }
}

/// Answers every request with one text, and has no clock.
struct Parrot(&'static str);

impl Target for Parrot {
    fn exchange(&self, _sent: &Sent) -> Received {
        Received { bytes: self.0.into(), end: End::Closed }
    }

    fn advance(&mut self, _by: Duration) -> Result<(), String> {
        Err("there is no clock".to_owned())
    }

    fn change(&mut self, _instance: &Instance) -> Result<(), String> {
        Ok(())
    }

    fn certificates(&self) -> Result<Vec<(String, String)>, String> {
        Ok(Vec::new())
    }
}

impl Stage for &'static str {
    fn name(&self) -> &'static str {
        "over the wire"
    }

    fn moves_time(&self) -> bool {
        false
    }

    fn set(&self, _scene: &Scene) -> Result<Box<dyn Target>, String> {
        Ok(Box::new(Parrot(self)))
    }
}

const EMPTY_200: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\
    Date: Tue, 04 Mar 2025 10:00:00 GMT\r\nServer: EC2ws\r\nConnection: close\r\n\r\n";

fn small_suite(ledger: &str) -> Suite {
    let text = "case T1 holds\nGET /\n=> 200\n\ncase T2 does not\nGET /\n=> 404\n\n\
        case T3 moves the clock\nadvance 1 s\n";
    let empty = Path::new("/nowhere");
    Suite {
        cases: parse::cases("x.case", text, empty).unwrap(),
        states: States::empty(),
        ledger: toml::from_str(ledger).unwrap(),
    }
}

#[test]
fn a_case_that_does_not_hold_fails_the_run() {
    let report = small_suite("").play(&EMPTY_200);
    assert_eq!(
        report.faults(),
        ["x.case:5: T2 does not does not hold\n  x.case:6: answered 200 OK, expected 404 "]
    );
    assert_eq!(
        report.to_string(),
        "conformance: 1 cases over the wire, 0 gaps, 1 left out because they move the clock, \
         1 FAILED\nconformance: 11.1 token 1/27, 11.2 use 0/28, 11.3 paths 0/55, \
         11.4 identity 0/30, our own 0"
    );
}

#[test]
fn a_gap_may_fail_and_must_fail() {
    let report = small_suite("[[gap]]\nid = 'T2'\nwhy = 'x'").play(&EMPTY_200);
    assert_eq!(report.faults(), Vec::<String>::new());
    let report = small_suite("[[gap]]\nid = 'T1'\nwhy = 'x'\n[[gap]]\nid = 'T2'\nwhy = 'x'")
        .play(&EMPTY_200);
    assert_eq!(report.faults(), ["x.case:1: T1 holds now: strike it from gaps.toml"]);
    let only = "[[gap]]\nid = 'T2'\nwhy = 'x'\nonly = 'in process'";
    assert_eq!(small_suite(only).play(&EMPTY_200).faults().len(), 1);
}
