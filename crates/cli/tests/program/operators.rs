//! The management listener: metrics in the Prometheus text format, and health.

use std::collections::{BTreeMap, BTreeSet};

use crate::exchange::{exchange, read, read_tokenless, token, token_request, tokenless_request};
use crate::running::{Home, Running};

/// A page of `/metrics`: samples with their labels, and the types of the families.
struct Metrics {
    samples: BTreeMap<String, i64>,
    types: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads the text format strictly: nothing but comments and samples, each family declared
    /// before its samples, no sample twice.
    fn of(server: &Running) -> Self {
        let text = server.page("/metrics");
        assert!(text.ends_with('\n'));
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::new());
        let mut explained = BTreeSet::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && explained.insert(name.to_owned()), "{line}");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(explained.contains(name), "{line}");
                assert_eq!(types.insert(name.to_owned(), kind.to_owned()), None, "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let family = name.split('{').next().unwrap();
                assert!(types.contains_key(family), "{line}");
                let value = value.parse().unwrap();
                assert_eq!(samples.insert(name.to_owned(), value), None, "{line}");
            }
        }
        Self { samples, types }
    }

    fn requests(&self, version: &str, outcome: &str) -> i64 {
        self.samples[&format!("imds_requests_total{{version=\"{version}\",outcome=\"{outcome}\"}}")]
    }
}

#[test]
fn every_request_is_counted_once_by_version_and_outcome() {
    let home = Home::new();
    let server = home.start(&[]);
    let address = server.address();
    let granted = token(address);
    for _ in 0..3 {
        read(address, "/latest/meta-data/", &granted);
    }
    read(address, "/latest/nothing", &granted);
    read(address, "/latest/meta-data/", "bad");
    read_tokenless(address, "/latest/meta-data/");
    exchange(address, token_request("0").as_bytes());
    exchange(address, b"PUT /latest/meta-data/ HTTP/1.1\r\n\r\n");
    exchange(address, b"POST /latest/meta-data/ HTTP/1.1\r\n\r\n");
    exchange(address, b"what?\r\n\r\n");
    let metrics = Metrics::of(&server);
    for (version, outcome, count) in [
        ("token", "ok", 1),
        ("token", "bad_request", 1),
        ("token", "forbidden", 1),
        ("v2", "ok", 3),
        ("v2", "not_found", 1),
        ("v2", "unauthorized", 1),
        ("v1", "unauthorized", 1),
        ("v1", "method_not_allowed", 1),
        ("none", "bad_request", 1),
    ] {
        assert_eq!(metrics.requests(version, outcome), count, "{version} {outcome}");
    }
    let all = metrics.samples.iter();
    let all = all.filter(|(name, _)| name.starts_with("imds_requests_total{"));
    assert_eq!(all.map(|(_, count)| count).sum::<i64>(), 11);
}

#[test]
fn the_metrics_that_others_rely_on_are_there_from_the_start() {
    let home = Home::new();
    let server = home.start(&[]);
    let metrics = Metrics::of(&server);
    for (family, kind) in [
        ("imds_requests_total", "counter"),
        ("imds_limit_hits_total", "counter"),
        ("imds_token_undelivered_total", "counter"),
        ("imds_connections", "gauge"),
        ("imds_instances", "gauge"),
        ("imds_role_credentials_sets", "gauge"),
        ("imds_role_credentials_fetched_timestamp_seconds", "gauge"),
        ("imds_role_credentials_expiration_timestamp_seconds", "gauge"),
        ("imds_role_credentials_fetches_total", "counter"),
        ("imds_role_credentials_fetch_failures_total", "counter"),
    ] {
        assert_eq!(metrics.types[family], kind);
    }
    for version in ["v1", "token", "v2"] {
        assert_eq!(metrics.requests(version, "ok"), 0);
    }
    for limit in ["connections", "connections_per_source", "head_bytes", "head_deadline"] {
        assert_eq!(server.hits(limit), 0);
    }
    for reason in ["hop_limit", "reset", "timeout"] {
        let sample = format!("imds_token_undelivered_total{{reason=\"{reason}\"}}");
        assert_eq!(metrics.samples[&sample], 0);
    }
    assert_eq!(metrics.samples["imds_connections{phase=\"deliver\"}"], 0);
    assert_eq!(metrics.samples["imds_instances"], 1);
    let answer = read_tokenless(server.management, "/metrics");
    let expected = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(expected));
}

#[test]
fn nothing_secret_is_told_to_whoever_reaches_it() {
    let home = Home::new();
    let server = home.start(&[]);
    let granted = token(server.address());
    read(server.address(), "/latest/meta-data/hunter2", &granted);
    let secret = home.json_result(&["env", "--json"])["secret_access_key"].to_string();
    for path in ["/metrics", "/healthz", "/readyz"] {
        let page = server.page(path);
        for told in [granted.as_str(), "hunter2", secret.trim_matches('"')] {
            assert!(!page.contains(told), "{path}");
        }
    }
}

#[test]
fn health_is_told_and_the_planes_are_apart() {
    let home = Home::new();
    let server = home.start(&[]);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.page(path), "ok\n");
    }
    // Metadata is not served to operators, nor metrics to guests.
    let management = server.management;
    assert_eq!(read_tokenless(management, "/latest/meta-data/").status, 404);
    assert_ne!(exchange(management, put_to_management().as_bytes()).status, 200);
    let granted = token(server.address());
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(read(server.address(), path, &granted).status, 404);
    }
    let answer = exchange(server.address(), tokenless_request("/metrics").as_bytes());
    assert_eq!(answer.status, 401);
}

fn put_to_management() -> String {
    token_request("60").replace("\r\n\r\n", "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
