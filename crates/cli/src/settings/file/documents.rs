//! Policy documents: as text, in a file, or written in TOML.

use std::fs;

use policy::{DocumentKind, Policy};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{FileRefusal, Source};

/// What a document is to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// A policy that requests are held against.
    Policy(DocumentKind),
    /// An object of JSON, whose reader knows more of it.
    Object,
}

impl<'t> Source<'t> {
    /// Puts the text of a document in place of what says it: a text, `{ file = "…" }`, or a table. It
    /// must be one that can be put in force.
    pub(super) fn include_document(
        &self,
        what: &str,
        wanted: Wanted,
        value: &mut Spanned<DeValue<'t>>,
    ) -> Result<(), FileRefusal> {
        let span = value.span();
        let (text, place) = match value.get_ref() {
            DeValue::String(text) => (text.to_string(), String::new()),
            DeValue::Table(table) => match file_of(table) {
                Some(file) => {
                    let path = self.directory.join(file);
                    let shown = path.display();
                    let text = fs::read_to_string(&path).map_err(|fault| {
                        let message = format!("{what}: `{shown}` cannot be read: {fault}");
                        self.wrong(message, &span)
                    })?;
                    (text, format!("{shown}: "))
                }
                None => (Value::Object(object(table)).to_string(), String::new()),
            },
            DeValue::Array(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Float(_)
            | DeValue::Integer(_) => {
                let message = format!(
                    "{what}: write the document as a text of JSON, as {{ file = \"policy.json\" }}, \
                     or as a table"
                );
                return Err(self.wrong(message, &span));
            }
        };
        let refused = |reason: String| self.wrong(format!("{what}: {place}{reason}"), &span);
        match wanted {
            Wanted::Policy(kind) => {
                Policy::compile(what, kind, &text)
                    .map_err(|refusal| refused(refusal.to_string()))?;
            }
            Wanted::Object => {
                let object = serde_json::from_str::<Map<String, Value>>(&text);
                object.map_err(|fault| refused(format!("not a JSON object: {fault}")))?;
            }
        }
        *value = Spanned::new(span, DeValue::String(text.into()));
        Ok(())
    }

    /// The same with the document of a key, if it is there.
    pub(super) fn include_document_of(
        &self,
        table: &mut DeTable<'t>,
        key: &str,
        wanted: Wanted,
    ) -> Result<(), FileRefusal> {
        match table.get_mut(key) {
            Some(value) => self.include_document(&format!("`{key}`"), wanted, value),
            None => Ok(()),
        }
    }
}

/// The file that a table names, if it does nothing else.
fn file_of<'a>(table: &'a DeTable<'_>) -> Option<&'a str> {
    match table.get("file").map(Spanned::get_ref) {
        Some(DeValue::String(file)) if table.len() == 1 => Some(file),
        _ => None,
    }
}

fn object(table: &DeTable<'_>) -> Map<String, Value> {
    let member = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        (key.get_ref().to_string(), json(value.get_ref()))
    };
    table.iter().map(member).collect()
}

/// Writes a value as JSON has it; dates are texts there.
fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::Array(values) => values.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(time) => Value::String(time.to_string()),
        DeValue::Float(number) => {
            let text = number.to_string();
            text.parse::<Number>().map_or(Value::String(text), Value::Number)
        }
        DeValue::Integer(number) => {
            let text = number.to_string();
            text.parse::<Number>().map_or(Value::String(text), Value::Number)
        }
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Table(table) => Value::Object(object(table)),
    }
}
