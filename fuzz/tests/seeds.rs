//! Every committed seed keeps every promise: `cargo test` needs no fuzzer for that.

use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        eprintln!("{}", file.display());
        check(&std::fs::read(file).unwrap());
        count += 1;
    }
    assert!(count > 0, "{target} has no seeds");
}

#[test]
fn connection() {
    replay("connection", fuzz::connection::check);
}

#[test]
fn filter() {
    replay("filter", fuzz::filter::check);
}

#[test]
fn form() {
    replay("form", fuzz::form::check);
}

#[test]
fn native() {
    replay("native", fuzz::native::check);
}

#[test]
fn path() {
    replay("path", fuzz::path::check);
}

#[test]
fn policy() {
    replay("policy", fuzz::policy::check);
}

#[test]
fn records() {
    replay("records", fuzz::records::check);
}

#[test]
fn request() {
    replay("request", fuzz::request::check);
}

#[test]
fn session() {
    replay("session", fuzz::session::check);
}

#[test]
fn signature() {
    replay("signature", fuzz::signature::check);
}

#[test]
fn token() {
    replay("token", fuzz::token::check);
}

#[test]
fn ttl() {
    replay("ttl", fuzz::ttl::check);
}
