//! Where role credentials come from: built in, settings, programs. A program that fails costs its
//! role alone, and nothing that it prints is told.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::exchange::{Answer, read, read_tokenless, token, value};
use crate::management::Operator;
use crate::running::{DEFAULT_INSTANCE, Home, Running};
use crate::waiting::wait_until;

const OWN_ROLE: &str = "/latest/meta-data/iam/security-credentials/example-role";

/// A config file in which the default instance has the role `app`, described by these lines.
fn with_role(lines: &str) -> String {
    format!(
        "default_instance = \"i-0000000000000000a\"\n\n[[role]]\nname = \"app\"\n{lines}\n\n\
         [[instance]]\nid = \"i-0000000000000000a\"\n\
         instance_profile = {{ name = \"app\", role = \"app\" }}\n"
    )
}

/// A config file with a role whose credentials come from a program.
fn with_program(home: &Home, script: &str) -> String {
    let program = home.write_script("get-keys", script);
    let program = program.to_str().unwrap();
    with_role(&format!("source = \"process\"\ncommand = [\"{program}\", \"--for\", \"app\"]"))
}

/// Reads the credentials of the role `app`: always a 200, with a document.
fn credentials(server: &Running) -> Value {
    let path = "/latest/meta-data/iam/security-credentials/app";
    serde_json::from_str(&value(server.address(), path)).unwrap()
}

#[test]
fn built_in_ones_have_the_shape_of_real_ones_and_do_not_change_until_they_must() {
    let home = Home::new();
    let server = home.start(&["--http-tokens", "optional"]);
    let text = value(server.address(), OWN_ROLE);
    assert_eq!(value(server.address(), OWN_ROLE), text, "byte by byte");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["Code"], "Success");
    assert_eq!(document["Type"], "AWS-HMAC");
    let text_of = |key: &str| document[key].as_str().unwrap().to_owned();
    let key_id = text_of("AccessKeyId");
    assert!(key_id.starts_with("ASIA") && key_id.len() == 20, "{key_id}");
    assert_eq!(text_of("SecretAccessKey").len(), 40);
    // Times of one form sort as texts.
    assert!(text_of("LastUpdated") < text_of("Expiration"));
    let tokenless: Answer = read_tokenless(server.address(), OWN_ROLE);
    assert_eq!(tokenless.status, 200);
    assert_ne!(tokenless.text(), text, "who asks without a token gets others");
    server.kill();
    let server = home.start(&[]);
    assert_eq!(value(server.address(), OWN_ROLE), text, "a restart keeps them");
}

#[test]
fn built_in_ones_are_accepted_by_the_apis_of_the_server_and_of_no_other() {
    let home = Home::new();
    let role = "[[role]]\nname = \"example-role\"\nsource = \"built-in\"\n\
                policies = [\"AdministratorAccess\"]\n";
    let server = home.start_with(&format!("http_tokens = \"optional\"\n{role}"));
    let identity = "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance";
    let arn =
        |role: &str| format!("arn:aws:sts::123456789012:assumed-role/{role}/{DEFAULT_INSTANCE}");
    let describe = "Action=DescribeInstances";
    for (path, arn) in [(OWN_ROLE, arn("example-role")), (identity, arn("aws:ec2-instance"))] {
        let tokenless = read_tokenless(server.address(), path);
        for text in [&value(server.address(), path), tokenless.text()] {
            let own = Operator::with_document(&serde_json::from_str(text).unwrap());
            let told = own.identity(&server);
            assert!(told.is_done(), "{}", told.text());
            assert_eq!(told.one("Arn"), arn);
            assert!(told.one("UserId").ends_with(&format!(":{DEFAULT_INSTANCE}")));
            // As itself an instance may do nothing.
            if path == identity {
                assert_eq!(own.refusal(&server, describe), "UnauthorizedOperation");
            } else {
                assert_eq!(own.ask(&server, describe).one("instanceId"), DEFAULT_INSTANCE);
            }
        }
    }
    let document: Value = serde_json::from_str(&value(server.address(), OWN_ROLE)).unwrap();
    let own = Operator::with_document(&document);
    let mut without = document.clone();
    without["Token"] = "".into();
    assert_eq!(Operator::with_document(&without).refusal(&server, describe), "AuthFailure");
    let other = Home::new();
    let elsewhere = other.start(&[]);
    assert_eq!(own.refusal(&elsewhere, describe), "AuthFailure");
    assert_eq!(own.identity(&elsewhere).one("Code"), "InvalidClientTokenId");
    server.kill();
    let server = home.start_with(role);
    assert!(own.identity(&server).is_done(), "a restart ends no session");
}

#[test]
fn the_life_of_built_in_ones_may_be_said() {
    let home = Home::new();
    let server = home.start_with(&with_role("source = \"built-in\"\nlife_seconds = 900"));
    let document = credentials(&server);
    let time = |key: &str| document[key].as_str().unwrap().parse::<model::Timestamp>().unwrap();
    assert_eq!(time("Expiration"), time("LastUpdated").plus_seconds(900));
    let told = Operator::with_document(&document).identity(&server);
    let arn = "arn:aws:sts::123456789012:assumed-role/app/i-0000000000000000a";
    assert_eq!(told.one("Arn"), arn);
}

#[test]
fn static_ones_are_handed_out_as_they_are() {
    let home = Home::new();
    let server = home.start_with(&with_role(
        "source = \"static\"\naccess_key_id = \"AKIAEXAMPLE\"\nsecret_access_key = \"hunter2\"\n\
         session_token = \"hunter3\"\nexpiration = \"2099-01-02T03:04:05Z\"",
    ));
    let document = credentials(&server);
    for (key, expected) in [
        ("Code", "Success"),
        ("AccessKeyId", "AKIAEXAMPLE"),
        ("SecretAccessKey", "hunter2"),
        ("Token", "hunter3"),
        ("Expiration", "2099-01-02T03:04:05Z"),
    ] {
        assert_eq!(document[key], expected, "{document}");
    }
    assert_eq!(value(server.address(), "/latest/meta-data/iam/security-credentials/"), "app");
    let metrics = server.page("/metrics");
    let (_, said) = server.end(Signal::TERM);
    assert!(!format!("{said}{metrics}").contains("hunter"));
}

#[test]
fn static_ones_that_have_ended_are_not_handed_out() {
    let home = Home::new();
    let server = home.start_with(&with_role(
        "source = \"static\"\naccess_key_id = \"AKIAEXAMPLE\"\nsecret_access_key = \"hunter2\"\n\
         session_token = \"hunter3\"\nexpiration = \"2020-01-02T03:04:05Z\"",
    ));
    assert_unavailable(&credentials(&server));
}

#[test]
fn a_role_can_be_told_to_be_in_trouble() {
    let home = Home::new();
    let server = home.start_with(&with_role(
        "source = \"error\"\ncode = \"AssumeRoleUnauthorizedAccess\"\nmessage = \"no trust\"",
    ));
    let document = credentials(&server);
    assert_eq!(document["Code"], "AssumeRoleUnauthorizedAccess");
    assert_eq!(document["Message"], "no trust");
    assert_eq!(document.get("AccessKeyId"), None);
}

#[test]
fn those_of_a_program_are_there_when_the_server_is_ready() {
    let home = Home::new();
    let config = with_program(
        &home,
        r#"[ "$1 $2" = "--for app" ] || exit 9
        echo "run" >> "$HOME/runs"
        echo '{"Version":1,"AccessKeyId":"ASIAPROGRAM","SecretAccessKey":"hunter2",'
        echo '"SessionToken":"hunter3","Expiration":"2099-01-02T03:04:05Z"}'"#,
    );
    let server = home.start_with(&config);
    let document = credentials(&server);
    for (key, expected) in [
        ("Code", "Success"),
        ("AccessKeyId", "ASIAPROGRAM"),
        ("SecretAccessKey", "hunter2"),
        ("Token", "hunter3"),
        ("Expiration", "2099-01-02T03:04:05Z"),
    ] {
        assert_eq!(document[key], expected, "{document}");
    }
    // Fetched ahead: no read runs the program.
    for _ in 0..10 {
        assert_eq!(credentials(&server), document);
    }
    let runs = std::fs::read_to_string(home.path().join("runs")).unwrap();
    assert_eq!(runs, "run\n");
    let (_, said) = server.end(Signal::TERM);
    assert!(!said.contains("hunter"), "{said}");
}

/// The document of a role without credentials.
fn assert_unavailable(document: &Value) {
    let code = document["Code"].as_str().unwrap();
    assert_ne!(code, "Success", "{document}");
    for key in ["AccessKeyId", "SecretAccessKey", "Token"] {
        assert_eq!(document.get(key), None, "{document}");
    }
    assert!(!document.to_string().contains("hunter"), "{document}");
}

#[test]
fn a_program_that_fails_costs_its_role_alone_and_leaks_nothing() {
    let home = Home::new();
    for (what, script, reason) in [
        ("failure", "echo hunter2; echo hunter2 >&2; exit 3", "exit status: 3"),
        ("garbage", "echo hunter2", "did not print `credential_process` JSON"),
        ("nothing", "exit 0", "did not print `credential_process` JSON"),
        (
            "another version",
            r#"echo '{"Version":2,"AccessKeyId":"A","SecretAccessKey":"hunter2","SessionToken":"t"}'"#,
            "`Version` is not 1",
        ),
        (
            "a number for a secret",
            r#"echo '{"Version":1,"AccessKeyId":"A","SecretAccessKey":["hunter2"]}'"#,
            "did not print `credential_process` JSON",
        ),
        (
            "keys that have ended",
            r#"echo '{"Version":1,"AccessKeyId":"A","SecretAccessKey":"hunter2",'
            echo '"SessionToken":"t","Expiration":"2020-01-02T03:04:05Z"}'"#,
            "have ended",
        ),
        ("a signal", "echo hunter2; kill -9 $$", "signal: 9"),
    ] {
        let server = home.start_with(&with_program(&home, script));
        assert_unavailable(&credentials(&server));
        let id = value(server.address(), "/latest/meta-data/instance-id");
        assert_eq!(id, "i-0000000000000000a", "{what}");
        let program = home.path().join("get-keys");
        let said = wait_until("the operator is told", || {
            let said = server.said();
            said.contains("role `app`").then_some(said)
        });
        assert!(said.contains(program.to_str().unwrap()), "{what}: {said}");
        assert!(said.contains(reason), "{what}: {said}");
        let metrics = server.page("/metrics");
        let (_, said) = server.end(Signal::TERM);
        assert!(!format!("{said}{metrics}").contains("hunter"), "{what}: {said}");
    }
    let config = with_role("source = \"process\"\ncommand = [\"/not/there\"]");
    let server = home.start_with(&config);
    assert_unavailable(&credentials(&server));
    wait_until("the operator is told", || server.said().contains("`/not/there`").then_some(()));
}

#[test]
fn a_slow_program_holds_up_neither_the_start_nor_the_end() {
    let home = Home::new();
    let config = home.write("imds.toml", with_program(&home, "exec sleep 60"));
    let command = home.serve(&["--config", config.to_str().unwrap()]);
    let server = Running::within(Duration::from_secs(5), command);
    assert_unavailable(&credentials(&server));
    let id = value(server.address(), "/latest/meta-data/instance-id");
    assert_eq!(id, "i-0000000000000000a");
    let asked = Instant::now();
    server.stop();
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_program_that_prints_without_end_takes_no_memory() {
    const MEMORY_KIB_MAX: i64 = 64 * 1024;
    let home = Home::new();
    let script = "head -c 268435456 /dev/zero";
    let server = home.start_with(&with_program(&home, script));
    assert_unavailable(&credentials(&server));
    let most = server.memory_kib("VmHWM");
    assert!(most < MEMORY_KIB_MAX, "it took {most} KiB");
}

#[test]
fn the_default_instance_is_not_concerned_by_the_roles_of_others() {
    let home = Home::new();
    let config = with_program(&home, "exit 1").replace(
        "default_instance = \"i-0000000000000000a\"\n",
        &format!("default_instance = \"{DEFAULT_INSTANCE}\"\n"),
    );
    let server = home.start_with(&config);
    let granted = token(server.address());
    let answer = read(server.address(), OWN_ROLE, &granted);
    let document: Value = serde_json::from_str(answer.text()).unwrap();
    assert_eq!(document["Code"], "Success");
    let other = "/latest/meta-data/iam/security-credentials/app";
    assert_eq!(read(server.address(), other, &granted).status, 404);
}
