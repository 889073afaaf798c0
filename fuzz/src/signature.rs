//! Signatures: a request verifies exactly if it means what was signed, with this key, at this time.

use control::api::{ApiRequest, Presented};
use model::AccessKey;
use model::{Secret, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::input::Input;
use crate::tree::NOW;

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SCOPE: [&str; 3] = ["us-east-1", "ec2", "aws4_request"];
const SKEW_SECONDS: u32 = 900;
const LIFETIME_SECONDS: i64 = 3600;

/// A request on the wire, which may be changed.
#[derive(Clone, Debug)]
struct Wire {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What a plain reader takes a request for.
#[derive(Debug, PartialEq, Eq)]
struct Meaning {
    method: String,
    /// What is left of the path's segments once `.` and `..` have done their work.
    path: Vec<String>,
    ends_in_slash: bool,
    /// Decoded and sorted, without the signature.
    parameters: Vec<(Vec<u8>, Vec<u8>)>,
    /// The values of those headers that are signed, by name.
    headers: Vec<(String, Vec<String>)>,
    body: Vec<u8>,
}

/// Signs a request or does not, changes it or does not, and shows it.
///
/// The first byte says how it is signed, and the next four what is changed, and when it is shown. The
/// rest is a request: its first line, its headers, an empty line, its body.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let change = input.bytes::<3>();
    let offset = OFFSETS[usize::from(input.byte()) % OFFSETS.len()];
    let drawn = read(input.rest());

    // The secret follows from the whole input: no fuzzer can learn a signature from another run.
    let secret = hex(&Sha256::digest(data));
    let token = (how & 4 != 0).then(|| "IQoJb3JpZ2luX2Vj/+=".to_owned());
    let now = NOW.plus_seconds(offset);
    let key = key(&secret, token.as_deref());

    let signer = Signer { secret: &secret, token: token.as_deref() };
    let (sent, longest) = match how & 3 {
        1 => (signer.sign(drawn.clone()), i64::from(SKEW_SECONDS)),
        2 => (signer.presign(drawn.clone()), LIFETIME_SECONDS),
        _ => {
            assert!(!verifies(&drawn, &key, now), "nobody signed {drawn:?}");
            return;
        }
    };
    let mut shown = sent.clone();
    spoil(&mut shown, change);
    let names = names(&sent);
    let is_same = meaning(&shown, &names) == meaning(&sent, &names);
    let is_in_time = (-i64::from(SKEW_SECONDS)..=longest).contains(&offset);
    if verifies(&shown, &key, now) {
        assert!(is_same, "sent {sent:?}\nshown {shown:?}");
        assert!(is_in_time, "{offset} s");
        let unsigned = |name: &String| name.starts_with("x-amz-") && !names.contains(name);
        assert!(!shown.headers.iter().any(|(name, _)| unsigned(name)), "{shown:?}");
    } else if is_in_time && is_plain(&drawn) {
        assert_ne!(change[0] % 8, 0, "{sent:?}");
    }
}

const OFFSETS: [i64; 8] = [0, 900, -900, 901, -901, 3600, 3601, i64::MAX / 2000];

fn key(secret: &str, token: Option<&str>) -> AccessKey {
    let secret = Secret::new(secret.to_owned());
    AccessKey {
        session_token: token.map(|token| Secret::new(token.to_owned())),
        expiration: token.map(|_| Timestamp::from_millis(i64::MAX)),
        ..AccessKey::new(ID.parse().unwrap(), secret, Timestamp::default())
    }
}

fn verifies(wire: &Wire, key: &AccessKey, now: Timestamp) -> bool {
    let request = ApiRequest {
        method: &wire.method,
        path: &wire.path,
        query: &wire.query,
        headers: wire.headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
        body: &wire.body,
        source: None,
    };
    let verify = |key| Presented::parse(&request)?.verify(key, "ec2", SKEW_SECONDS, now);
    assert!(verify(None).is_err(), "without a key nothing verifies");
    match verify(Some(key)) {
        Ok(verified) => {
            assert_eq!((verified.access_key_id(), verified.region()), (ID, SCOPE[0]));
            true
        }
        Err(fault) => {
            for (code, status, message) in [fault.told_by_ec2(), fault.told_by_others()] {
                assert!([400, 401, 403].contains(&status) && !code.is_empty());
                assert!(!message.contains(&**key.secret.expose()), "{message}");
            }
            false
        }
    }
}

/// Reads `METHOD /path?query`, lines of `name:value`, an empty line and a body.
fn read(data: &[u8]) -> Wire {
    let at = data.windows(2).position(|two| two == b"\n\n").unwrap_or(data.len());
    let body = data.get(at + 2..).unwrap_or_default().to_vec();
    let head = String::from_utf8_lossy(&data[..at]).into_owned();
    let (first, rest) = head.split_once('\n').unwrap_or((&head, ""));
    let (method, target) = first.split_once(' ').unwrap_or((first, "/"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Wire {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: rest.split('\n').filter(|line| !line.is_empty()).map(header).collect(),
        body,
    }
}

/// Whether nothing in it has to do with signatures, so that it must verify once it is signed.
fn is_plain(wire: &Wire) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_letter);
    let is_own =
        |name: &str| name.starts_with("x-amz-") || ["authorization", "host"].contains(&name);
    let form =
        [wire.query.as_bytes(), &wire.body].map(|text| parameters(&String::from_utf8_lossy(text)));
    let names = form.iter().flatten().map(|(name, _)| name);
    let is_special = |name: &Vec<u8>| name.starts_with(b"X-Amz-") || name == b"SecurityToken";
    wire.headers.len() < 60
        && wire.headers.iter().all(|(name, _)| is_name(name) && !is_own(name))
        && !names.into_iter().any(is_special)
        && str::from_utf8(&wire.body).is_ok()
}

/// A client that signs.
struct Signer<'a> {
    secret: &'a str,
    token: Option<&'a str>,
}

impl Signer<'_> {
    fn sign(&self, mut wire: Wire) -> Wire {
        wire.headers.push(("host".to_owned(), "localhost:1339".to_owned()));
        wire.headers.push(("x-amz-date".to_owned(), time()));
        if let Some(token) = self.token {
            wire.headers.push(("x-amz-security-token".to_owned(), token.to_owned()));
        }
        let names = names(&wire);
        let (credential, signature) = (credential(), self.signature(&wire, &names));
        let names = names.join(";");
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        );
        wire.headers.push(("authorization".to_owned(), value));
        wire
    }

    fn presign(&self, mut wire: Wire) -> Wire {
        wire.headers.push(("host".to_owned(), "localhost:1339".to_owned()));
        let names = names(&wire);
        let mut parameters = vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
            ("X-Amz-Credential", credential()),
            ("X-Amz-Date", time()),
            ("X-Amz-Expires", LIFETIME_SECONDS.to_string()),
            ("X-Amz-SignedHeaders", names.join(";")),
        ];
        parameters.extend(self.token.map(|token| ("X-Amz-Security-Token", token.to_owned())));
        for (name, value) in parameters {
            let and = if wire.query.is_empty() { "" } else { "&" };
            wire.query.extend([and, name, "=", &encode(value.as_bytes())]);
        }
        let signature = self.signature(&wire, &names);
        wire.query.extend(["&X-Amz-Signature=", &signature]);
        wire
    }

    fn signature(&self, wire: &Wire, names: &[String]) -> String {
        let request = meaning(wire, names).canonical();
        let (time, scope) = (time(), scope());
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(request)));
        let start = format!("AWS4{}", self.secret).into_bytes();
        let key = scope.split('/').fold(start, |key, part| mac(&key, part));
        hex(&mac(&key, &text))
    }
}

/// The names of the headers that are signed: all but the signature's own.
fn names(wire: &Wire) -> Vec<String> {
    let mut names: Vec<_> = wire.headers.iter().map(|(name, _)| name.clone()).collect();
    names.retain(|name| name != "authorization");
    names.sort();
    names.dedup();
    names
}

fn meaning(wire: &Wire, names: &[String]) -> Meaning {
    let mut path: Vec<String> = Vec::new();
    for segment in wire.path.split('/').filter(|segment| !segment.is_empty()) {
        match segment {
            "." => {}
            ".." => drop(path.pop()),
            name => path.push(name.to_owned()),
        }
    }
    let mut parameters = parameters(&wire.query);
    parameters.retain(|(name, _)| name != b"X-Amz-Signature");
    parameters.sort_by_key(|(name, value)| (encode(name), encode(value)));
    let values = |name: &String| {
        let lines = wire.headers.iter().filter(|(known, _)| known == name);
        lines.map(|(_, value)| blanks(value)).collect()
    };
    Meaning {
        method: wire.method.clone(),
        ends_in_slash: wire.path.ends_with('/') && !path.is_empty(),
        path,
        parameters,
        headers: names.iter().map(|name| (name.clone(), values(name))).collect(),
        body: wire.body.clone(),
    }
}

impl Meaning {
    fn canonical(&self) -> String {
        let mut text = encode(self.method.as_bytes()) + "\n";
        for segment in &self.path {
            text.extend(["/", &encode(segment.as_bytes())]);
        }
        text += if self.path.is_empty() || self.ends_in_slash { "/\n" } else { "\n" };
        let parameters: Vec<_> = self
            .parameters
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        text += &(parameters.join("&") + "\n");
        for (name, values) in &self.headers {
            text.extend([name, ":", &values.join(","), "\n"]);
        }
        let names: Vec<_> = self.headers.iter().map(|(name, _)| &**name).collect();
        text + "\n" + &names.join(";") + "\n" + &hex(&Sha256::digest(&self.body))
    }
}

/// Reads a query: nothing is no parameter, and nothing between two `&` is one.
fn parameters(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let one = |text: &str| match text.find('=') {
        Some(at) => (decode(&text[..at]), decode(&text[at + 1..])),
        None => (decode(text), Vec::new()),
    };
    if query.is_empty() { Vec::new() } else { query.split('&').map(one).collect() }
}

fn decode(text: &str) -> Vec<u8> {
    let (text, mut at, mut bytes) = (text.as_bytes(), 0, Vec::new());
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        match (text[at], digits) {
            (b'%', Some(digits)) => {
                let digits = String::from_utf8_lossy(digits);
                bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
                at += 2;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(byte),
        }
        at += 1;
    }
    bytes
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.extend(["%", &format!("{byte:02X}")]),
        }
    }
    text
}

/// Trims a value, and leaves one blank of many.
fn blanks(value: &str) -> String {
    let mut text = String::new();
    for letter in value.chars() {
        let is_blank = [' ', '\t', '\n', '\r', '\u{c}'].contains(&letter);
        match (is_blank, text.ends_with(' ')) {
            (true, true) => {}
            (true, false) => text.push(' '),
            (false, _) => text.push(letter),
        }
    }
    text.trim_matches(' ').to_owned()
}

fn time() -> String {
    NOW.to_string().replace(['-', ':'], "")
}

fn scope() -> String {
    format!("{}/{}", &time()[..8], SCOPE.join("/"))
}

fn credential() -> String {
    format!("{ID}/{}", scope())
}

/// HMAC, as RFC 2104 has it.
fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::digest([&block.map(|byte| byte ^ 0x36)[..], text.as_bytes()].concat());
    Sha256::digest([&block.map(|byte| byte ^ 0x5c)[..], &inner[..]].concat()).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Changes one thing; the first byte says which, and none if it is a multiple of eight.
fn spoil(wire: &mut Wire, [what, place, letter]: [u8; 3]) {
    let (place, at) = (usize::from(place), usize::from(letter) % (wire.headers.len() + 1));
    match what % 8 {
        0 => {}
        1 => edit(&mut wire.path, place, letter),
        2 => edit(&mut wire.query, place, letter),
        3 => match wire.headers.get_mut(at) {
            Some((name, value)) => edit(if what & 8 == 0 { value } else { name }, place, letter),
            None => edit(&mut wire.method, place, letter),
        },
        4 if at < wire.headers.len() => drop(wire.headers.remove(at)),
        5 => {
            let name = ["x-amz-extra", "x-amz-date", "host", "my-header"][place % 4];
            wire.headers.insert(at, (name.to_owned(), char::from(letter).to_string()));
        }
        6 => {
            let count = wire.headers.len();
            wire.headers.swap(at % count, place % count);
        }
        _ if wire.body.is_empty() => wire.body.push(letter),
        _ => {
            let place = place % wire.body.len();
            wire.body[place] ^= letter;
        }
    }
}

/// Puts a letter in the place of another, in front of it, or takes it out.
fn edit(text: &mut String, place: usize, letter: u8) {
    let mut letters: Vec<char> = text.chars().collect();
    let place = place % (letters.len() + 1);
    let letter_is_new = letter & 0x80 != 0;
    let letter = char::from(letter & 0x7f);
    match letters.get_mut(place) {
        _ if letter_is_new => letters.insert(place, letter),
        Some(_) if letter == '\u{7f}' => drop(letters.remove(place)),
        Some(known) => *known = letter,
        None => letters.push(letter),
    }
    *text = letters.into_iter().collect();
}
