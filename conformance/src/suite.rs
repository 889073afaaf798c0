//! The suite: all cases, played on a stage.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::{fs, thread};

use crate::case::Case;
use crate::ledger::Ledger;
use crate::parse;
use crate::play::{Failure, play};
use crate::state::States;
use crate::target::{Scene, Stage};

/// Sections of the specification and how the ids of their rows start.
const SECTIONS: [(&str, char, usize); 4] = [
    ("11.1 token", 'T', 27),
    ("11.2 use", 'U', 28),
    ("11.3 paths", 'P', 55),
    ("11.4 identity", 'I', 30),
];

/// All cases, the states they start from, and the ledger.
#[derive(Debug)]
pub struct Suite {
    cases: Vec<Case>,
    states: States,
    ledger: Ledger,
}

impl Suite {
    /// Reads `cases/`, `states.toml` and `gaps.toml` below `root`.
    ///
    /// # Errors
    ///
    /// Something cannot be read, or two cases have one id.
    pub fn load(root: &Path) -> Result<Self, String> {
        let cases = root.join("cases");
        let bodies = cases.join("bodies");
        let states = States::load(&root.join("states.toml"), &bodies)?;
        let ledger = Ledger::load(&root.join("gaps.toml"))?;
        let mut suite = Self { cases: Vec::new(), states, ledger };
        for area in names(&cases)? {
            for name in names(&cases.join(&area))?
                .iter()
                .filter(|name| name.strip_suffix(".case").is_some())
            {
                let file = format!("cases/{area}/{name}");
                let text =
                    fs::read_to_string(root.join(&file)).map_err(|e| format!("{file}: {e}"))?;
                let read =
                    parse::cases(&file, &text, &bodies).map_err(|fault| fault.to_string())?;
                suite.cases.extend(read);
            }
        }
        let mut ids = BTreeMap::new();
        for case in &suite.cases {
            if let Some(twin) = ids.insert(&case.id, &case.place) {
                return Err(format!("{}: {} is also the id of {twin}", case.place, case.id));
            }
        }
        Ok(suite)
    }

    /// Returns the ids of all cases, and of the rows that only the ledger names.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        let cases = self.cases.iter().map(|case| case.id.as_str());
        let known = |id: &str| self.cases.iter().any(|case| case.id == id);
        cases.chain(self.ledger.ids().filter(move |id| !known(id)))
    }

    /// Plays every case.
    ///
    /// Cases that start from the same scene share a target, unless they leave it changed.
    pub fn play(&self, stage: &dyn Stage) -> Report {
        let mut report = Report {
            stage: stage.name(),
            held: Vec::new(),
            gaps: self
                .ledger
                .ids()
                .filter(|id| self.is_without_case(id))
                .map(str::to_owned)
                .collect(),
            left_out: Vec::new(),
            faults: Vec::new(),
        };
        let mut scenes: Vec<(Scene, Vec<&Case>)> = Vec::new();
        for case in &self.cases {
            if case.moves_time() && !stage.moves_time() {
                report.left_out.push(case.id.clone());
                continue;
            }
            match self.states.scene(case.profile, &case.given) {
                Err(fault) => report.faults.push(format!("{}: {}: {fault}", case.place, case.id)),
                Ok(scene) if case.needs_a_target_of_its_own() => scenes.push((scene, vec![case])),
                Ok(scene) => {
                    let shared = |(known, cases): &&mut (Scene, Vec<&Case>)| {
                        *known == scene
                            && cases.iter().all(|case| !case.needs_a_target_of_its_own())
                    };
                    match scenes.iter_mut().find(shared) {
                        Some((_, cases)) => cases.push(case),
                        None => scenes.push((scene, vec![case])),
                    }
                }
            }
        }
        let scenes = Mutex::new(scenes);
        let report = Mutex::new(report);
        let next = || scenes.lock().ok()?.pop();
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(4, |count| count.get().max(4)) {
                scope.spawn(|| {
                    while let Some((scene, cases)) = next() {
                        let outcomes = self.play_scene(stage, &scene, &cases);
                        if let Ok(mut report) = report.lock() {
                            for (case, outcome) in cases.iter().zip(outcomes) {
                                report.note(
                                    case,
                                    self.ledger.lists(&case.id, stage.name()),
                                    outcome,
                                );
                            }
                        }
                    }
                });
            }
        });
        report.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_without_case(&self, id: &str) -> bool {
        self.cases.iter().all(|case| case.id != id)
    }

    fn play_scene(
        &self,
        stage: &dyn Stage,
        scene: &Scene,
        cases: &[&Case],
    ) -> Vec<Result<Vec<Failure>, String>> {
        match stage.set(scene) {
            Err(fault) => cases.iter().map(|_| Err(fault.clone())).collect(),
            Ok(mut target) => cases
                .iter()
                .map(|case| Ok(play(case, scene, &self.states, target.as_mut())))
                .collect(),
        }
    }
}

/// Returns the sorted names in a directory.
fn names(directory: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    stage: &'static str,
    held: Vec<String>,
    gaps: Vec<String>,
    left_out: Vec<String>,
    faults: Vec<String>,
}

impl Report {
    /// Returns what must not be: cases that do not hold, and gaps that are none.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    fn note(&mut self, case: &Case, is_gap: bool, outcome: Result<Vec<Failure>, String>) {
        let (id, place) = (&case.id, &case.place);
        match outcome {
            Err(fault) if is_gap => drop(fault),
            Err(fault) => self.faults.push(format!("{place}: {id}: {fault}")),
            Ok(failures) if failures.is_empty() && is_gap => {
                self.faults.push(format!("{place}: {id} holds now: strike it from gaps.toml"));
            }
            Ok(failures) if failures.is_empty() => {
                self.held.push(id.clone());
                return;
            }
            Ok(_) if is_gap => {}
            Ok(failures) => {
                let mut text = format!("{place}: {id} {} does not hold", case.title);
                for failure in failures {
                    let _ = write!(text, "\n  {}: {}", failure.place, failure.message);
                }
                self.faults.push(text);
            }
        }
        if is_gap {
            self.gaps.push(id.clone());
        }
    }

    /// Counts the cases that hold whose ids are a letter and a number.
    fn count(&self, letter: char) -> usize {
        self.held.iter().filter(|id| id.starts_with(letter)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, gaps, faults) = (self.held.len(), self.gaps.len(), self.faults.len());
        write!(f, "conformance: {held} cases {}, {gaps} gaps", self.stage)?;
        if !self.left_out.is_empty() {
            write!(f, ", {} left out because they move the clock", self.left_out.len())?;
        }
        if faults > 0 {
            write!(f, ", {faults} FAILED")?;
        }
        write!(f, "\nconformance: ")?;
        let mut ours = held;
        for (section, letter, rows) in SECTIONS {
            let count = self.count(letter);
            ours -= count;
            write!(f, "{section} {count}/{rows}, ")?;
        }
        write!(f, "our own {ours}")
    }
}

#[cfg(test)]
mod tests;
