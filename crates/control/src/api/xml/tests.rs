use std::collections::BTreeMap;

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Serialize;

use super::*;

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    instance_id: String,
    hops: Option<u8>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    next_token: Option<String>,
    instances_set: Vec<Member>,
    ebs_optimized: bool,
    state: Option<State>,
    launch_time: Option<Time>,
    sum: f64,
    empty: Nested,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    ShuttingDown,
}

#[derive(Default, Serialize)]
struct Nested {}

fn fields(answer: &impl Serialize, dialect: Dialect) -> Result<String, XmlFault> {
    let mut out = String::new();
    write_fields(answer, dialect, &mut out).map(|()| out)
}

#[test]
fn fields_lists_and_absent_values() {
    let member = |id: &str| Member { instance_id: id.into(), hops: None };
    let described = Described {
        instances_set: vec![Member { hops: Some(2), ..member("i-1") }, member("")],
        state: Some(State::ShuttingDown),
        launch_time: Some(Time(Timestamp::from_millis(1_601_130_538_000))),
        sum: 12.0,
        ..Described::default()
    };
    let expected = "<instancesSet><item><instanceId>i-1</instanceId><hops>2</hops></item>\
                    <item><instanceId></instanceId></item></instancesSet>\
                    <ebsOptimized>false</ebsOptimized><state>shutting-down</state>\
                    <launchTime>2020-09-26T14:28:58.000Z</launchTime><sum>12.0</sum><empty/>";
    assert_eq!(fields(&described, Dialect::Ec2).unwrap(), expected);
    let query = expected.replace("item>", "member>").replace(".000Z", "Z");
    assert_eq!(fields(&described, Dialect::Query).unwrap(), query);
    let nothing = fields(&Described::default(), Dialect::Ec2).unwrap();
    assert!(nothing.starts_with("<instancesSet/><ebsOptimized>"), "{nothing}");
}

#[derive(Serialize)]
struct At {
    at: Time,
}

#[test]
fn a_time_is_a_number_elsewhere() {
    let time = Time(Timestamp::from_millis(1_758_898_800_250));
    assert_eq!(serde_json::to_string(&time).unwrap(), "1758898800.25");
    let mut bytes = Vec::new();
    ciborium::into_writer(&time, &mut bytes).unwrap();
    // Tag 1, and a float of eight bytes.
    assert_eq!(bytes[..2], [0xc1, 0xfb]);
    assert_eq!(bytes[2..], 1_758_898_800.25_f64.to_be_bytes());
    let written = |millis| {
        let at = At { at: Time(Timestamp::from_millis(millis)) };
        fields(&at, Dialect::Ec2).unwrap()
    };
    assert_eq!(written(1_758_898_800_999), "<at>2025-09-26T15:00:00.999Z</at>");
    assert_eq!(written(-1), "<at>1969-12-31T23:59:59.999Z</at>");
}

#[test]
fn a_flattened_struct_is_part_of_its_element() {
    #[derive(Serialize)]
    struct Outer {
        a: u8,
        #[serde(flatten)]
        member: Member,
    }
    let outer = Outer { a: 1, member: Member::default() };
    assert_eq!(fields(&outer, Dialect::Ec2).unwrap(), "<a>1</a><instanceId></instanceId>");
}

#[test]
fn what_has_no_form_is_refused() {
    assert!(fields(&"text", Dialect::Ec2).is_err());
    assert!(fields(&vec![1], Dialect::Ec2).is_err());
    assert!(fields(&BTreeMap::from([("a", (1, 2))]), Dialect::Ec2).is_err());
    for name in ["", "a b", "1", "a>", "é", "x:y"] {
        assert!(fields(&BTreeMap::from([(name, 1)]), Dialect::Ec2).is_err(), "{name}");
    }
    assert_eq!(fields(&BTreeMap::from([("a", 1)]), Dialect::Ec2).unwrap(), "<a>1</a>");
}

/// The text of the only element of a document, as another reader of XML has it.
fn read_back(document: &str) -> String {
    let mut reader = Reader::from_str(document);
    let mut text = String::new();
    loop {
        let event = reader.read_event().unwrap();
        if let Event::Text(part) = event {
            text.push_str(&part.xml10_content());
        } else if let Event::GeneralRef(entity) = event {
            text.push(entity.resolve_char_ref().unwrap().unwrap_or_else(|| match &*entity {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                other => panic!("no such entity: {other}"),
            }));
        } else if event == Event::Eof {
            return text;
        } else {
            assert!(matches!(event, Event::Start(_) | Event::End(_)), "{event:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read_back(text in any::<String>()) {
        let mut out = String::new();
        write_element("key", &text, &mut out);
        prop_assert!(is_xml_safe(&out), "only what XML can hold is written");
        let held: String =
            text.chars().map(|c| if is_xml_character(c) { c } else { '\u{FFFD}' }).collect();
        prop_assert_eq!(read_back(&out), held);
    }
}

#[test]
fn some_characters_have_no_place_in_xml() {
    for (text, safe) in [
        ("plain, \u{85}ü🦀\t\n\r", true),
        ("", true),
        ("\u{0}", false),
        ("a\u{1b}[0m", false),
        ("\u{FFFE}", false),
        ("\u{FFFF}", false),
        ("\u{FFFD}", true),
        ("\u{10FFFF}", true),
    ] {
        assert_eq!(is_xml_safe(text), safe, "{text:?}");
    }
    let mut out = String::new();
    write_text("a\u{0}<b>&\r\n]]>", &mut out);
    assert_eq!(out, "a\u{FFFD}&lt;b&gt;&amp;&#13;\n]]&gt;");
    assert_eq!(read_back(&format!("<key>{out}</key>")), "a\u{FFFD}<b>&\r\n]]>");
}
