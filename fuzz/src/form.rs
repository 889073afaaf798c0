//! Forms of the management API: read as a plain reader reads them, and answered in XML that another
//! reader understands.

use std::collections::{BTreeMap, BTreeSet};

use control::api::form::{DEPTH_MAX, NAME_BYTES_MAX, Node, PARAMETERS_MAX, Tree};
use control::api::route::{Route, route, unknown_action};
use control::api::{ApiFault, ApiRequest, Dialect, respond};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

/// Names and values, in no order.
type Pairs = BTreeMap<String, String>;

/// What the judge knows how to read too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Asked {
    #[serde(default, rename = "InstanceId")]
    instance_ids: Vec<String>,
    force: Option<bool>,
    count: Option<i32>,
}

/// Reads `data` as a form, as a request type and as a request.
pub fn check(data: &[u8]) {
    let tree = Tree::parse(data).ok();
    let expected = read_plainly(data);
    let found = tree.as_ref().map(pairs);
    assert_eq!(found, expected, "{}", data.escape_ascii());
    if let (Some(tree), Some(pairs)) = (&tree, &expected) {
        keeps_everything(data, tree);
        has_the_type(tree, pairs);
    }
    is_answered(data);
}

fn pairs(tree: &Tree) -> Pairs {
    tree.parameters().into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

fn read_plainly(data: &[u8]) -> Option<Pairs> {
    let mut found = Pairs::new();
    let mut branches = BTreeSet::new();
    for pair in data.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = decode(halves.next()?)?;
        let value = decode(halves.next().unwrap_or_default())?;
        let segments: Vec<_> = name.split('.').collect();
        if name.len() > NAME_BYTES_MAX || segments.len() > DEPTH_MAX || segments.contains(&"") {
            return None;
        }
        let above: Vec<_> = (1..segments.len()).map(|end| segments[..end].join(".")).collect();
        if branches.contains(&name) || above.iter().any(|above| found.contains_key(above)) {
            return None;
        }
        branches.extend(above);
        if found.insert(name, value).is_some() || found.len() > PARAMETERS_MAX {
            return None;
        }
    }
    Some(found)
}

fn decode(encoded: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(byte) = encoded.get(at) {
        at += 1;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = encoded.get(at..at + 2)?;
                at += 2;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
            }
            plain => *plain,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The order of parameters says nothing, and what is kept unread is the whole of it.
fn keeps_everything(data: &[u8], tree: &Tree) {
    let mut parts: Vec<_> = data.split(|byte| *byte == b'&').collect();
    parts.reverse();
    let reversed = Tree::parse(&parts.join(&b'&')).expect("it was read in the other order");
    assert_eq!(&reversed, tree);
    assert_eq!(reversed.canonical(), tree.canonical());

    let kept: Node = tree.read(Dialect::Ec2).expect("anything can be kept");
    let mut found = Pairs::new();
    flatten(&kept, String::new(), &mut found);
    assert_eq!(found, pairs(tree));
}

fn flatten(node: &Node, name: String, found: &mut Pairs) {
    match node {
        Node::Text(text) => {
            found.insert(name, text.clone());
        }
        Node::Branch(below) => {
            for (segment, node) in below {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(node, format!("{name}{dot}{segment}"), found);
            }
        }
    }
}

fn has_the_type(tree: &Tree, pairs: &Pairs) {
    let mut ids = BTreeMap::new();
    let mut is_asked = true;
    let mut numbered = |name: &str, value: &String| -> Option<()> {
        let index = name.strip_prefix("InstanceId.")?;
        let number: u32 = index.parse().ok()?;
        (number > 0 && number.to_string() == index).then(|| ids.insert(number, value.clone()))?;
        Some(())
    };
    for (name, value) in pairs {
        is_asked &= match name.as_str() {
            "Force" => matches!(value.as_str(), "true" | "false"),
            "Count" => is_count(value),
            name => numbered(name, value).is_some(),
        };
    }
    match tree.read::<Asked>(Dialect::Ec2) {
        Ok(asked) => {
            assert!(is_asked, "{pairs:?}");
            assert_eq!(asked.instance_ids, ids.into_values().collect::<Vec<_>>());
            let force = pairs.get("Force").map(|value| value == "true");
            assert_eq!(asked.force, force);
            let count = pairs.get("Count").map(|value| value.parse().expect("a number"));
            assert_eq!(asked.count, count);
        }
        Err(fault) => assert!(!is_asked, "{fault}: {pairs:?}"),
    }
}

/// Decimal digits, with a minus sign at most, of a number within 32 bits.
fn is_count(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let significant = digits.trim_start_matches('0');
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let limit = if digits.len() < value.len() { 2_147_483_648 } else { 2_147_483_647_u64 };
    let number = || significant.parse::<u64>().unwrap_or(0);
    is_digits && significant.len() <= 10 && number() <= limit
}

/// Whatever it is, there is an answer to it, in XML that can be read.
fn is_answered(data: &[u8]) {
    let headers = Vec::new();
    let request =
        ApiRequest { method: "POST", path: "/", query: "", headers, body: data, source: None };
    let (route, fault): (Route, ApiFault) = match route(&request) {
        Ok(arrival) => {
            let fault = unknown_action(&arrival.route);
            (arrival.route, fault)
        }
        Err(lost) => (lost.route, lost.fault),
    };
    let response = respond(&route, "59dbff89-35bd-4eac-99ed-be587EXAMPLE", Err(fault));
    assert!((400..600).contains(&response.status));
    let text = String::from_utf8(response.body).expect("XML is text");
    let mut reader = Reader::from_str(&text);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Eof => break,
            Event::Text(text) => {
                let is_control = |c: char| c.is_control() && !c.is_whitespace() && c < '\u{7f}';
                assert!(!text.xml10_content().contains(is_control));
            }
            _ => {}
        }
    }
}
