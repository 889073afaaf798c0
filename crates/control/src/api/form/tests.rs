use std::collections::BTreeSet;

use model::{HttpTokens, Switch};
use proptest::prelude::*;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::*;

/// Requests of real clients, a form a line.
const RECORDED: &str = include_str!("../recorded.txt");

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b' ' => out.push('+'),
            plain if plain.is_ascii_alphanumeric() || b"-_.~".contains(&plain) => {
                out.push(char::from(plain));
            }
            other => out.extend([format!("%{other:02X}")]),
        }
        out
    })
}

fn written(tree: &Tree) -> Vec<String> {
    let pairs = tree.parameters().into_iter();
    pairs.map(|(name, value)| format!("{}={}", encode(&name), encode(value))).collect()
}

fn parse(form: &str) -> Tree {
    Tree::parse(form.as_bytes()).unwrap()
}

fn named(name: &str) -> String {
    name.to_owned()
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Tag {
    key: String,
    value: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Options {
    instance_metadata_tags: Option<Switch>,
    http_tokens: Option<HttpTokens>,
    http_put_response_hop_limit: Option<u8>,
    http_endpoint: Option<Switch>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Launch {
    image_id: String,
    #[serde(default, rename = "Tag")]
    tags: Vec<Tag>,
    metadata_options: Option<Options>,
    force: Option<bool>,
    count: Option<i32>,
    threshold: Option<f64>,
    cpu_options: Option<IgnoredAny>,
    placement: Option<Node>,
    user_data: Option<Base>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Placement {
    tenancy: String,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Base;

impl TryFrom<String> for Base {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "base" { Ok(Self) } else { Err("Specify base.") }
    }
}

fn launch(form: &str) -> Result<Launch, FormFault> {
    parse(form).read(Dialect::Ec2)
}

#[test]
fn recorded_requests_come_back_as_they_were() {
    assert!(RECORDED.lines().count() > 50);
    for form in RECORDED.lines() {
        let tree = parse(form);
        let sent: BTreeSet<_> = form.split('&').map(str::to_owned).collect();
        assert_eq!(written(&tree).into_iter().collect::<BTreeSet<_>>(), sent);
        let mut reversed: Vec<_> = form.split('&').collect();
        reversed.reverse();
        assert_eq!(parse(&reversed.join("&")), tree, "order says nothing: {form}");
    }
}

#[test]
fn a_request_type_is_read() {
    let read = launch(
        "ImageId=ami-1&Tag.3.Key=b&Tag.3.Value=&Tag.20.Key=c&Tag.1.Key=a%20%2B&Force=true&Count=-7\
         &MetadataOptions.HttpTokens=required&MetadataOptions.HttpPutResponseHopLimit=64\
         &CpuOptions.CoreCount=1&CpuOptions.X.1.Y=2&Placement.Tenancy=default&Threshold=0.5",
    )
    .unwrap();
    assert_eq!(read.image_id, "ami-1");
    let tag = |key: &str, value: Option<&str>| Tag { key: named(key), value: value.map(named) };
    assert_eq!(read.tags, [tag("a +", None), tag("b", Some("")), tag("c", None)]);
    let expected = Options {
        http_tokens: Some(HttpTokens::Required),
        http_put_response_hop_limit: Some(64),
        http_endpoint: None,
        instance_metadata_tags: None,
    };
    assert_eq!(read.metadata_options, Some(expected));
    assert_eq!((read.force, read.count, read.threshold), (Some(true), Some(-7), Some(0.5)));
    assert!(read.cpu_options.is_some() && read.user_data.is_none());
    let kept: Placement = read.placement.unwrap().read("Placement", Dialect::Ec2).unwrap();
    assert_eq!(kept.tenancy, "default");
}

#[test]
fn faults_name_the_parameter_in_full() {
    use FormFault::{Index, Missing, Shape, Unknown, Value};

    let value = |name: &str, value: &str, reason: &str| Value {
        name: named(name),
        value: Some(named(value)),
        reason: named(reason),
    };
    let boolean = "Specify either 'true' or 'false' and try again.";
    let integer = "Specify an integer and try again.";
    for (form, expected) in [
        ("Tag.1.Key=a", Missing { name: named("ImageId") }),
        ("ImageId=x&Tag.2.Value=a", Missing { name: named("Tag.2.Key") }),
        ("ImageId=x&Foo=1", Unknown { name: named("Foo") }),
        ("ImageId=x&Foo.1.Bar=1", Unknown { name: named("Foo") }),
        ("ImageId=x&MetadataOptions.Foo=1", Unknown { name: named("MetadataOptions.Foo") }),
        ("ImageId.1=x", Unknown { name: named("ImageId.1") }),
        ("ImageId=x&Tag.1.Foo=1", Unknown { name: named("Tag.1.Foo") }),
        ("ImageId=x&Tag.0.Key=1", Index { name: named("Tag.0") }),
        ("ImageId=x&Tag.01.Key=1", Index { name: named("Tag.01") }),
        ("ImageId=x&Tag.member.1.Key=1", Index { name: named("Tag.member") }),
        ("ImageId=x&Tag.4294967296.Key=1", Index { name: named("Tag.4294967296") }),
        ("ImageId=x&Tag=1", Shape { name: named("Tag"), what: "a list" }),
        ("ImageId=x&Tag.1=1", Shape { name: named("Tag.1"), what: "a structure" }),
        (
            "ImageId=x&MetadataOptions=",
            Shape { name: named("MetadataOptions"), what: "a structure" },
        ),
        ("ImageId=x&Force=True", value("Force", "True", boolean)),
        ("ImageId=x&Count=x", value("Count", "x", integer)),
        ("ImageId=x&Count=", value("Count", "", integer)),
        ("ImageId=x&Count=%2B1", value("Count", "+1", integer)),
        ("ImageId=x&Count=2147483648", value("Count", "2147483648", integer)),
        (
            "ImageId=x&MetadataOptions.HttpPutResponseHopLimit=-1",
            value("MetadataOptions.HttpPutResponseHopLimit", "-1", integer),
        ),
        (
            "ImageId=x&Threshold=inf",
            value("Threshold", "inf", "Specify a finite number and try again."),
        ),
        (
            "ImageId=x&MetadataOptions.HttpTokens=bogus",
            value(
                "MetadataOptions.HttpTokens",
                "bogus",
                "`bogus` is not a value of `HttpTokens`: use `optional` or `required`",
            ),
        ),
        // What may be a secret is not repeated.
        (
            "ImageId=x&UserData=hunter2",
            Value { name: named("UserData"), value: None, reason: named("Specify base.") },
        ),
    ] {
        assert_eq!(launch(form).unwrap_err(), expected, "{form}");
    }
}

#[test]
fn query_services_number_members() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Question {
        #[serde(default)]
        statistics: Vec<Statistic>,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    enum Statistic {
        Maximum,
        Sum,
    }
    let read = |form: &str| parse(form).read::<Question>(Dialect::Query);
    let both = Question { statistics: vec![Statistic::Sum, Statistic::Maximum] };
    assert_eq!(read("Statistics.member.2=Sum&Statistics.member.10=Maximum"), Ok(both));
    assert_eq!(read("Statistics="), Ok(Question { statistics: Vec::new() }));
    for (form, name) in [
        ("Statistics.1=Sum", "Statistics.1"),
        ("Statistics.member=Sum", "Statistics.member"),
        ("Statistics.member.x=Sum", "Statistics.member.x"),
        ("Statistics.member.1=Sum&Statistics.2=Sum", "Statistics.2"),
        ("Statistics.member.1=Sum&Statistics.a=Sum&Statistics.z=1", "Statistics.a"),
    ] {
        assert_eq!(read(form), Err(FormFault::Index { name: named(name) }), "{form}");
    }
    let reason = named("Specify 'Maximum' or 'Sum' and try again.");
    let fault =
        FormFault::Value { name: named("Statistics.member.1"), value: Some(named("sum")), reason };
    assert_eq!(read("Statistics.member.1=sum"), Err(fault));
}

#[test]
fn what_is_no_form_is_refused() {
    use FormFault::{Contradiction, Duplicate, Encoding, Name, TooMany};

    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let deep = ["x"; DEPTH_MAX + 1].join(".");
    for (form, expected) in [
        (b"a=%".as_slice(), Encoding),
        (b"a=%4", Encoding),
        (b"a=%zz", Encoding),
        (b"a=%+1", Encoding),
        (b"a=%FF", Encoding),
        (b"a=\xFF", Encoding),
        (b"%C3=a", Encoding),
        (b"a=1&a=1", Duplicate { name: named("a") }),
        (b"a.b=1&%61.b=2", Duplicate { name: named("a.b") }),
        (b"a=1&a.1=2", Contradiction { name: named("a.1") }),
        (b"a.1=2&a=1", Contradiction { name: named("a") }),
        (b"=1", Name { name: named("") }),
        (b"a..b=1", Name { name: named("a..b") }),
        (b".a=1", Name { name: named(".a") }),
        (b"a.=1", Name { name: named("a.") }),
        (long.as_bytes(), Name { name: long.clone() }),
        (deep.as_bytes(), Name { name: deep.clone() }),
        (b"a=1&".repeat(PARAMETERS_MAX + 1).as_slice(), Duplicate { name: named("a") }),
    ] {
        assert_eq!(Tree::parse(form), Err(expected), "{}", form.escape_ascii());
    }
    let many = |count: usize| {
        let pairs: Vec<_> = (0..count).map(|n| format!("a.{n}=")).collect();
        pairs.join("&")
    };
    assert!(Tree::parse(many(PARAMETERS_MAX).as_bytes()).is_ok());
    assert_eq!(Tree::parse(many(PARAMETERS_MAX + 1).as_bytes()), Err(TooMany));
    assert_eq!(Tree::parse_parts([b"a=1".as_slice(), b"a=1"]), Err(Duplicate { name: named("a") }));
}

#[test]
fn what_every_action_takes_is_taken_out() {
    let mut tree = parse(
        "Action=A&Version=2016-11-15&DryRun=true&SecurityToken=t&X-Amz-Signature=s&X-Amz-Date=d\
         &AWSAccessKeyId=k&Signature=s&ImageId=x",
    );
    let common = tree.take_common().unwrap();
    assert_eq!(common.action.as_deref(), Some("A"));
    assert_eq!(common.version.as_deref(), Some("2016-11-15"));
    assert_eq!(common.security_token.map(|token| token.expose().clone()).as_deref(), Some("t"));
    assert!(common.dry_run);
    assert_eq!(tree, parse("ImageId=x"));

    assert!(!parse("DryRun=false").take_common().unwrap().dry_run);
    assert!(!parse("").take_common().unwrap().dry_run);
    let fault = parse("DryRun=yes").take_common().unwrap_err();
    assert!(matches!(fault, FormFault::Value { name, value: Some(v), .. }
        if name == "DryRun" && v == "yes"));
    let mut other = parse("Action.1=A");
    assert_eq!(other.take_common().unwrap().action, None);
    assert_eq!(other, parse("Action.1=A"), "which is another parameter");
}

#[test]
fn the_canonical_text_knows_no_order_and_no_token() {
    let canonical = |form: &str| parse(form).canonical();
    assert_eq!(canonical("b=2&a.1=x&ClientToken=1"), "a.1=x\nb=2\n");
    assert_eq!(canonical("a.1=x&b=2&ClientToken=2"), "a.1=x\nb=2\n");
    assert_ne!(canonical("a=1%0Ab%3D2"), canonical("a=1&b=2"));
    assert_ne!(canonical("a=%2525"), canonical("a=%25"));
}

#[test]
fn what_is_debugged_shows_no_value() {
    let shown = format!("{:?}", parse("UserData=hunter2&Tag.1.Value=hunter2"));
    assert!(shown.contains("UserData") && !shown.contains("hunter2"), "{shown}");
}

/// Reads a form as a flat list of pairs, or not at all.
fn naive(form: &[u8]) -> Option<BTreeSet<(String, String)>> {
    let mut pairs = BTreeSet::new();
    let text = |encoded: &[u8]| {
        let spaced: Vec<_> = encoded.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < spaced.len() {
            if spaced[at] == b'%' {
                // The plus signs are gone: one could be taken for the sign of a number.
                let digits = std::str::from_utf8(spaced.get(at + 1..at + 3)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                at += 3;
            } else {
                bytes.push(spaced[at]);
                at += 1;
            }
        }
        String::from_utf8(bytes).ok()
    };
    for pair in form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = text(halves.next()?)?;
        let value = text(halves.next().unwrap_or_default())?;
        let bad = name.split('.').any(str::is_empty);
        let inside = |(other, _): &(String, String)| {
            *other == name
                || other.starts_with(&format!("{name}."))
                || name.starts_with(&format!("{other}."))
        };
        if bad || pairs.iter().any(inside) {
            return None;
        }
        pairs.insert((name, value));
    }
    Some(pairs)
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_a_plain_reader_reads_them(form in "[ab.=&%+146é\u{0}]{0,40}") {
        let read = Tree::parse(form.as_bytes()).ok().map(|tree| {
            tree.parameters().into_iter().map(|(n, v)| (n, v.to_owned())).collect::<BTreeSet<_>>()
        });
        prop_assert_eq!(read, naive(form.as_bytes()));
    }

    #[test]
    fn what_is_written_is_read_again(pairs in prop::collection::btree_map("[a-c]{1,3}(\\.[a-c1-3]{1,2}){0,3}", any::<String>(), 0..8)) {
        let form: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        if let Ok(tree) = Tree::parse(form.join("&").as_bytes()) {
            let found: std::collections::BTreeMap<_, _> =
                tree.parameters().into_iter().map(|(n, v)| (n, v.to_owned())).collect();
            prop_assert_eq!(found, pairs);
        }
    }
}
