//! May this request be answered at all? Endpoint, method, proxy headers, in EC2's order.
//!
//! The order is that of data plane, 1.12; what it leaves to later phases needs the token keys.

use model::{Instance, Switch, TokenTtl, TtlRefusal};

use crate::canonical::Path;
use crate::refusal::Refusal;
use crate::request::{Method, Request, TtlField};

/// How much is refused beyond what EC2 refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Equal to EC2, weaknesses included.
    #[default]
    Ec2,
    /// Refuses every request that betrays a proxy, and hosts that are not this service's.
    Strict,
}

/// The methods of a path, as the `Allow` header names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// `GET, HEAD, OPTIONS`
    Metadata,
    /// `OPTIONS, PUT`
    Token,
}

/// A request whose sender may ask and whose shape may be answered.
///
/// INVARIANT: only [`admit`] builds what is in here, so holding one proves that its checks passed.
#[derive(Debug)]
pub enum Admitted<'a> {
    /// A question after the methods of a path.
    Methods(Allow),
    /// A request for metadata.
    Read(ReadRequest<'a>),
    /// A request for a token.
    Token(TokenRequest<'a>),
}

/// An admitted request for metadata.
#[derive(Debug)]
pub struct ReadRequest<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) path: Option<Path<'a>>,
    pub(crate) token: Option<&'a [u8]>,
}

/// An admitted request for a session token.
#[derive(Debug)]
pub struct TokenRequest<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) ttl: TokenTtl,
}

/// Checks everything about a request that needs neither keys nor the metadata tree.
///
/// # Errors
///
/// - [`Refusal::EndpointDisabled`] whatever is asked, if the endpoint is off.
/// - [`Refusal::Proxied`], [`Refusal::ForeignHost`] with [`Profile::Strict`] only.
/// - [`Refusal::MethodNotAllowed`], [`Refusal::PutElsewhere`] for methods.
/// - [`Refusal::Forwarded`] for a token request, or one with a token, that names
///   `X-Forwarded-For`.
/// - [`Refusal::TtlRefused`] for the lifetime of a token request.
pub fn admit<'a>(
    request: &Request<'a>,
    instance: &'a Instance,
    profile: Profile,
) -> Result<Admitted<'a>, Refusal> {
    if instance.options.http_endpoint == Switch::Disabled {
        return Err(Refusal::EndpointDisabled);
    }
    if profile == Profile::Strict {
        refuse_proxies(request)?;
    }
    let path = Path::parse(request.target.path).ok();
    if path.as_ref().is_some_and(Path::is_token_path) {
        return admit_on_token_path(request, instance);
    }
    match request.method {
        Method::Get | Method::Head => {}
        Method::Options => return Ok(Admitted::Methods(Allow::Metadata)),
        Method::Other => return Err(Refusal::MethodNotAllowed(Allow::Metadata)),
        Method::Put => return Err(Refusal::PutElsewhere),
    }
    if request.token.is_some() && request.is_forwarded {
        return Err(Refusal::Forwarded);
    }
    Ok(Admitted::Read(ReadRequest { instance, path, token: request.token }))
}

fn admit_on_token_path<'a>(
    request: &Request<'a>,
    instance: &'a Instance,
) -> Result<Admitted<'a>, Refusal> {
    match request.method {
        Method::Put => {}
        Method::Options => return Ok(Admitted::Methods(Allow::Token)),
        Method::Get | Method::Head | Method::Other => {
            return Err(Refusal::MethodNotAllowed(Allow::Token));
        }
    }
    if request.is_forwarded {
        return Err(Refusal::Forwarded);
    }
    let ttl = match request.ttl {
        TtlField::Absent => Err(TtlRefusal::Absent),
        TtlField::Conflicting => Err(TtlRefusal::Conflicting),
        TtlField::Present(value) => TokenTtl::parse(value),
    };
    Ok(Admitted::Token(TokenRequest { instance, ttl: ttl.map_err(Refusal::TtlRefused)? }))
}

/// What EC2 lets pass and careful operators do not: any trace of a proxy, and names that a
/// rebinding DNS server could have given us.
fn refuse_proxies(request: &Request<'_>) -> Result<(), Refusal> {
    if request.is_proxied {
        return Err(Refusal::Proxied);
    }
    let hosts = [request.target.authority, request.host];
    if hosts.into_iter().flatten().all(is_our_host) { Ok(()) } else { Err(Refusal::ForeignHost) }
}

/// Whether an authority is an address literal or `localhost`: what no DNS server can point at us.
fn is_our_host(authority: &[u8]) -> bool {
    let Ok(authority) = std::str::from_utf8(authority) else {
        return false;
    };
    if authority.parse::<std::net::SocketAddr>().is_ok() {
        return true;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = authority.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::Ipv4Addr>().is_ok()
        || bare.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Parsed;

    fn admitted(head: &str, profile: Profile) -> Result<&'static str, Refusal> {
        let instance = Instance::default_instance();
        let text = format!("{head}\r\n\r\n");
        let Ok(Parsed::Complete(request, _)) = Request::parse(text.as_bytes()) else {
            panic!("{head}");
        };
        admit(&request, &instance, profile).map(|admitted| match admitted {
            Admitted::Methods(_) => "methods",
            Admitted::Read(_) => "read",
            Admitted::Token(_) => "token",
        })
    }

    #[test]
    fn strict_refuses_what_ec2_lets_pass() {
        for (line, refusal) in [
            ("Via: 1.1 tinyproxy", Refusal::Proxied),
            ("Forwarded: for=1.2.3.4", Refusal::Proxied),
            ("X-Forwarded-Proto: http", Refusal::Proxied),
            ("Host: attacker.example", Refusal::ForeignHost),
            ("Host: 169.254.169.254.attacker.example", Refusal::ForeignHost),
            ("Host: [::1", Refusal::ForeignHost),
            ("Host:", Refusal::ForeignHost),
        ] {
            let head = format!("GET / HTTP/1.1\r\n{line}");
            assert_eq!(admitted(&head, Profile::Ec2), Ok("read"), "{line}");
            assert_eq!(admitted(&head, Profile::Strict), Err(refusal), "{line}");
        }
        let absolute = "GET http://attacker.example/ HTTP/1.1";
        assert_eq!(admitted(absolute, Profile::Ec2), Ok("read"));
        assert_eq!(admitted(absolute, Profile::Strict), Err(Refusal::ForeignHost));
    }

    #[test]
    fn strict_serves_addresses() {
        for host in
            ["169.254.169.254", "127.0.0.1:1338", "[fd00:ec2::254]", "[::1]:80", "localhost:1338"]
        {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}");
            assert_eq!(admitted(&head, Profile::Strict), Ok("read"), "{host}");
        }
    }
}
