//! Reads case files. The language is described in the suite's README.
//!
//! INVARIANT: a case that was read compares only captures that an earlier line of it makes.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use crate::case::{Action, Advance, Case, Exchange, Expected, Place, Step};
use crate::state::Patch;
use crate::target::Profile;

mod assertion;
mod request;

/// Why a file is not read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaseFault {
    /// The line at fault.
    pub(crate) place: Place,
    /// What is wrong with it.
    pub(crate) message: String,
}

impl fmt::Display for CaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for CaseFault {}

/// Reads the cases of one file. `bodies` is the directory of the files that `body file` names.
///
/// # Errors
///
/// The first line that is not of the language.
pub(crate) fn cases(file: &str, text: &str, bodies: &Path) -> Result<Vec<Case>, CaseFault> {
    let read = || {
        let mut cases = Vec::new();
        let mut blocks = blocks(text)?.into_iter().peekable();
        while let Some(block) = blocks.next() {
            let mut reader = Reader::start(file, &block, bodies)?;
            let not_case = |next: &Block<'_>| keyword(next.head.text, "case").is_none();
            while let Some(block) = blocks.next_if(not_case) {
                let answer = blocks.next_if(|next| next.head.text.starts_with("=>"));
                reader.read(&block, answer.as_ref())?;
            }
            cases.push(reader.finish()?);
        }
        Ok(cases)
    };
    read().map_err(|(line, message): Wrong| CaseFault {
        place: Place { file: file.to_owned(), line },
        message,
    })
}

/// A line number and what is wrong there.
type Wrong = (usize, String);

/// A line without its comment and indentation.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

/// A line and the further indented lines below it.
#[derive(Clone, Debug)]
struct Block<'a> {
    head: Line<'a>,
    below: Vec<Line<'a>>,
}

impl<'a> Block<'a> {
    fn stands_alone(&self) -> Result<(), String> {
        if self.below.is_empty() {
            Ok(())
        } else {
            Err("nothing may be indented below this line".to_owned())
        }
    }

    /// Splits the lines below into blocks of their own.
    fn inner(&self) -> Vec<Block<'a>> {
        let margin = self.below.first().map_or(0, |line| line.indent);
        let mut blocks: Vec<Block<'a>> = Vec::new();
        for line in &self.below {
            match blocks.last_mut() {
                Some(block) if line.indent > margin => block.below.push(*line),
                _ => blocks.push(Block { head: *line, below: Vec::new() }),
            }
        }
        blocks
    }
}

/// Splits a file at its unindented lines.
fn blocks(text: &str) -> Result<Vec<Block<'_>>, Wrong> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        // A comment starts the line or stands after two spaces.
        let line = match line.find('#') {
            Some(at) if line.get(..at).is_some_and(|before| before.trim().is_empty()) => "",
            _ => line.find("  #").and_then(|at| line.get(..at)).unwrap_or(line),
        };
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        let line = Line { number, indent, text };
        if text.is_empty() {
            continue;
        }
        match (indent, blocks.last_mut()) {
            (0, _) => blocks.push(Block { head: line, below: Vec::new() }),
            (_, Some(block)) => block.below.push(line),
            (_, None) => return Err((number, "the first line is indented".to_owned())),
        }
    }
    Ok(blocks)
}

/// Returns what follows `word` on the line, if it starts with it.
fn keyword<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    if rest.is_empty() || rest.starts_with(' ') { Some(rest.trim()) } else { None }
}

/// The captures that the lines so far make.
#[derive(Debug, Default)]
struct Captures(BTreeSet<String>);

impl Captures {
    /// Reads `$NAME`, which must have been captured.
    fn used(&self, text: &str) -> Result<String, String> {
        let name = capture_name(text)?;
        if self.0.contains(&name) {
            Ok(name)
        } else {
            Err(format!("nothing was captured as `{text}`"))
        }
    }

    /// Reads `$NAME` and notes that it is captured.
    fn made(&mut self, text: &str) -> Result<String, String> {
        let name = capture_name(text)?;
        self.0.insert(name.clone());
        Ok(name)
    }
}

fn capture_name(text: &str) -> Result<String, String> {
    text.strip_prefix('$')
        .filter(|name| !name.is_empty())
        .filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .map(str::to_owned)
        .ok_or_else(|| format!("`{text}` is not the name of a capture, such as `$T`"))
}

/// Reads the blocks of one case.
struct Reader<'a> {
    case: Case,
    captures: Captures,
    bodies: &'a Path,
}

impl<'a> Reader<'a> {
    /// Reads the `case` line.
    fn start(file: &str, block: &Block<'_>, bodies: &'a Path) -> Result<Self, Wrong> {
        let line = block.head.number;
        let words = keyword(block.head.text, "case")
            .ok_or_else(|| (line, "a file starts with `case ID words`".to_owned()))?;
        block.stands_alone().map_err(|message| (line, message))?;
        let (id, title) = words.split_once(' ').unwrap_or((words, ""));
        let case = Case {
            id: id.to_owned(),
            title: title.trim().to_owned(),
            place: Place { file: file.to_owned(), line },
            given: Vec::new(),
            profile: Profile::Nitro,
            steps: Vec::new(),
        };
        Ok(Self { case, captures: Captures::default(), bodies })
    }

    fn finish(self) -> Result<Case, Wrong> {
        let Case { id, place, .. } = &self.case;
        if self.case.steps.is_empty() {
            Err((place.line, format!("case {id} does nothing")))
        } else {
            Ok(self.case)
        }
    }

    /// Reads one block, and the `=>` block after it where there is one.
    fn read(&mut self, block: &Block<'_>, answer: Option<&Block<'_>>) -> Result<(), Wrong> {
        let line = block.head.number;
        let wrong = |message| (line, message);
        let text = block.head.text;
        if let Some(request) = request::read(block, &self.captures)? {
            let (request, manner) = request;
            let answer = answer.ok_or_else(|| wrong("no `=>` follows this request".to_owned()))?;
            let exchange = Exchange {
                request,
                manner,
                expected: expected(answer.head.text).map_err(|m| (answer.head.number, m))?,
                assertions: assertion::read_all(answer, &mut self.captures, self.bodies)?,
            };
            let action = if text == "each listed name" {
                Action::Crawl(exchange)
            } else {
                Action::Exchange(exchange)
            };
            self.case.steps.push(Step { line, action });
            return Ok(());
        }
        block.stands_alone().map_err(wrong)?;
        self.read_setting(line, text).map_err(wrong)?;
        match answer {
            None => Ok(()),
            Some(answer) => {
                let message = "no request precedes this answer".to_owned();
                Err((answer.head.number, message))
            }
        }
    }

    fn read_setting(&mut self, line: usize, text: &str) -> Result<(), String> {
        let first = self.case.steps.is_empty();
        let step = |action| Step { line, action };
        if let Some(names) = keyword(text, "given") {
            self.case.given.extend(state_names(names));
        } else if let Some(profile) = keyword(text, "profile") {
            self.case.profile = match profile {
                "legacy" => Profile::Legacy,
                "nitro" => Profile::Nitro,
                _ => return Err(format!("`{profile}` is not a profile: use nitro or legacy")),
            };
        } else if let Some(advance) = keyword(text, "advance") {
            let advance = read_advance(advance, &self.captures)?;
            self.case.steps.push(step(Action::Advance(advance)));
            return Ok(());
        } else if let Some(patch) = keyword(text, "change") {
            self.case.steps.push(step(Action::Change(read_patch(patch)?)));
            return Ok(());
        } else {
            return Err(format!("`{text}` is not a line of the language"));
        }
        if first {
            Ok(())
        } else {
            Err("states and profile stand before the first step".to_owned())
        }
    }
}

fn state_names(names: &str) -> impl Iterator<Item = String> {
    names.split(',').map(|name| name.trim().to_owned())
}

/// Reads `25 s`, `500 ms` or `until 300 s before $NAME`.
fn read_advance(text: &str, captures: &Captures) -> Result<Advance, String> {
    use std::time::Duration;

    let wrong =
        || format!("`{text}` is not a time: use `25 s`, `500 ms` or `until 300 s before $T`");
    let words: Vec<&str> = text.split(' ').collect();
    match *words {
        [number, "s"] => {
            number.parse().map(Duration::from_secs).map(Advance::By).map_err(|_| wrong())
        }
        [number, "ms"] => {
            number.parse().map(Duration::from_millis).map(Advance::By).map_err(|_| wrong())
        }
        ["until", number, "s", "before", capture] => Ok(Advance::UntilBefore {
            seconds: number.parse().map_err(|_| wrong())?,
            capture: captures.used(capture)?,
        }),
        _ => Err(wrong()),
    }
}

/// Reads `{ TOML }` or names of states.
fn read_patch(text: &str) -> Result<Patch, String> {
    if text.starts_with('{') {
        let mut table: toml::Table =
            toml::from_str(&format!("change = {text}")).map_err(|source| source.to_string())?;
        match table.remove("change") {
            Some(toml::Value::Table(table)) => Ok(Patch::Table(table)),
            _ => Err(format!("`{text}` is not a table")),
        }
    } else {
        Ok(Patch::States(state_names(text).collect()))
    }
}

/// Reads `=> STATUS [reason]` or `=> closed`.
fn expected(text: &str) -> Result<Expected, String> {
    let text = text.trim_start_matches("=>").trim();
    if text == "closed" {
        return Ok(Expected::Closed);
    }
    let (code, reason) = match text.split_once(' ') {
        Some((code, reason)) => (code, Some(reason.trim().to_owned())),
        None => (text, None),
    };
    let code = code
        .parse()
        .ok()
        .filter(|code| (100..1000).contains(code))
        .ok_or_else(|| format!("`{code}` is not a status: use three digits, or `closed`"))?;
    Ok(Expected::Status { code, reason })
}

#[cfg(test)]
mod tests;
