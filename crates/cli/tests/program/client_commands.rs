//! The commands that ask a server, or need none: `get`, `env`, `identity`, `completions`, `man`,
//! and how the program is used wrongly.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::exchange::{connect, value};
use crate::running::{DEFAULT_INSTANCE, Ended, Home, Running, output_of};
use crate::waiting::PATIENCE;

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Runs `imds get`.
fn get(home: &Home, server: &Running, path: &str) -> Ended {
    home.run(&["get", path, "--endpoint", &url(server.address())])
}

/// How many reads without a token the server has seen, whatever became of them.
fn tokenless(server: &Running) -> i64 {
    let metrics = server.page("/metrics");
    let v1 = |line: &&str| line.starts_with("imds_requests_total{version=\"v1\"");
    let counted = metrics.lines().filter(v1).map(|line| {
        let (_, count) = line.rsplit_once(' ').unwrap();
        count.parse::<i64>().unwrap()
    });
    counted.sum()
}

#[test]
fn get_prints_the_value_as_it_is() {
    let home = Home::new();
    let server = home.start(&[]);
    for path in ["latest/meta-data/instance-id", "/latest/meta-data/instance-id"] {
        let ended = get(&home, &server, path);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), DEFAULT_INSTANCE), "{ended:?}");
        assert_eq!(ended.stderr, "");
    }
    let mut instance = home.instance(DEFAULT_INSTANCE);
    let bytes: Vec<u8> = (0..=255).cycle().take(16_384).collect();
    instance["user_data"] = serde_json::json!({ "base64": STANDARD.encode(&bytes) });
    home.put_instance(&instance).unwrap();
    let url = url(server.address());
    let mut command = home.imds(&["get", "latest/user-data"]);
    // The variable that SDKs know works too, with a slash at its end or without.
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", format!("{url}/"));
    assert_eq!(command.output().unwrap().stdout, bytes);
}

#[test]
fn get_says_what_is_wrong() {
    let home = Home::new();
    let server = home.start(&[]);
    let nothing = get(&home, &server, "latest/meta-data/spot");
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(1), ""), "{nothing:?}");
    assert!(nothing.stderr.contains("nothing at `latest/meta-data/spot`"), "{nothing:?}");

    home.result(&["instance", "options", DEFAULT_INSTANCE, "--http-endpoint", "disabled"]);
    let disabled = get(&home, &server, "latest/meta-data/");
    assert_eq!(disabled.code, Some(1), "{disabled:?}");
    assert!(
        disabled.stderr.contains("403") && disabled.stderr.contains("disabled"),
        "{disabled:?}"
    );

    let address = server.address();
    server.stop();
    let alone = home.run(&["get", "latest/meta-data/", "--endpoint", &url(address)]);
    assert_eq!(alone.code, Some(1), "{alone:?}");
    for part in [&*address.to_string(), "does not answer", "imds serve", "--endpoint"] {
        assert!(alone.stderr.contains(part), "lacks {part}: {alone:?}");
    }
}

#[test]
fn get_never_asks_without_a_token() {
    let home = Home::new();
    let server = home.start(&["--http-tokens", "optional"]);
    for path in ["latest/meta-data/", "latest/nothing", "latest/user-data", ""] {
        get(&home, &server, path);
    }
    home.result(&["instance", "options", DEFAULT_INSTANCE, "--http-endpoint", "disabled"]);
    get(&home, &server, "latest/meta-data/");
    assert_eq!(tokenless(&server), 0);
}

/// A service that is not ours: it answers each request with `answer`, and tells the heads that it
/// was sent once it has been asked to end.
fn foreign_service(answer: &'static str) -> (SocketAddr, impl FnOnce() -> Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let mut heads = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            if head.starts_with("END") {
                return heads;
            }
            heads.push(head);
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let end = move || {
        connect(address).unwrap().write_all(b"END\r\n\r\n").unwrap();
        serving.join().unwrap()
    };
    (address, end)
}

#[test]
fn get_gives_up_where_no_token_is_to_be_had() {
    let home = Home::new();
    for (answer, part) in [
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "not an IMDSv2",
        ),
        (
            "HTTP/1.1 405 Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "not an IMDSv2",
        ),
        ("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "500"),
        (
            "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            "307",
        ),
        // A token that would be a header line of its own.
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\na\r\nX: y\r\n", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ""),
        ("nonsense\r\n\r\n", "does not answer"),
    ] {
        let (address, heads) = foreign_service(answer);
        let ended = home.run(&["get", "latest/meta-data/", "--endpoint", &url(address)]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{answer}: {ended:?}");
        assert!(ended.stderr.contains(part), "{answer}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{answer}: {ended:?}");
        for head in heads() {
            assert!(head.starts_with("PUT /latest/api/token "), "{answer}: {head}");
        }
    }
}

#[test]
fn get_does_not_ask_through_a_proxy() {
    let home = Home::new();
    let server = home.start(&[]);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let through = url(proxy.local_addr().unwrap());
    let endpoint = url(server.address());
    let arguments = ["get", "latest/meta-data/instance-id", "--endpoint", &endpoint];
    let mut command = home.imds(&arguments);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, &through);
    }
    let ended = Ended::of(command);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), DEFAULT_INSTANCE), "{ended:?}");
    assert_eq!(proxy.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn env_points_a_shell_at_the_server() {
    let home = Home::new();
    let server = home.start(&[]);
    let json = home.json_result(&["env", "--json"]);
    let administrator = fs::read_to_string(home.state().join("administrator")).unwrap();
    let kept = |name: &str| {
        let line = administrator.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_start_matches(" = ").to_owned()
    };
    let expected = serde_json::json!({
        "metadata_endpoint": format!("http://{}/", server.address()),
        "management_endpoint": format!("http://{}/", server.management),
        "region": "us-east-1",
        "access_key_id": kept("aws_access_key_id"),
        "secret_access_key": kept("aws_secret_access_key"),
    });
    assert_eq!(json, expected);
    let mut shell = home.around(Command::new("sh"), &["-c"]);
    shell
        .arg(
            "eval \"$($0 env)\" && $0 get latest/meta-data/instance-id && printf '\\n%s' \
             \"$AWS_ENDPOINT_URL\" \"$AWS_REGION\" \"$AWS_DEFAULT_REGION\" \
             \"$AWS_ACCESS_KEY_ID\" \"$AWS_SECRET_ACCESS_KEY\" \
             \"$AWS_SESSION_TOKEN$AWS_SECURITY_TOKEN$AWS_PROFILE$AWS_DEFAULT_PROFILE.\"",
        )
        .arg(env!("CARGO_BIN_EXE_imds"));
    // What a shell had before for other keys goes.
    for name in ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
        shell.env(name, "of another key");
    }
    let printed = output_of(shell);
    assert_eq!(
        printed.lines().collect::<Vec<_>>(),
        [
            DEFAULT_INSTANCE,
            &url(server.management),
            "us-east-1",
            "us-east-1",
            &kept("aws_access_key_id"),
            &kept("aws_secret_access_key"),
            ".",
        ]
    );
}

#[test]
fn commands_say_that_no_server_runs() {
    let home = Home::new();
    let elsewhere = home.path().join("elsewhere");
    let elsewhere = elsewhere.to_str().unwrap();
    for command in [
        &["env"][..],
        &["instance", "list"],
        &["instance", "show", DEFAULT_INSTANCE],
        &["instance", "options", DEFAULT_INSTANCE, "--http-tokens", "optional"],
        &["identity", "certificates"],
    ] {
        let ended = home.run(&[command, &["--data-dir", elsewhere]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        for part in [elsewhere, "no server answers", "imds serve", "--data-dir"] {
            assert!(ended.stderr.contains(part), "lacks {part}: {ended:?}");
        }
    }
}

/// Metadata of the instance, and the certificates, as files to give to a program.
struct Evidence(Home, Value);

impl Evidence {
    fn of(home: Home, server: &Running) -> Self {
        let certificates = home.result_once_made(&["identity", "certificates", "--json"]);
        let certificates: Value = serde_json::from_str(&certificates).unwrap();
        for name in ["document", "signature", "pkcs7", "rsa2048"] {
            let path = format!("/latest/dynamic/instance-identity/{name}");
            home.write(name, value(server.address(), &path));
        }
        for (name, pem) in certificates.as_object().unwrap() {
            home.write(&format!("{name}.pem"), pem.as_str().unwrap());
        }
        Self(home, certificates)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `openssl` with these arguments, in the directory of the files.
    fn openssl(&self, arguments: &[&str]) -> Command {
        self.0.around(Command::new("openssl"), arguments)
    }
}

#[test]
fn identity_documents_verify_with_the_certificates() {
    let home = Home::new();
    let server = home.start(&[]);
    let evidence = Evidence::of(home, &server);
    let names: Vec<_> = evidence.1.as_object().unwrap().keys().collect();
    assert_eq!(names, ["pkcs7", "rsa2048", "signature"]);
    let document: Value = serde_json::from_str(&evidence.read("document")).unwrap();
    assert_eq!(document["instanceId"], DEFAULT_INSTANCE);
    evidence.0.write("forged", evidence.read("document").replace("us-east-1", "us-east-2"));

    let signature = evidence.read("signature").replace('\n', "");
    evidence.0.write("signature.bin", STANDARD.decode(signature).unwrap());
    let key = evidence.openssl(&["x509", "-in", "signature.pem", "-pubkey", "-noout"]);
    evidence.0.write("key.pem", output_of(key));
    let digest = ["dgst", "-sha256", "-verify", "key.pem", "-signature", "signature.bin"];
    let verified = output_of(evidence.openssl(&[&digest[..], &["document"]].concat()));
    assert_eq!(verified, "Verified OK\n");
    let forged = Ended::of(evidence.openssl(&[&digest[..], &["forged"]].concat()));
    assert_eq!(forged.code, Some(1), "{forged:?}");

    for name in ["pkcs7", "rsa2048"] {
        let wrapped =
            format!("-----BEGIN PKCS7-----\n{}\n-----END PKCS7-----\n", evidence.read(name));
        evidence.0.write("wrapped", wrapped);
        let certificate = format!("{name}.pem");
        let verify = |content, certificate| {
            evidence.openssl(&[
                "smime",
                "-verify",
                "-in",
                "wrapped",
                "-inform",
                "PEM",
                "-content",
                content,
                "-certfile",
                certificate,
                "-noverify",
            ])
        };
        assert_eq!(
            output_of(verify("document", &certificate)),
            evidence.read("document"),
            "{name}"
        );
        let other = if name == "pkcs7" { "rsa2048.pem" } else { "pkcs7.pem" };
        let foreign = Ended::of(verify("document", other));
        assert_ne!(foreign.code, Some(0), "{name}: {foreign:?}");
    }
}

#[test]
fn certificates_are_printed_for_people_and_stay_the_same() {
    let home = Home::new();
    let server = home.start(&[]);
    let text = home.result_once_made(&["identity", "certificates"]);
    for name in ["pkcs7", "rsa2048", "signature"] {
        let place = format!("# {name}\n-----BEGIN CERTIFICATE-----\n");
        assert!(text.contains(&place), "lacks {place}: {text}");
    }
    server.stop();
    let _server = home.start(&[]);
    // They are there from the first moment of a later start.
    assert_eq!(home.result(&["identity", "certificates"]), text);
}

#[test]
fn completions_know_the_commands_and_settings() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.result(&["completions", shell]);
        for word in ["serve", "instance", "certificates", "link-local"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
    let script = home.result(&["completions", "bash"]);
    home.write("completions.bash", script);
    output_of(home.around(Command::new("bash"), &["-n", "completions.bash"]));
    let ended = home.run(&["completions", "tcl"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let home = Home::new();
    assert!(home.result(&["man"]).contains(".TH imds"));
    home.result(&["man", "--dir", "pages"]);
    for page in ["imds.1", "imds-serve.1", "imds-get.1", "imds-instance-options.1"] {
        let text = fs::read_to_string(home.path().join("pages").join(page)).unwrap();
        assert!(text.contains(".TH "), "{page}");
    }
    let serve = fs::read_to_string(home.path().join("pages/imds-serve.1")).unwrap();
    for word in ["link\\-local", "token\\-key\\-rotation", "IMDS_DATA_DIR"] {
        assert!(serve.contains(word), "lacks {word}");
    }
}

#[test]
fn help_is_a_result_and_misuse_is_a_usage_error() {
    let home = Home::new();
    for command in [
        &["--help"][..],
        &["--version"],
        &["serve", "--help"],
        &["get", "--help"],
        &["env", "--help"],
        &["instance", "--help"],
        &["instance", "options", "--help"],
        &["identity", "certificates", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
    ] {
        let text = home.result(command);
        assert!(!text.is_empty(), "{command:?}");
    }
    for (command, part) in [
        (&[][..], "Usage"),
        (&["sreve"], "serve"),
        (&["serve", "now"], "now"),
        (&["get"], "PATH"),
        (&["get", "latest/", "--token-ttl", "0"], "21600"),
        (&["get", "latest/", "--token-ttl", "21601"], "21600"),
        (&["get", "latest/", "--token-ttl", "soon"], "`soon`"),
        (&["instance"], "options"),
        (&["instance", "options"], "ID"),
        (&["instance", "show", "i-123"], "`i-123`"),
        (&["identity"], "certificates"),
        (&["env", "--jsno"], "--json"),
        (&["completions"], "SHELL"),
    ] {
        let ended = home.run(command);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{command:?}: {ended:?}");
        assert!(ended.stderr.contains(part), "{command:?} lacks {part}: {ended:?}");
    }
}

#[test]
fn output_that_nobody_takes_is_a_failure() {
    let home = Home::new();
    let mut command = home.imds(&["completions", "bash"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let ended = command.output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(!String::from_utf8_lossy(&ended.stderr).contains("panicked"), "{ended:?}");
}
