//! Requests and paths, read slowly and plainly: the judge of `metadata`'s reader.
//!
//! Written from the rules of the data plane (1.7 to 1.12), not from the code that it judges.

use std::net::{Ipv4Addr, Ipv6Addr};

use metadata::{Allow, Body, HttpVersion, Method, Profile, Refusal};
use model::{Instance, Switch, TtlRefusal};

/// The longest head.
const HEAD_BYTES_MAX: usize = 8192;

/// The most header lines.
const FIELDS_MAX: usize = 64;

/// What bytes amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A request head.
    Head(Head),
    /// More bytes are needed.
    Incomplete,
    /// No request, whatever follows.
    Refused,
}

/// A request head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many bytes it takes, blank line included.
    pub bytes: usize,
    /// The method as written.
    pub method: Vec<u8>,
    /// The authority of an absolute-form target.
    pub authority: Option<Vec<u8>>,
    /// Path and query.
    pub path: Vec<u8>,
    /// The digit behind `HTTP/1.`.
    pub minor: u8,
    /// Name in lower case, and value, of each header line.
    pub fields: Vec<(String, Vec<u8>)>,
}

/// Reads the head at the start of `bytes`.
pub fn read(bytes: &[u8]) -> Reading {
    let mut blank = 0;
    while bytes[blank..].starts_with(b"\r\n") {
        blank += 2;
    }
    let end =
        bytes[blank..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| blank + at + 4);
    let seen = &bytes[..end.unwrap_or(bytes.len())];
    if seen.len() > HEAD_BYTES_MAX || has_bare_line_feed(seen) {
        return Reading::Refused;
    }
    match end {
        None => Reading::Incomplete,
        Some(end) => {
            read_lines(&bytes[blank..end - 4], end).map_or(Reading::Refused, Reading::Head)
        }
    }
}

fn has_bare_line_feed(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r'))
}

fn read_lines(text: &[u8], bytes: usize) -> Option<Head> {
    let mut lines = split_lines(text).into_iter();
    let request_line = lines.next()?;
    let words: Vec<_> = request_line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return None;
    };
    let minor = match version {
        b"HTTP/1.0" => 0,
        b"HTTP/1.1" => 1,
        _ => return None,
    };
    let is_visible = |byte: &u8| *byte > 0x20 && *byte != 0x7f;
    if !is_name(method) || !target.iter().all(is_visible) || std::str::from_utf8(target).is_err() {
        return None;
    }
    let (authority, path) = split_target(target)?;
    let fields = lines.map(read_field).collect::<Option<Vec<_>>>()?;
    let head = Head { bytes, method: method.to_vec(), authority, path, minor, fields };
    let hosts = head.all("host").len();
    (head.fields.len() <= FIELDS_MAX && hosts <= 1 && head.body().is_some()).then_some(head)
}

fn split_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..at]);
        rest = &rest[at + 2..];
    }
    lines.push(rest);
    lines
}

/// A token of RFC 9110, 5.6.2.
fn is_name(text: &[u8]) -> bool {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !text.is_empty() && text.iter().all(is_plain)
}

fn split_target(target: &[u8]) -> Option<(Option<Vec<u8>>, Vec<u8>)> {
    if target.starts_with(b"/") {
        return Some((None, target.to_vec()));
    }
    let is_http = target.len() > 7 && target[..7].eq_ignore_ascii_case(b"http://");
    let rest = is_http.then(|| &target[7..])?;
    let end = rest.iter().position(|b| *b == b'/' || *b == b'?');
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    (!authority.is_empty()).then(|| (Some(authority.to_vec()), path.to_vec()))
}

fn read_field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
    if !is_name(name) || !value.iter().all(is_text) {
        return None;
    }
    let is_blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let start = value.iter().position(|b| !is_blank(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !is_blank(b)).map_or(start, |at| at + 1);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Some((name, value[start..end].to_vec()))
}

/// What a request is to come to, as far as neither keys nor the tree decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Tells the methods of the path.
    Methods(Allow),
    /// Reads this path; none if it leads nowhere.
    Read(Option<Path>),
    /// Is refused.
    Refused(Refusal),
    /// Gets a token of this lifetime.
    Token(u32),
}

impl Head {
    /// Returns the values of all header lines of a name.
    pub fn all(&self, name: &str) -> Vec<&[u8]> {
        let of_name = self.fields.iter().filter(|(known, _)| known == name);
        of_name.map(|(_, value)| &**value).collect()
    }

    /// Returns the method.
    pub fn known_method(&self) -> Method {
        match &self.method[..] {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"OPTIONS" => Method::Options,
            b"PUT" => Method::Put,
            _ => Method::Other,
        }
    }

    /// Returns the version.
    pub fn version(&self) -> HttpVersion {
        match self.minor {
            0 => HttpVersion::Http10,
            _ => HttpVersion::Http11,
        }
    }

    /// Returns what is said of a body; none if it can be read in two ways or is not allowed.
    pub fn body(&self) -> Option<Body> {
        let lengths = self.all("content-length");
        let lengths: Vec<u64> = lengths.into_iter().map(number).collect::<Option<_>>()?;
        if lengths.iter().any(|length| *length != lengths[0]) {
            return None;
        }
        match (&self.all("transfer-encoding")[..], lengths.first()) {
            ([], None | Some(0)) => Some(Body::Absent),
            ([], Some(bytes)) => Some(Body::Sized(*bytes)),
            ([coding], None) if coding.eq_ignore_ascii_case(b"chunked") => {
                (self.known_method() == Method::Put).then_some(Body::Chunked)
            }
            _ => None,
        }
    }

    /// Whether the sender waits for `100 Continue`.
    pub fn expects_continue(&self) -> bool {
        let all = self.all("expect");
        all.iter().any(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }

    /// Returns the token that decides.
    pub fn token(&self) -> Option<&[u8]> {
        self.all("x-aws-ec2-metadata-token").last().copied()
    }

    /// Judges the request up to where keys or the tree are needed.
    pub fn verdict(&self, instance: &Instance, profile: Profile) -> Verdict {
        if instance.options.http_endpoint == Switch::Disabled {
            return Verdict::Refused(Refusal::EndpointDisabled);
        }
        if profile == Profile::Strict && self.is_proxied() {
            return Verdict::Refused(Refusal::Proxied);
        }
        if profile == Profile::Strict && self.hosts().any(|host| !is_ours(host)) {
            return Verdict::Refused(Refusal::ForeignHost);
        }
        let path = Path::read(&self.path);
        let is_forwarded = !self.all("x-forwarded-for").is_empty();
        let is_token_path = path.as_ref().is_some_and(Path::is_token_path);
        match (self.known_method(), is_token_path) {
            (Method::Put, true) if is_forwarded => Verdict::Refused(Refusal::Forwarded),
            (Method::Put, true) => match self.lifetime() {
                Ok(seconds) => Verdict::Token(seconds),
                Err(refusal) => Verdict::Refused(Refusal::TtlRefused(refusal)),
            },
            (Method::Options, true) => Verdict::Methods(Allow::Token),
            (_, true) => Verdict::Refused(Refusal::MethodNotAllowed(Allow::Token)),
            (Method::Put, false) => Verdict::Refused(Refusal::PutElsewhere),
            (Method::Options, false) => Verdict::Methods(Allow::Metadata),
            (Method::Other, false) => Verdict::Refused(Refusal::MethodNotAllowed(Allow::Metadata)),
            (Method::Get | Method::Head, false) if is_forwarded && self.token().is_some() => {
                Verdict::Refused(Refusal::Forwarded)
            }
            (Method::Get | Method::Head, false) => Verdict::Read(path),
        }
    }

    fn is_proxied(&self) -> bool {
        self.fields.iter().any(|(name, _)| {
            let after = name.strip_prefix("x-forwarded-");
            let is_known = ["via", "forwarded", "x-forwarded"].contains(&&**name);
            is_known || after.is_some_and(|rest| !rest.is_empty())
        })
    }

    /// Returns every host that the request names.
    pub fn hosts(&self) -> impl Iterator<Item = &[u8]> {
        self.authority.as_deref().into_iter().chain(self.all("host"))
    }

    fn lifetime(&self) -> Result<u32, TtlRefusal> {
        match &self.all("x-aws-ec2-metadata-token-ttl-seconds")[..] {
            [] => Err(TtlRefusal::Absent),
            [first, rest @ ..] if rest.iter().all(|other| other == first) => lifetime(first),
            _ => Err(TtlRefusal::Conflicting),
        }
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| is_number)?;
    text.parse().ok()
}

/// Reads a token's lifetime as a number of any size: by its digits, without arithmetic.
///
/// # Errors
///
/// [`TtlRefusal`]
pub fn lifetime(text: &[u8]) -> Result<u32, TtlRefusal> {
    let text = std::str::from_utf8(text).unwrap_or("not a number");
    if text.is_empty() || text.contains(|c: char| !c.is_ascii_digit()) {
        return Err(TtlRefusal::NotANumber);
    }
    let digits = text.trim_start_matches('0');
    // Of two numbers without leading zeros, the longer is greater; of equal length, the one that
    // sorts later.
    match digits.len() {
        1..=5 if digits.len() < 5 || digits <= "21600" => {
            digits.parse().map_err(|_| TtlRefusal::OutOfRange)
        }
        _ => Err(TtlRefusal::OutOfRange),
    }
}

/// Whether a host is an address or `localhost`, with or without a port.
pub fn is_ours(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let (name, port) = match (host.strip_prefix('['), host.rfind(']')) {
        (Some(_), Some(end)) => (&host[1..end], &host[end + 1..]),
        (Some(_), None) => return false,
        (None, _) => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_name = if host.starts_with('[') {
        name.parse::<Ipv6Addr>().is_ok()
    } else {
        name.parse::<Ipv4Addr>().is_ok() || name.eq_ignore_ascii_case("localhost")
    };
    let port_number = port.strip_prefix(':').and_then(|digits| number(digits.as_bytes()));
    is_name && (port.is_empty() || port_number.is_some_and(|number| number <= 65_535))
}

/// A path in the form that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The names in it.
    pub names: Vec<String>,
    /// Whether a slash follows the last one.
    pub ends_in_slash: bool,
}

impl Path {
    /// Reads a path, up to a question mark; none if it leads nowhere.
    pub fn read(target: &[u8]) -> Option<Self> {
        let end = target.iter().position(|byte| *byte == b'?');
        let mut rest = &target[..end.unwrap_or(target.len())];
        let mut decoded = Vec::new();
        while let Some((&first, behind)) = rest.split_first() {
            rest = behind;
            if first == b'%' {
                let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
                if digits.contains(|digit: char| !digit.is_ascii_hexdigit()) {
                    return None;
                }
                decoded.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &behind[2..];
            } else {
                decoded.push(first);
            }
        }
        let decoded = String::from_utf8(decoded).ok()?;
        let names = decoded.split('/').filter(|name| !name.is_empty());
        (!decoded.contains(|c: char| c.is_ascii_control())).then(|| Self {
            names: names.map(str::to_owned).collect(),
            ends_in_slash: decoded.ends_with('/'),
        })
    }

    /// Whether tokens are granted here.
    pub fn is_token_path(&self) -> bool {
        self.names == ["latest", "api", "token"] && !self.ends_in_slash
    }
}

/// Whether a host is neither clearly ours nor clearly a name: an address, or what looks like one,
/// with a strange port or scope, about which the two readers may differ.
pub fn is_odd(host: &[u8]) -> bool {
    let of_address = |b: &u8| b.is_ascii_digit() || b".:".contains(b);
    let in_brackets = |b: &u8| b.is_ascii_hexdigit() || b".:%".contains(b);
    let is_local = host.len() >= 9 && host[..9].eq_ignore_ascii_case(b"localhost");
    let end = host.iter().position(|byte| *byte == b']');
    let looks_like_address = match (host.first(), end) {
        (Some(b'['), Some(end)) => {
            host[1..end].iter().all(in_brackets) && host[end + 1..].iter().all(of_address)
        }
        _ if is_local => host[9..].starts_with(b":") && host[9..].iter().all(of_address),
        _ => !host.is_empty() && host.iter().all(of_address),
    };
    looks_like_address && !is_ours(host)
}
