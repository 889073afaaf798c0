//! What a request says of its signature: in the `Authorization` header, or in its query.

use model::{Secret, Timestamp};

use super::canonical::{SIGNATURE_PARAMETER, digit, parameters};
use super::{ALGORITHM, SignatureFault, TERMINATOR, time};
use crate::api::ApiRequest;

/// LIMIT: the headers that may be signed. Clients sign four to ten, and each is looked up among all.
pub const SIGNED_HEADERS_MAX: usize = 64;

/// LIMIT: how long a URL may be valid, in seconds: a week, as EC2 has it.
pub const LIFETIME_SECONDS_MAX: u32 = 604_800;

/// LIMIT: access key ids and the names of a scope, in letters, as IAM has it for the former.
const NAME_LETTERS_MAX: usize = 128;

/// A signature as it was presented, of which nothing is known yet but that it is well formed and
/// over every header that it must be over.
#[derive(Debug)]
pub struct Presented<'a> {
    pub(super) request: &'a ApiRequest<'a>,
    pub(super) access_key_id: String,
    pub(super) scope: Scope,
    /// In the order signed, which is theirs sorted.
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: [u8; 32],
    pub(super) time: Timestamp,
    /// How long the signature is good, if it says so.
    pub(super) lifetime_seconds: Option<u32>,
    pub(super) session_token: Option<Secret<String>>,
}

/// What a signing key is good for.
#[derive(Debug)]
pub(super) struct Scope {
    /// Eight digits.
    pub(super) date: String,
    pub(super) region: String,
    pub(super) service: String,
}

/// The three parts that a header and a query both have, as texts.
struct Parts {
    credential: String,
    signed_headers: String,
    signature: String,
}

impl<'a> Presented<'a> {
    /// Reads what `request` says of its signature.
    ///
    /// # Errors
    ///
    /// - [`SignatureFault::NotSigned`] if it says nothing, [`SignatureFault::SignedTwice`] if it does
    ///   so in its header and its query.
    /// - [`SignatureFault::Missing`], [`SignatureFault::Malformed`] and [`SignatureFault::Repeated`]
    ///   for a part of it that is so.
    /// - [`SignatureFault::HeaderNotSigned`] if a header is left out that must not be.
    /// - [`SignatureFault::LifetimeOutOfRange`] for a URL that asks to be good for too long, or never.
    pub fn parse(request: &'a ApiRequest<'a>) -> Result<Self, SignatureFault> {
        let header = line(request, "authorization")?;
        let in_query = ["X-Amz-Algorithm", "X-Amz-Credential", SIGNATURE_PARAMETER];
        let is_in_query = parameters(request.query)
            .any(|(name, _)| in_query.iter().any(|known| *name == *known.as_bytes()));
        match (header, is_in_query) {
            (None, false) => Err(SignatureFault::NotSigned),
            (Some(_), true) => Err(SignatureFault::SignedTwice),
            (Some(header), false) => {
                let token = line(request, "x-amz-security-token")?.map(str::to_owned);
                Self::new(request, &Parts::of_header(header)?, time_of(request)?, None, token)
            }
            (None, true) => {
                let query = |name| parameter(request.query.as_bytes(), name);
                let lifetime = query("X-Amz-Expires")?.map(lifetime).transpose()?;
                let time = time::read_basic(&required(query, "X-Amz-Date")?)
                    .ok_or(SignatureFault::Malformed { part: "X-Amz-Date" })?;
                let token = query("X-Amz-Security-Token")?;
                Self::new(request, &Parts::of_query(query)?, time, lifetime, token)
            }
        }
    }

    fn new(
        request: &'a ApiRequest<'a>,
        parts: &Parts,
        time: Timestamp,
        lifetime_seconds: Option<u32>,
        session_token: Option<String>,
    ) -> Result<Self, SignatureFault> {
        let (access_key_id, scope) = credential(&parts.credential)?;
        let signed_headers = signed_headers(&parts.signed_headers)?;
        check_signed(request, &signed_headers)?;
        let signature =
            unhex(&parts.signature).ok_or(SignatureFault::Malformed { part: "Signature" })?;
        let session_token = match session_token {
            Some(token) => Some(token),
            None => security_token(request)?,
        }
        .map(Secret::new);
        Ok(Self {
            request,
            access_key_id,
            scope,
            signed_headers,
            signature,
            time,
            lifetime_seconds,
            session_token,
        })
    }

    /// Returns the id of the key that is said to have signed.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the signing name of the service that the request is said to be for.
    pub fn service(&self) -> &str {
        &self.scope.service
    }

    /// Returns the session token that is shown, if one is.
    pub fn session_token(&self) -> Option<&Secret<String>> {
        self.session_token.as_ref()
    }
}

impl Parts {
    /// Reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, in any order and spacing.
    fn of_header(value: &str) -> Result<Self, SignatureFault> {
        let malformed = SignatureFault::Malformed { part: "Authorization" };
        let rest = value.trim_ascii().strip_prefix(ALGORITHM);
        let rest = rest.filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
        let mut parts = [("Credential", None), ("SignedHeaders", None), ("Signature", None)];
        let rest = rest.ok_or_else(|| malformed.clone())?.trim_ascii();
        for part in rest.split(',').filter(|_| !rest.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| malformed.clone())?;
            let known = parts.iter_mut().find(|(known, _)| *known == name.trim_ascii());
            let (part, place) = known.ok_or_else(|| malformed.clone())?;
            if place.replace(value.trim_ascii().to_owned()).is_some() {
                return Err(SignatureFault::Repeated { part });
            }
        }
        let [credential, signed_headers, signature] =
            parts.map(|(part, value)| value.ok_or(SignatureFault::Missing { part }));
        Ok(Self { credential: credential?, signed_headers: signed_headers?, signature: signature? })
    }

    fn of_query(
        query: impl Fn(&'static str) -> Result<Option<String>, SignatureFault>,
    ) -> Result<Self, SignatureFault> {
        if required(&query, "X-Amz-Algorithm")? != ALGORITHM {
            return Err(SignatureFault::Malformed { part: "X-Amz-Algorithm" });
        }
        Ok(Self {
            credential: required(&query, "X-Amz-Credential")?,
            signed_headers: required(&query, "X-Amz-SignedHeaders")?,
            signature: required(&query, SIGNATURE_PARAMETER)?,
        })
    }
}

/// Returns the one header line called `name`, if there is one: of two, nobody knows which is meant.
fn line<'a>(
    request: &'a ApiRequest<'_>,
    name: &'static str,
) -> Result<Option<&'a str>, SignatureFault> {
    let mut lines = request.headers.iter().filter(|(known, _)| *known == name);
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(SignatureFault::Repeated { part: name }),
        (found, None) => Ok(found.map(|(_, value)| value.trim_ascii())),
    }
}

/// Returns the one parameter called `name` of a query or a form, if there is one.
fn parameter(sent: &[u8], name: &'static str) -> Result<Option<String>, SignatureFault> {
    let malformed = SignatureFault::Malformed { part: name };
    let Ok(sent) = str::from_utf8(sent) else {
        return Err(malformed);
    };
    let mut found = parameters(sent).filter(|(known, _)| **known == *name.as_bytes());
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(SignatureFault::Repeated { part: name }),
        (None, None) => Ok(None),
        (Some((_, value)), None) => {
            String::from_utf8(value.into_owned()).map(Some).map_err(|_| malformed)
        }
    }
}

fn required(
    query: impl Fn(&'static str) -> Result<Option<String>, SignatureFault>,
    part: &'static str,
) -> Result<String, SignatureFault> {
    query(part)?.ok_or(SignatureFault::Missing { part })
}

/// Reads the time that the headers give: `X-Amz-Date`, or else `Date`.
fn time_of(request: &ApiRequest<'_>) -> Result<Timestamp, SignatureFault> {
    if let Some(text) = line(request, "x-amz-date")? {
        return time::read_basic(text).ok_or(SignatureFault::Malformed { part: "X-Amz-Date" });
    }
    let text = line(request, "date")?.ok_or(SignatureFault::Missing { part: "X-Amz-Date" })?;
    time::read_date(text).ok_or(SignatureFault::Malformed { part: "Date" })
}

/// Finds the session token where EC2 clients of old put it: among the action's parameters.
fn security_token(request: &ApiRequest<'_>) -> Result<Option<String>, SignatureFault> {
    const NAME: &str = "SecurityToken";
    let content_type = request.header("content-type").unwrap_or_default();
    let in_query = parameter(request.query.as_bytes(), NAME)?;
    if in_query.is_some() || !content_type.starts_with("application/x-www-form-urlencoded") {
        return Ok(in_query);
    }
    parameter(request.body, NAME)
}

/// Reads `AKIA…/20261122/us-east-1/ec2/aws4_request`.
fn credential(text: &str) -> Result<(String, Scope), SignatureFault> {
    let is_name = |name: &str| {
        (1..=NAME_LETTERS_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let is_date = |date: &str| date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<_> = text.split('/').take(6).collect();
    match parts[..] {
        [id, date, region, service, TERMINATOR]
            if [id, region, service].into_iter().all(is_name) && is_date(date) =>
        {
            let [id, date, region, service] = [id, date, region, service].map(str::to_owned);
            Ok((id, Scope { date, region, service }))
        }
        _ => Err(SignatureFault::Malformed { part: "Credential" }),
    }
}

/// Reads `content-type;host;x-amz-date`: names of headers in lower case, sorted, each once.
fn signed_headers(text: &str) -> Result<Vec<String>, SignatureFault> {
    let is_name = |name: &str| {
        let is_letter = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
        };
        !name.is_empty() && name.bytes().all(is_letter)
    };
    let names: Vec<_> = text.split(';').take(SIGNED_HEADERS_MAX + 1).collect();
    let is_sorted = names.is_sorted_by(|one, next| one < next);
    if names.len() > SIGNED_HEADERS_MAX || !is_sorted || !names.iter().copied().all(is_name) {
        return Err(SignatureFault::Malformed { part: "SignedHeaders" });
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// EC2: the host must be signed, and every header of AWS's own that is there.
fn check_signed(request: &ApiRequest<'_>, signed: &[String]) -> Result<(), SignatureFault> {
    let own =
        request.headers.iter().map(|(name, _)| *name).filter(|name| name.starts_with("x-amz-"));
    let is_signed = |name: &str| signed.iter().any(|known| known == name);
    match std::iter::once("host").chain(own).find(|name| !is_signed(name)) {
        None => Ok(()),
        Some(name) => Err(SignatureFault::HeaderNotSigned { name: name.to_owned() }),
    }
}

fn lifetime(text: String) -> Result<u32, SignatureFault> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(seconds) if is_number && (1..=LIFETIME_SECONDS_MAX).contains(&seconds) => Ok(seconds),
        _ => Err(SignatureFault::LifetimeOutOfRange { text }),
    }
}

/// Reads 64 hexadecimal digits in lower case.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || text.bytes().any(|letter| letter.is_ascii_uppercase()) {
        return None;
    }
    for (byte, letters) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = letters else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
