//! `docs/reference/state.md` says what is on the disk.

use std::collections::BTreeSet;

use model::{Common, ResourceKind};

use crate::{record, redb};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/state.md");

/// A record as the document has it: key, digest and JSON, each on a line.
const START: &str = "```record\n";
const END: &str = "\n```\n";

fn document() -> String {
    std::fs::read_to_string(PATH).unwrap()
}

/// The kinds that the code knows.
fn kinds() -> BTreeSet<&'static str> {
    record::KINDS.into_iter().chain(ResourceKind::ALL.iter().map(|kind| kind.as_str())).collect()
}

fn kind_of(key: &str) -> &str {
    key.split('/').next().unwrap()
}

/// Reads the record of a document, and writes it as the code does.
fn written_again(shown: &str) -> String {
    let [key, _, text] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
    let value = [&record::digest_of(key, text.as_bytes())[..], text.as_bytes()].concat();
    let change = record::decode(key, &value, &mut Common::default());
    let change = change.unwrap_or_else(|fault| panic!("{key}: {fault:?}"));
    let write = record::encode(&change);
    let value = write.value.unwrap();
    let (digest, text) = value.split_at(record::DIGEST_BYTES);
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    format!("{}\n{digest}\n{}", write.key, std::str::from_utf8(text).unwrap())
}

/// The records are written again where `UPDATE_REFERENCE` is set, and compared everywhere.
#[test]
fn its_records_are_those_that_are_written() {
    let document = document();
    let mut parts = document.split(START);
    let mut written = parts.next().unwrap().to_owned();
    let mut shown = BTreeSet::new();
    for part in parts {
        let (record, rest) = part.split_once(END).unwrap();
        shown.insert(kind_of(record.lines().next().unwrap()));
        written.extend([START, &written_again(record), END, rest]);
    }
    assert_eq!(shown, kinds());
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(PATH, &written).unwrap();
    } else {
        assert!(written == document, "docs/reference/state.md is out of date: run `make docs`");
    }
}

#[test]
fn its_kinds_are_those_that_are_known() {
    let document = document();
    let (_, records) = document.split_once("\n## Records\n").unwrap();
    let (_, table) = records.split_once("\n|---|---|---|\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with("| `"));
    let named: Vec<_> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    assert_eq!(named, kinds().into_iter().collect::<Vec<_>>());
    for kind in named {
        let read = record::decode(kind, &[0; 9], &mut Common::default());
        assert!(matches!(read, Err(record::RecordFault::Damaged)), "{kind}");
        let value = [&record::digest_of(kind, b"?")[..], b"?"].concat();
        let read = record::decode(kind, &value, &mut Common::default());
        assert!(matches!(read, Err(record::RecordFault::NotUnderstood(_))), "{kind}: {read:?}");
    }
}

#[test]
fn its_format_is_that_which_is_written() {
    let told = format!("| `format` | the format of the records, {} at present |", redb::FORMAT);
    assert!(document().contains(&told), "{told}");
    for format in 1..=redb::FORMAT {
        assert!(document().contains(&format!("\n| {format} | ")), "{format}");
    }
}
