//! The other side: a client that signs, written from the specification, and with no code of the side
//! that verifies.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::api::ApiRequest;

/// A request on the wire.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What a client means to send, before anything is encoded.
#[derive(Clone, Debug)]
pub(super) struct Meant {
    pub(super) method: &'static str,
    /// What stands between the slashes on the wire.
    pub(super) segments: Vec<String>,
    pub(super) parameters: Vec<(String, String)>,
    /// In any order; without the host, the date and the session token.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Who signs, and when.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) id: &'static str,
    pub(super) secret: &'static str,
    pub(super) token: Option<&'static str>,
    /// In the basic form.
    pub(super) time: String,
    pub(super) region: &'static str,
    pub(super) service: &'static str,
}

impl Sent {
    pub(super) fn request(&self) -> ApiRequest<'_> {
        ApiRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: self.headers.iter().map(|(name, value)| (&**name, &**value)).collect(),
            body: &self.body,
            source: None,
        }
    }

    /// The value of a header that is there.
    pub(super) fn header(&mut self, name: &str) -> &mut String {
        self.headers.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value).unwrap()
    }
}

impl Signer {
    /// Signs in the `Authorization` header.
    pub(super) fn sign(&self, meant: &Meant) -> Sent {
        let mut headers = meant.headers.clone();
        headers.push(("host".to_owned(), "127.0.0.1:8099".to_owned()));
        headers.push(("x-amz-date".to_owned(), self.time.clone()));
        if let Some(token) = self.token {
            headers.push(("x-amz-security-token".to_owned(), token.to_owned()));
        }
        let query = query(&meant.parameters);
        let signature = self.signature(meant, &query, &headers);
        let (credential, names) = (self.credential(), names(&headers));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        );
        headers.push(("authorization".to_owned(), authorization));
        sent(meant, query, headers)
    }

    /// Signs a URL that is good for `lifetime` seconds, if it says so.
    pub(super) fn presign(&self, meant: &Meant, lifetime: Option<&str>) -> Sent {
        let mut headers = meant.headers.clone();
        headers.push(("host".to_owned(), "127.0.0.1:8099".to_owned()));
        let mut parameters = meant.parameters.clone();
        let mut add =
            |name: &str, value: &str| parameters.push((name.to_owned(), value.to_owned()));
        add("X-Amz-Algorithm", "AWS4-HMAC-SHA256");
        add("X-Amz-Credential", &self.credential());
        add("X-Amz-Date", &self.time);
        if let Some(lifetime) = lifetime {
            add("X-Amz-Expires", lifetime);
        }
        add("X-Amz-SignedHeaders", &names(&headers));
        if let Some(token) = self.token {
            add("X-Amz-Security-Token", token);
        }
        let query = query(&parameters);
        let signature = self.signature(meant, &query, &headers);
        sent(meant, format!("{query}&X-Amz-Signature={signature}"), headers)
    }

    fn credential(&self) -> String {
        format!("{}/{}", self.id, self.scope())
    }

    fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", &self.time[..8], self.region, self.service)
    }

    fn signature(&self, meant: &Meant, query: &str, headers: &[(String, String)]) -> String {
        let path: String =
            meant.segments.iter().map(|name| "/".to_owned() + &encode(name)).collect();
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let mut lines: Vec<_> = headers.iter().map(|(name, value)| (name, blanks(value))).collect();
        lines.sort();
        let lines: Vec<_> = lines.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request =
            [meant.method, &path, query, &lines.concat(), &names(headers), &hash(&meant.body)];
        let text = ["AWS4-HMAC-SHA256", &self.time, &self.scope(), &hash(request.join("\n"))];
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        for part in self.scope().split('/') {
            key = mac(&key, part);
        }
        write(&mac(&key, &text.join("\n")))
    }
}

fn sent(meant: &Meant, query: String, headers: Vec<(String, String)>) -> Sent {
    let (method, body) = (meant.method.to_owned(), meant.body.clone());
    Sent { method, path: format!("/{}", meant.segments.join("/")), query, headers, body }
}

fn names(headers: &[(String, String)]) -> String {
    let mut names: Vec<_> = headers.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    names.join(";")
}

fn query(parameters: &[(String, String)]) -> String {
    let mut sorted: Vec<_> =
        parameters.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    sorted.sort();
    let written: Vec<_> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    written.join("&")
}

/// Trims, and leaves one blank of many.
fn blanks(value: &str) -> String {
    let mut text = value.trim().to_owned();
    while text.contains("  ") {
        text = text.replace("  ", " ");
    }
    text
}

fn encode(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(letter).collect()
}

fn hash(bytes: impl AsRef<[u8]>) -> String {
    write(&Sha256::digest(bytes))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn write(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}
