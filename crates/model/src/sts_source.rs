//! What it takes to assume a role elsewhere, at an STS endpoint.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::serial::written_as_text;
use crate::{AccessKey, Region};

/// A role that is assumed at an STS endpoint, for each instance that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StsSource {
    /// The role that is assumed.
    pub role_arn: RoleArn,
    /// The region that requests are signed for.
    pub region: Region,
    /// Where STS is; without it, where AWS has it in the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// How long the credentials are asked to last.
    #[serde(default)]
    pub duration_seconds: SessionSeconds,
    /// What the role's trust policy may ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalId>,
    /// Who assumes it.
    pub base: BaseCredentials,
}

/// Who assumes a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BaseCredentials {
    /// Whoever a program that prints AWS `credential_process` JSON says.
    Process {
        /// The program and its arguments; no shell reads it.
        command: Vec<String>,
    },
    /// Whoever has this key.
    Static(AccessKey),
    /// Whoever the token in a file says.
    WebIdentity {
        /// The file, read at every use.
        token_file: String,
    },
}

impl StsSource {
    /// Returns where STS is.
    pub fn endpoint(&self) -> Endpoint {
        let of_region = || Endpoint {
            host: format!("sts.{}.{}", self.region, self.region.service_domain()).into(),
            is_tls: true,
            port: HTTPS_PORT,
        };
        self.endpoint.clone().unwrap_or_else(of_region)
    }
}

/// The ARN of an IAM role, such as `arn:aws:iam::123456789012:role/app`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleArn(Box<str>);

impl RoleArn {
    /// LIMIT: STS takes no longer one.
    pub const BYTES_MAX: usize = 2048;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleArn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_arn = || {
            let (partition, rest) = text.strip_prefix("arn:")?.split_once(":iam::")?;
            let (account, role) = rest.split_once(":role/")?;
            let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
            let is_partition =
                partition.starts_with("aws") && partition.bytes().all(|b| b.is_ascii_graphic());
            let is_role = !role.is_empty() && role.bytes().all(|b| b.is_ascii_graphic());
            Some(is_account && is_partition && !partition.contains(':') && is_role)
        };
        if text.len() <= Self::BYTES_MAX && is_arn() == Some(true) {
            return Ok(Self(text.into()));
        }
        let text = crate::id::quoted(text);
        Err(format!(
            "`{text}` is not the ARN of a role: use one such as arn:aws:iam::123456789012:role/app"
        ))
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

written_as_text!(RoleArn);

/// How long the credentials of an assumed role last: 900 to 43200 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SessionSeconds(u32);

impl SessionSeconds {
    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// STS: an hour where nothing is asked for.
impl Default for SessionSeconds {
    fn default() -> Self {
        Self(3600)
    }
}

impl TryFrom<u32> for SessionSeconds {
    type Error = String;

    fn try_from(seconds: u32) -> Result<Self, String> {
        if (900..=43_200).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(format!("{seconds} is not a session's duration: use 900 to 43200 seconds"))
        }
    }
}

impl From<SessionSeconds> for u32 {
    fn from(seconds: SessionSeconds) -> Self {
        seconds.0
    }
}

/// What the trust policy of a role may ask for: 2 to 1224 letters, digits and `_+=,.@:/-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalId(Box<str>);

impl ExternalId {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExternalId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
        if (2..=1224).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            let text = crate::id::quoted(text);
            Err(format!(
                "`{text}` is not an external id: use 2 to 1224 letters, digits and `_+=,.@:/-`"
            ))
        }
    }
}

impl fmt::Display for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

written_as_text!(ExternalId);

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Where a service is: `https://HOST[:PORT]`, or `http://` of this machine itself.
///
/// INVARIANT: without TLS, the host is a loopback address or `localhost`. What is sent to STS, and what
/// comes back, are secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: Box<str>,
    is_tls: bool,
    port: u16,
}

impl Endpoint {
    /// Returns the host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns whether it speaks TLS. If not, it is at a loopback address.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns what a `Host` header says: with the port, unless that is the default one.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.to_string()
        };
        let default_port = if self.is_tls { HTTPS_PORT } else { HTTP_PORT };
        if self.port == default_port { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let quoted = crate::id::quoted(text);
        let (is_tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => (true, ""),
        };
        let default_port = if is_tls { HTTPS_PORT } else { HTTP_PORT };
        let Some((host, port)) =
            host_and_port(rest.strip_suffix('/').unwrap_or(rest), default_port)
        else {
            return Err(format!(
                "`{quoted}` is not an endpoint: use https://HOST or https://HOST:PORT, without a path"
            ));
        };
        let address = host.parse::<IpAddr>();
        let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        if !is_tls && !is_here {
            return Err(format!(
                "`{quoted}` is without TLS, and not on this machine: use https://, or http:// with a \
                 loopback address"
            ));
        }
        Ok(Self { host: host.into(), is_tls, port })
    }
}

/// Reads `HOST[:PORT]`, with an IPv6 address in brackets.
fn host_and_port(text: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let is_name = (1..=253).contains(&host.len()) && host.bytes().all(plain);
        (is_name.then_some(host)?, port)
    };
    if port.is_empty() {
        return Some((host, default_port));
    }
    let digits = port.strip_prefix(':')?;
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| is_number && *port != 0)?;
    Some((host, port))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        f.pad(&format!("{scheme}://{}", self.authority()))
    }
}

written_as_text!(Endpoint);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_in_one_way() {
        for (text, written, host) in [
            ("https://sts.example.com", "https://sts.example.com", "sts.example.com"),
            ("https://sts.example.com:443/", "https://sts.example.com", "sts.example.com"),
            ("https://10.0.0.1:8443", "https://10.0.0.1:8443", "10.0.0.1"),
            ("https://[fd00::1]:8443", "https://[fd00::1]:8443", "fd00::1"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000", "127.0.0.1"),
            ("http://localhost", "http://localhost", "localhost"),
            ("http://[::1]:5000/", "http://[::1]:5000", "::1"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((&*endpoint.to_string(), endpoint.host()), (written, host), "{text}");
        }
    }

    #[test]
    fn what_is_no_endpoint_or_not_safe_is_refused() {
        for (text, reason) in [
            ("", "not an endpoint"),
            ("sts.example.com", "not an endpoint"),
            ("ftp://sts.example.com", "not an endpoint"),
            ("https://", "not an endpoint"),
            ("https://sts.example.com/path", "not an endpoint"),
            ("https://user@sts.example.com", "not an endpoint"),
            ("https://sts.example.com:0", "not an endpoint"),
            ("https://sts.example.com:99999", "not an endpoint"),
            ("https://sts.example.com:+1", "not an endpoint"),
            ("https://[fd00::1", "not an endpoint"),
            ("https://[fd00::1]8443", "not an endpoint"),
            ("https://fd00::1", "not an endpoint"),
            ("http://sts.example.com", "without TLS"),
            ("http://10.0.0.1", "without TLS"),
            ("http://127.0.0.1.example.com", "without TLS"),
        ] {
            let refusal = text.parse::<Endpoint>().unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
        }
    }

    #[test]
    fn arns_durations_and_external_ids_are_checked() {
        for good in
            ["arn:aws:iam::123456789012:role/app", "arn:aws-cn:iam::123456789012:role/a/b/app"]
        {
            assert_eq!(good.parse::<RoleArn>().unwrap().as_str(), good);
        }
        for bad in [
            "app",
            "arn:aws:iam::123456789012:user/app",
            "arn:aws:iam::12345678901:role/app",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:sts:x:iam::123456789012:role/app",
        ] {
            assert!(bad.parse::<RoleArn>().is_err(), "{bad}");
        }
        assert!([900, 43_200].into_iter().all(|good| SessionSeconds::try_from(good).is_ok()));
        assert!([0, 899, 43_201].into_iter().all(|bad| SessionSeconds::try_from(bad).is_err()));
        assert!("a:b/c".parse::<ExternalId>().is_ok());
        assert!(
            ["a", "a b", &*"x".repeat(1225)].iter().all(|bad| bad.parse::<ExternalId>().is_err())
        );
    }

    #[test]
    fn sts_is_where_aws_has_it_in_the_region() {
        let mut source: StsSource = serde_json::from_str(
            r#"{"role_arn":"arn:aws:iam::123456789012:role/app","region":"eu-west-1",
            "base":{"source":"web-identity","token_file":"/run/token"}}"#,
        )
        .unwrap();
        assert_eq!(source.endpoint().to_string(), "https://sts.eu-west-1.amazonaws.com");
        assert_eq!(source.duration_seconds.get(), 3600);
        source.region = "cn-north-1".parse().unwrap();
        assert_eq!(source.endpoint().to_string(), "https://sts.cn-north-1.amazonaws.com.cn");
    }
}
