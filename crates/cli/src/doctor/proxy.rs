//! Whether clients would send metadata requests to a proxy.
//!
//! Each client reads other variables in another order, and means something else by an exception.
//! The table below was measured with curl 7.88, wget 1.21, requests 2.34 and botocore 1.44 against a
//! proxy; Go's is that of its package `httpproxy`. Node.js and the AWS SDK for JavaScript ask no
//! proxy, and this program never does.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::doctor::facts::{EC2_V4, EC2_V6, Facts};
use crate::doctor::finding::{Check, Finding, Severity};
use crate::doctor::route::is_within;

const DIRECT: Check = Check {
    id: "DOC-11",
    name: "proxies",
    why: "a proxy asks in its own name: it is refused, or gets the metadata and the credentials of \
          the machine that it runs on; and it sees tokens and credentials",
    derivation: "http_proxy, all_proxy and no_proxy, in small and capital letters, in this \
                 environment",
};

/// How a client finds out whether to ask a proxy.
#[derive(Debug)]
struct Client {
    name: &'static str,
    /// Variables that name a proxy, in groups: the first of a group that is set speaks for it, and
    /// the first group that names a proxy wins.
    proxies: &'static [&'static [&'static str]],
    /// Variables that name exceptions; the first that is set wins.
    exceptions: &'static [&'static str],
    /// Whether a variable that is set to nothing counts as set: for proxies, and for exceptions.
    heeds_empty: (bool, bool),
    /// Whether exceptions may be networks: of IPv4, of both, or not at all.
    networks: Networks,
    /// Whether `*` excepts everything.
    star: Star,
    /// How an IPv6 address is excepted.
    ipv6: Ipv6Form,
    /// Whether exceptions may stand apart by blanks alone.
    takes_blanks: bool,
    /// Whether loopback addresses are always excepted.
    spares_loopback: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Networks {
    None,
    V4,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Star {
    /// Only where it is all there is.
    Alone,
    Anywhere,
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ipv6Form {
    Bracketed,
    Plain,
}

const CLIENTS: [Client; 5] = [
    Client {
        name: "curl",
        proxies: &[&["http_proxy"], &["all_proxy", "ALL_PROXY"]],
        exceptions: &["no_proxy", "NO_PROXY"],
        heeds_empty: (false, false),
        networks: Networks::V4,
        star: Star::Alone,
        ipv6: Ipv6Form::Plain,
        takes_blanks: true,
        spares_loopback: false,
    },
    Client {
        name: "wget",
        proxies: &[&["http_proxy"]],
        exceptions: &["no_proxy"],
        heeds_empty: (true, true),
        networks: Networks::None,
        star: Star::Nowhere,
        ipv6: Ipv6Form::Bracketed,
        takes_blanks: false,
        spares_loopback: false,
    },
    Client {
        name: "the AWS CLI and boto3",
        proxies: &[&["http_proxy", "HTTP_PROXY"]],
        exceptions: &["no_proxy", "NO_PROXY"],
        heeds_empty: (true, true),
        networks: Networks::None,
        star: Star::Alone,
        ipv6: Ipv6Form::Bracketed,
        takes_blanks: false,
        spares_loopback: false,
    },
    Client {
        name: "Python's requests (cloud-init)",
        proxies: &[&["http_proxy", "HTTP_PROXY"], &["all_proxy", "ALL_PROXY"]],
        exceptions: &["no_proxy", "NO_PROXY"],
        heeds_empty: (true, false),
        networks: Networks::V4,
        star: Star::Alone,
        ipv6: Ipv6Form::Plain,
        takes_blanks: false,
        spares_loopback: false,
    },
    Client {
        name: "programs in Go",
        proxies: &[&["HTTP_PROXY", "http_proxy"]],
        exceptions: &["NO_PROXY", "no_proxy"],
        heeds_empty: (false, false),
        networks: Networks::Both,
        star: Star::Anywhere,
        ipv6: Ipv6Form::Plain,
        takes_blanks: false,
        spares_loopback: true,
    },
];

type Variables = BTreeMap<String, String>;

impl Client {
    /// Returns the variable whose proxy this client would ask for something at `address`.
    fn proxied(&self, variables: &Variables, address: IpAddr) -> Option<&'static str> {
        if self.spares_loopback && address.is_loopback() {
            return None;
        }
        let (of_proxies, of_exceptions) = self.heeds_empty;
        let names_one = |group: &&[&'static str]| {
            let name = first_set(variables, group, of_proxies)?;
            variables.get(name).is_some_and(|value| !value.is_empty()).then_some(name)
        };
        let proxy = self.proxies.iter().find_map(names_one)?;
        let exceptions = first_set(variables, self.exceptions, of_exceptions);
        let exceptions = exceptions.and_then(|name| variables.get(name));
        let is_excepted = exceptions.is_some_and(|list| self.excepts(list, address));
        (!is_excepted).then_some(proxy)
    }

    fn excepts(&self, list: &str, address: IpAddr) -> bool {
        if list == "*" && self.star == Star::Alone {
            return true;
        }
        let split = |c: char| c == ',' || self.takes_blanks && c.is_whitespace();
        list.split(split).map(str::trim).any(|entry| self.is_meant(entry, address))
    }

    fn is_meant(&self, entry: &str, address: IpAddr) -> bool {
        if entry == "*" {
            return self.star == Star::Anywhere;
        }
        if let Some((network, prefix)) = entry.split_once('/') {
            let takes = match (self.networks, address) {
                (Networks::None, _) | (Networks::V4, IpAddr::V6(_)) => false,
                (Networks::Both, _) | (Networks::V4, IpAddr::V4(_)) => true,
            };
            let network = network.parse().ok().zip(prefix.parse().ok());
            return takes && network.is_some_and(|(to, prefix)| is_within(address, to, prefix));
        }
        let entry = match (address, self.ipv6) {
            (IpAddr::V4(_), _) | (IpAddr::V6(_), Ipv6Form::Plain) => entry,
            (IpAddr::V6(_), Ipv6Form::Bracketed) => {
                entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or_default()
            }
        };
        entry.parse() == Ok(address)
    }
}

/// Returns the first of some variables that is set.
fn first_set(
    variables: &Variables,
    names: &[&'static str],
    heeds_empty: bool,
) -> Option<&'static str> {
    let counts = |value: &String| heeds_empty || !value.is_empty();
    names.iter().find(|name| variables.get(**name).is_some_and(counts)).copied()
}

/// Looks at which clients would ask a proxy.
pub(crate) fn direct(facts: &Facts) -> Vec<Finding> {
    let Some(machine) = &facts.machine else { return Vec::new() };
    let endpoint = &machine.endpoint;
    let names = CLIENTS.iter().flat_map(|client| client.proxies.iter().copied().flatten());
    let is_set = |name: &&str| machine.variables.get(*name).is_some_and(|value| !value.is_empty());
    if !names.copied().any(|name| is_set(&name)) {
        return vec![DIRECT.pass("environment", "no variable names a proxy")];
    }
    let Some(address) = endpoint.address.map(|address| address.ip()) else {
        let reason =
            format!("{} names its host: exceptions for names are not looked at", endpoint.url);
        return vec![DIRECT.not_assessed("environment", reason)];
    };
    let asks =
        |client: &'static Client| Some((client.name, client.proxied(&machine.variables, address)?));
    let asking: Vec<_> = CLIENTS.iter().filter_map(asks).collect();
    if asking.is_empty() {
        let what = format!("a proxy is named, and requests to {address} are excepted from it");
        return vec![DIRECT.pass("environment", what)];
    }
    let who: Vec<_> =
        asking.iter().map(|(name, variable)| format!("{name} ({variable})")).collect();
    let what = format!(
        "a proxy is asked for what is at {address}, because a variable names one: by {}",
        who.join(", ")
    );
    vec![DIRECT.fail(Severity::High, "environment", what).mend(mend(&machine.variables, address))]
}

fn mend(variables: &Variables, address: IpAddr) -> String {
    let is_ec2 = [IpAddr::V4(EC2_V4), IpAddr::V6(EC2_V6)].contains(&address);
    let hosts = match address {
        _ if is_ec2 => format!("{EC2_V4},{EC2_V6},[{EC2_V6}]"),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{address},[{address}]"),
    };
    let is_set = |name: &&str| variables.get(*name).is_some_and(|value| !value.is_empty());
    let kept = ["no_proxy", "NO_PROXY"].into_iter().find(is_set);
    let kept = kept.map(|name| format!("${name},")).unwrap_or_default();
    format!(
        "except the service, in both spellings, in whatever sets these variables:\n  export \
         no_proxy=\"{kept}{hosts}\" NO_PROXY=\"{kept}{hosts}\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Status;
    use crate::doctor::made_up::{only, variables};

    /// The clients that would ask a proxy, one letter each, or `-`.
    fn asking(set: &[(&str, &str)], address: &str) -> String {
        let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (set, address) = (set.collect(), address.parse().unwrap());
        let letter = |(client, letter): (&Client, char)| match client.proxied(&set, address) {
            Some(_) => letter,
            None => '-',
        };
        CLIENTS.iter().zip("cwbrg".chars()).map(letter).collect()
    }

    #[test]
    fn each_client_reads_the_variables_as_it_was_measured_to() {
        const P: &str = "http://127.0.0.1:3128";
        let (v4, v6) = ("169.254.169.254", "fd00:ec2::254");
        for (set, to_v4, to_v6) in [
            (&[("http_proxy", P)][..], "cwbrg", "cwbrg"),
            (&[("HTTP_PROXY", P)], "--brg", "--brg"),
            (&[("all_proxy", P)], "c--r-", "c--r-"),
            (&[("ALL_PROXY", P)], "c--r-", "c--r-"),
            (&[("http_proxy", ""), ("HTTP_PROXY", P)], "----g", "----g"),
            (&[("http_proxy", P), ("no_proxy", "169.254.169.254,fd00:ec2::254")], "-----", "-wb--"),
            (&[("http_proxy", P), ("NO_PROXY", "169.254.169.254,fd00:ec2::254")], "-w---", "-wb--"),
            (&[("http_proxy", P), ("NO_PROXY", "[fd00:ec2::254]")], "cwbrg", "cw-rg"),
            (&[("http_proxy", P), ("NO_PROXY", "169.254.0.0/16,fd00:ec2::/32")], "-wb--", "cwbr-"),
            (&[("http_proxy", P), ("NO_PROXY", "*")], "-w---", "-w---"),
            (&[("http_proxy", P), ("no_proxy", "*")], "-w---", "-w---"),
            (&[("http_proxy", P), ("no_proxy", "a,*")], "cwbr-", "cwbr-"),
            (&[("http_proxy", P), ("no_proxy", "[fd00:ec2::254]")], "cwbrg", "c--rg"),
            (&[("http_proxy", ""), ("all_proxy", P)], "c--r-", "c--r-"),
            (&[("http_proxy", P), ("no_proxy", ""), ("NO_PROXY", v4)], "-wb--", "cwbrg"),
            (&[("http_proxy", P), ("no_proxy", "other"), ("NO_PROXY", v4)], "cwbr-", "cwbrg"),
            (&[("http_proxy", P), ("no_proxy", "other 169.254.169.254")], "-wbrg", "cwbrg"),
            (&[("http_proxy", P), ("no_proxy", "other, 169.254.169.254")], "-----", "cwbrg"),
        ] {
            assert_eq!(asking(set, v4), to_v4, "{set:?} over IPv4");
            assert_eq!(asking(set, v6), to_v6, "{set:?} over IPv6");
        }
        assert_eq!(asking(&[("http_proxy", P)], "127.0.0.1"), "cwbr-");
    }

    #[test]
    fn no_proxy_is_no_finding() {
        assert_eq!(only(direct(&variables(&[]))).status, Status::Pass);
        let excepted = [("http_proxy", "http://p:1"), ("no_proxy", "169.254.169.254")];
        assert_eq!(only(direct(&variables(&excepted))).status, Status::Pass);
    }

    #[test]
    fn a_proxy_is_told_of_without_its_address() {
        let found = only(direct(&variables(&[("HTTP_PROXY", "http://user:hush@p:1")])));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::High));
        assert!(found.what.contains("the AWS CLI and boto3 (HTTP_PROXY)"), "{found:?}");
        assert!(!found.what.contains("curl"), "{found:?}");
        let written = serde_json::to_string(&found).unwrap();
        assert!(!written.contains("hush"), "{written}");
        let mend = found.mend.unwrap();
        assert!(
            mend.contains("no_proxy=\"169.254.169.254,fd00:ec2::254,[fd00:ec2::254]\""),
            "{mend}"
        );
    }

    #[test]
    fn exceptions_that_are_there_are_kept() {
        let set = [("http_proxy", "http://p:1"), ("NO_PROXY", "internal.example")];
        let mend = only(direct(&variables(&set))).mend.unwrap();
        assert!(mend.contains("NO_PROXY=\"$NO_PROXY,169.254.169.254,"), "{mend}");
    }

    #[test]
    fn a_name_is_not_assessed() {
        let mut facts = variables(&[("http_proxy", "http://p:1")]);
        facts.machine.as_mut().unwrap().endpoint.address = None;
        assert_eq!(only(direct(&facts)).status, Status::NotAssessed);
    }
}
