//! Variables that lead SDKs and CLIs elsewhere, or keep them from asking at all.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ureq::http::Uri;

use crate::doctor::facts::{EC2_V4, EC2_V6, Endpoint, Facts, Served, Server, ToldBy};
use crate::doctor::finding::{Check, Finding, Severity};

const AGREE: Check = Check {
    id: "DOC-12",
    name: "SDK variables",
    why: "AWS SDKs and CLIs go by these variables, each in its own way where they make no sense",
    derivation: "AWS_EC2_METADATA_* in this environment",
};

const UNSHADOWED: Check = Check {
    id: "DOC-13",
    name: "credentials",
    why: "SDKs and CLIs take the first credentials they find, and look at the instance's role last: \
          with these variables they never get there",
    derivation: "the names of AWS_* variables in this environment",
};

/// Names the service's URL.
pub(crate) const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
/// Says which of EC2's two addresses it is at.
const MODE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";

/// Variables that name credentials which come before an instance's role.
const SHADOWS: [&str; 4] = [
    ACCESS_KEY_ID,
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// Where programs with these variables look for the service. `flag` is what the command line says;
/// `served` a server that runs in the same network namespace.
///
/// # Errors
///
/// In words, if `flag` is not the URL of a service.
pub(crate) fn endpoint(
    flag: Option<&str>,
    variables: &BTreeMap<String, String>,
    served: Option<&Served>,
) -> Result<Endpoint, String> {
    if let Some(url) = flag {
        let address = address_of(url)?;
        return Ok(Endpoint { url: trimmed(url), address, told_by: ToldBy::Flag });
    }
    let set = |name| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    // One that makes no sense is told of, and no guide to anything.
    if let Some((url, Ok(address))) = set(ENDPOINT).map(|url| (url, address_of(url))) {
        return Ok(Endpoint { url: trimmed(url), address, told_by: ToldBy::Variable });
    }
    let is_ipv6 = set(MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
    let (url, address) = if is_ipv6 {
        (format!("http://[{EC2_V6}]"), SocketAddr::from((EC2_V6, 80)))
    } else {
        (format!("http://{EC2_V4}"), SocketAddr::from((EC2_V4, 80)))
    };
    let is_served = served.is_none_or(|served| {
        let diagnosis = &served.diagnosis;
        let at = |own: &SocketAddr| own.port() == 80 && (own.ip() == address.ip());
        diagnosis.listen.iter().chain(&diagnosis.shared_listen).any(at)
    });
    let told_by = if is_served { ToldBy::Default } else { ToldBy::Nobody };
    Ok(Endpoint { url, address: Some(address), told_by })
}

fn trimmed(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

/// Reads the URL of a service. Returns its address, if its host is one.
fn address_of(url: &str) -> Result<Option<SocketAddr>, String> {
    let shown: String = url.chars().take(80).flat_map(char::escape_debug).collect();
    let refused = |why: &str| format!("`{shown}` {why}: use http://169.254.169.254");
    let uri: Uri = url.parse().map_err(|_| refused("is no URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some(_) => return Err(refused("is not a URL of plain HTTP, as metadata is")),
        None => return Err(refused("does not begin with http://")),
    }
    let host = uri.host().ok_or_else(|| refused("names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(80);
    Ok(host.parse().ok().map(|ip| SocketAddr::new(ip, port)))
}

/// Looks at whether the variables make sense, one by one and together.
pub(crate) fn agree(facts: &Facts) -> Vec<Finding> {
    let Some(machine) = &facts.machine else { return Vec::new() };
    let set = |name: &str| {
        machine.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    };
    let mut findings = Vec::new();
    if set(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let what = format!("{DISABLED} is set: AWS SDKs and CLIs do not ask for metadata at all");
        let found = AGREE.fail(Severity::Medium, DISABLED, what);
        findings.push(found.mend(format!("unset {DISABLED}")));
    }
    let endpoint = set(ENDPOINT).map(address_of);
    if let Some(Err(refusal)) = &endpoint {
        let found = AGREE.fail(Severity::High, ENDPOINT, format!("{ENDPOINT}: {refusal}"));
        findings.push(found.mend(format!("eval \"$(imds env)\", or:\n  unset {ENDPOINT}")));
    }
    let endpoint = endpoint.and_then(|read| read.ok().flatten());
    findings.extend(set(MODE).and_then(|mode| of_mode(mode, endpoint)));
    if findings.is_empty() {
        let what = match (set(ENDPOINT), set(MODE)) {
            (None, None) => "no variable leads SDKs elsewhere".to_owned(),
            (Some(_), _) => format!("{ENDPOINT} leads SDKs to {}", machine.endpoint.url),
            (None, Some(_)) => format!("{MODE} leads SDKs to {}", machine.endpoint.url),
        };
        findings.push(AGREE.pass("environment", what));
    }
    findings
}

/// Looks at the mode; `endpoint` is the address that the other variable names, if any.
fn of_mode(mode: &str, endpoint: Option<SocketAddr>) -> Option<Finding> {
    let is_ipv6 = match mode.to_ascii_lowercase().as_str() {
        "ipv4" => false,
        "ipv6" => true,
        _ => {
            let shown: String = mode.chars().take(80).flat_map(char::escape_debug).collect();
            let what = format!("{MODE} is `{shown}`: SDKs know IPv4 and IPv6, and stop at others");
            let found = AGREE.fail(Severity::Medium, MODE, what);
            return Some(found.mend(format!("unset {MODE}")));
        }
    };
    let address = endpoint?;
    if address.is_ipv6() == is_ipv6 {
        return None;
    }
    let what =
        format!("{MODE} says {mode}, and {ENDPOINT} names {}: SDKs go by the latter", address.ip());
    Some(AGREE.fail(Severity::Low, MODE, what).mend(format!("unset {MODE}")))
}

/// Looks at credentials that come before those of the instance's role.
pub(crate) fn unshadowed(facts: &Facts) -> Vec<Finding> {
    let Some(machine) = &facts.machine else { return Vec::new() };
    let set = |name: &str| {
        machine.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    };
    let mut shadows: Vec<_> = SHADOWS.into_iter().filter(|name| set(name).is_some()).collect();
    let administrator = match &facts.server {
        Server::Served(served) => served.access_key_id.as_deref(),
        Server::Absent { .. } | Server::Closed { .. } | Server::Silent { .. } => None,
    };
    let is_administrator = administrator.is_some() && set(ACCESS_KEY_ID) == administrator;
    // `imds env` set it, so that this shell can manage the server.
    shadows.retain(|name| !(is_administrator && *name == ACCESS_KEY_ID));
    let found = match shadows.as_slice() {
        [] if is_administrator => UNSHADOWED.pass(
            "environment",
            "programs of this shell act as this server's administrator (imds env), not with the \
             instance's role",
        ),
        [] => UNSHADOWED.pass("environment", "no variable comes before the instance's role"),
        shadows => {
            let what = format!("{} comes before the instance's role", shadows.join(", "));
            let found = UNSHADOWED.fail(Severity::Low, "environment", what);
            found.mend(format!(
                "where the role is meant:\n  unset {} AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN",
                shadows.join(" ")
            ))
        }
    };
    vec![found]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Status;
    use crate::doctor::made_up::{self, only, variables};

    fn chosen(flag: Option<&str>, set: &[(&str, &str)], listen: Option<&str>) -> Endpoint {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let facts = made_up::served(|served| {
            served.diagnosis.listen = listen.map(|own| own.parse().unwrap()).into_iter().collect();
        });
        let Server::Served(served) = facts.server else { panic!("no server") };
        endpoint(flag, &set.collect(), listen.is_some().then_some(&*served)).unwrap()
    }

    #[test]
    fn programs_look_where_they_are_told_to() {
        let at = "http://[::1]:1338/";
        let found = chosen(Some(at), &[(ENDPOINT, "http://10.0.0.1")], None);
        assert_eq!((found.url.as_str(), found.told_by), ("http://[::1]:1338", ToldBy::Flag));
        assert_eq!(found.address, "[::1]:1338".parse().ok());
        let found = chosen(None, &[(ENDPOINT, "http://imds.internal/")], None);
        assert_eq!((found.address, found.told_by), (None, ToldBy::Variable));
        let found = chosen(None, &[], None);
        assert_eq!(
            (found.url.as_str(), found.told_by),
            ("http://169.254.169.254", ToldBy::Default)
        );
        assert_eq!(chosen(None, &[(MODE, "IPv6")], None).url, "http://[fd00:ec2::254]");
        assert_eq!(chosen(None, &[(ENDPOINT, "nonsense")], None).told_by, ToldBy::Default);
    }

    #[test]
    fn nobody_is_told_of_a_server_at_an_address_of_its_own() {
        assert_eq!(chosen(None, &[], Some("127.0.0.1:1338")).told_by, ToldBy::Nobody);
        assert_eq!(chosen(None, &[], Some("169.254.169.254:80")).told_by, ToldBy::Default);
    }

    #[test]
    fn a_flag_that_is_no_url_is_refused() {
        for url in ["127.0.0.1:1338", "https://169.254.169.254", "", "http://", "a b"] {
            let refused = endpoint(Some(url), &BTreeMap::new(), None);
            assert!(refused.unwrap_err().contains("use http://"), "{url}");
        }
    }

    #[test]
    fn variables_that_make_sense_pass() {
        assert_eq!(only(agree(&variables(&[]))).status, Status::Pass);
        let set = [(ENDPOINT, "http://[fd00:ec2::254]"), (MODE, "ipv6"), (DISABLED, "false")];
        assert_eq!(only(agree(&variables(&set))).status, Status::Pass);
    }

    #[test]
    fn each_mistake_in_them_is_told_of() {
        let found = only(agree(&variables(&[(DISABLED, "True")])));
        assert_eq!(found.mend.as_deref(), Some("unset AWS_EC2_METADATA_DISABLED"));
        let found = only(agree(&variables(&[(ENDPOINT, "169.254.169.254")])));
        assert_eq!(found.severity, Severity::High);
        assert!(found.what.contains("does not begin with http://"), "{found:?}");
        let found = only(agree(&variables(&[(MODE, "dual")])));
        assert_eq!(found.severity, Severity::Medium);
        let both = [(MODE, "IPv6"), (ENDPOINT, "http://169.254.169.254")];
        let found = only(agree(&variables(&both)));
        assert_eq!((found.severity, found.resource.as_str()), (Severity::Low, MODE));
    }

    #[test]
    fn credentials_that_come_first_are_told_of_by_name() {
        assert_eq!(only(unshadowed(&variables(&[]))).status, Status::Pass);
        let set = [(ACCESS_KEY_ID, "AKIAHUSH"), ("AWS_SECRET_ACCESS_KEY", "hush")];
        let found = only(unshadowed(&variables(&set)));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::Low));
        let written = serde_json::to_string(&found).unwrap();
        assert!(!written.to_lowercase().contains("hush"), "{written}");
    }

    #[test]
    fn those_of_the_administrator_are_meant() {
        let found = only(unshadowed(&variables(&[(ACCESS_KEY_ID, "AKIAADMINISTRATOR")])));
        assert_eq!(found.status, Status::Pass);
        assert!(found.what.contains("administrator"), "{found:?}");
    }
}
