//! Requests: the line, and the header lines and manners indented below it.

use super::{Block, Captures, Line, Wrong, keyword};
use crate::case::{Field, Manner, Request};
use crate::escape::unquote;
use crate::target::{Family, Sender, Whom};

/// Reads a request, or returns nothing for a block that is something else.
pub(super) fn read(
    block: &Block<'_>,
    captures: &Captures,
) -> Result<Option<(Request, Manner)>, Wrong> {
    let Line { number, text, .. } = block.head;
    let wrong = |message: &str| (number, message.to_owned());
    let first = text.split(' ').next().unwrap_or_default();
    let mut fields = Vec::new();
    let mut manner = Manner {
        over: Family::V4,
        to: Whom::Instance,
        times: 1,
        at_once: 1,
        sender: if keyword(text, "raw").is_some() { Sender::Ends } else { Sender::Stays },
    };
    let mut read_below = |fields: &mut Vec<Field>| {
        block.inner().iter().try_for_each(|line| {
            line.stands_alone()
                .and_then(|()| read_line(line.head.text, captures, fields, &mut manner))
                .map_err(|message| (line.head.number, message))
        })
    };
    let request = if let Some(quoted) = keyword(text, "raw") {
        let bytes = unquote(quoted).map_err(|message| (number, message))?;
        read_below(&mut fields)?;
        if !fields.is_empty() {
            return Err(wrong("a raw request has no header lines of its own"));
        }
        Request::Raw(bytes)
    } else if text == "each listed name" {
        read_below(&mut fields)?;
        let (method, target) = ("GET".to_owned(), "/".to_owned());
        Request::Http { method, target, version: "HTTP/1.1", fields }
    } else if first.bytes().all(|b| b.is_ascii_uppercase()) && !first.is_empty() {
        let words: Vec<&str> = text.split(' ').collect();
        let (method, target, version) = match *words {
            [method, target] => (method, target, "HTTP/1.1"),
            [method, target, "HTTP/1.0"] => (method, target, "HTTP/1.0"),
            _ => {
                return Err(wrong("a request is `METHOD target` or `METHOD target HTTP/1.0`"));
            }
        };
        read_below(&mut fields)?;
        Request::Http { method: method.to_owned(), target: target.to_owned(), version, fields }
    } else {
        return Ok(None);
    };
    Ok(Some((request, manner)))
}

/// Reads one line below a request.
fn read_line(
    text: &str,
    captures: &Captures,
    fields: &mut Vec<Field>,
    manner: &mut Manner,
) -> Result<(), String> {
    let words: Vec<&str> = text.split(' ').collect();
    match *words {
        ["with", capture] => {
            fields.push(Field::Token { capture: captures.used(capture)?, changed_at: None });
        }
        ["with", capture, "changed", "at", position] => fields.push(Field::Token {
            capture: captures.used(capture)?,
            changed_at: Some(number(position)?),
        }),
        ["over", "ipv6"] => manner.over = Family::V6,
        ["stays", "open"] => manner.sender = Sender::Stays,
        ["to", "other"] => manner.to = Whom::Other,
        ["times", count] => manner.times = number(count)?,
        ["times", count, at_once, "at", "once"] => {
            manner.times = number(count.trim_end_matches(','))?;
            manner.at_once = number(at_once)?;
        }
        _ => {
            let (name, value) = text
                .split_once(':')
                .filter(|(name, _)| !name.contains(' '))
                .ok_or_else(|| format!("`{text}` is not a header line or a manner of sending"))?;
            let value = value.trim();
            if value.starts_with('$') {
                captures.used(value)?;
            }
            fields.push(Field::Line { name: name.to_owned(), value: value.to_owned() });
        }
    }
    Ok(())
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}
