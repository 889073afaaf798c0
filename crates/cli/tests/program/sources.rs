//! Roles that are assumed at an STS endpoint, which a stand-in is here: it answers real requests, with
//! credentials that end soon, and fails as it is told to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::Timestamp;
use rustix::process::Signal;
use serde_json::Value;

use crate::exchange::{read_tokenless, value};
use crate::running::{Home, Running};
use crate::waiting::wait_until;

const INSTANCE: &str = "i-0000000000000000a";
const ROLE: &str = "/latest/meta-data/iam/security-credentials/app";

/// What the stand-in does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Gives credentials with so many seconds to live.
    Issue(i64),
    /// Gives them after a while.
    IssueSlowly(Duration),
    Refuse,
    Break,
    /// Takes requests and says nothing.
    Hang,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    heard: Vec<Heard>,
    at_a_time: usize,
    at_a_time_most: usize,
}

#[derive(Clone, Debug)]
struct Heard {
    session: String,
    authorization: Option<String>,
    form: String,
}

/// A stand-in for STS.
struct Sts {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Sts {
    fn new(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { mode, heard: Vec::new(), at_a_time: 0, at_a_time_most: 0 };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { address, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn set(&self, mode: Mode) {
        self.state().mode = mode;
    }

    fn heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    /// A role that is assumed here, by whom these lines say.
    fn role(&self, lines: &str) -> String {
        format!(
            "default_instance = \"{INSTANCE}\"\n\n[[role]]\nname = \"app\"\nsource = \"sts\"\n\
             role_arn = \"arn:aws:iam::123456789012:role/app\"\nregion = \"eu-west-1\"\n\
             endpoint = \"http://{}\"\n{lines}\n\n{}",
            self.address,
            instance(INSTANCE)
        )
    }
}

const KEY: &str = "access_key_id = \"AKIAEXAMPLE\"\nsecret_access_key = \"hunter2\"";

fn instance(id: &str) -> String {
    format!(
        "[[instance]]\nid = \"{id}\"\ninstance_profile = {{ name = \"app\", role = \"app\" }}\n"
    )
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_seconds(i64::try_from(since.as_secs()).unwrap())
}

fn answer(stream: TcpStream, state: &Mutex<State>) {
    let mut stream = BufReader::new(stream);
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        // Whoever only looks whether someone is there sends nothing.
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some((name, value)) = line.trim_end().split_once(": ") {
            match &*name.to_ascii_lowercase() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut form = String::new();
    stream.by_ref().take(length).read_to_string(&mut form).unwrap();
    let session = form.split('&').find_map(|field| field.strip_prefix("RoleSessionName="));
    let session = session.unwrap().to_owned();
    let (mode, number) = {
        let mut state = state.lock().unwrap();
        state.heard.push(Heard { session: session.clone(), authorization, form });
        state.at_a_time += 1;
        state.at_a_time_most = state.at_a_time_most.max(state.at_a_time);
        (state.mode, state.heard.len())
    };
    if let Mode::IssueSlowly(pause) = mode {
        #[expect(clippy::disallowed_methods, reason = "the time that a distant service takes")]
        thread::sleep(pause);
    }
    let issue = |seconds| {
        let end = now().plus_seconds(seconds);
        let text = format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIA{number:016}</AccessKeyId><SecretAccessKey>hunter4</SecretAccessKey>\
             <SessionToken>token-of-{session}</SessionToken><Expiration>{end}</Expiration>\
             </Credentials></AssumeRoleResult></AssumeRoleResponse>"
        );
        (200, text)
    };
    let (status, text) = match mode {
        Mode::Issue(seconds) => issue(seconds),
        Mode::IssueSlowly(_) => issue(3600),
        Mode::Refuse => {
            let error = "<Code>AccessDenied</Code><Message>User: x is not authorized</Message>";
            (403, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"))
        }
        Mode::Break => (500, "hunter5".to_owned()),
        Mode::Hang => {
            // It ends with the other side.
            let _ = stream.read(&mut [0]);
            (500, String::new())
        }
    };
    state.lock().unwrap().at_a_time -= 1;
    let length = text.len();
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n\r\n");
    let _ = stream.get_mut().write_all((head + &text).as_bytes());
}

fn credentials(server: &Running) -> Value {
    serde_json::from_str(&value(server.address(), ROLE)).unwrap()
}

fn tokenless(server: &Running) -> Value {
    serde_json::from_str(read_tokenless(server.address(), ROLE).text()).unwrap()
}

/// The sample of a metric of the role.
fn sample(server: &Running, name: &str, more: &str) -> i64 {
    let name = format!(
        "imds_role_credentials_{name}{{account_id=\"123456789012\",role=\"app\",source=\"sts\"{more}}}"
    );
    server.sample(&name)
}

#[test]
fn the_role_is_assumed_ahead_in_the_name_of_each_instance_and_never_by_a_guest() {
    let (home, sts) = (Home::new(), Sts::new(Mode::Issue(3600)));
    let config = sts.role(KEY) + &instance("i-0000000000000000b");
    let server = home.start_with(&config);
    let document = credentials(&server);
    assert_eq!(document["Code"], "Success", "{document}");
    assert_eq!(document["SecretAccessKey"], "hunter4");
    assert_eq!(document["Token"], format!("token-of-{INSTANCE}"));
    for _ in 0..10 {
        assert_eq!(credentials(&server), document);
    }
    let mut heard = sts.heard();
    heard.sort_by(|one, other| one.session.cmp(&other.session));
    let sessions: Vec<_> = heard.iter().map(|heard| &*heard.session).collect();
    assert_eq!(sessions, [INSTANCE, "i-0000000000000000b"], "tokens are required: a set for each");
    let authorization = heard[0].authorization.as_deref().unwrap();
    assert!(authorization.contains("Credential=AKIAEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/sts/aws4_request"), "{authorization}");
    assert_eq!(sample(&server, "sets", ",state=\"living\""), 2);
    assert_eq!(sample(&server, "fetches_total", ""), 2);
    let ends = sample(&server, "expiration_timestamp_seconds", "");
    assert!((3_500..=3_600).contains(&(ends - now().as_seconds())), "{ends}");
    let metrics = server.page("/metrics");
    let (_, said) = server.end(Signal::TERM);
    assert!(!format!("{said}{metrics}").contains("hunter"), "{said}{metrics}");
}

#[test]
fn those_for_readers_without_a_token_are_others_and_only_there_while_these_may_read() {
    let (home, sts) = (Home::new(), Sts::new(Mode::Issue(3600)));
    let server = home.start_with(&sts.role(KEY));
    assert_eq!(sts.heard().len(), 1);
    let options = |tokens| home.result(&["instance", "options", INSTANCE, "--http-tokens", tokens]);
    options("optional");
    let first = wait_until("there are some without a token", || {
        Some(tokenless(&server)).filter(|document| document["Code"] == "Success")
    });
    assert_ne!(first["AccessKeyId"], credentials(&server)["AccessKeyId"]);
    assert_eq!(sts.heard().len(), 2);
    options("required");
    wait_until("they are forgotten", || {
        (sample(&server, "sets", ",state=\"living\"") == 1).then_some(())
    });
    options("optional");
    let second = wait_until("there are new ones", || {
        Some(tokenless(&server)).filter(|document| document["Code"] == "Success")
    });
    assert_ne!(second["AccessKeyId"], first["AccessKeyId"]);
}

#[test]
fn what_was_fetched_is_served_until_it_ends_and_then_why_there_is_no_more() {
    let (home, sts) = (Home::new(), Sts::new(Mode::Issue(9)));
    let server = home.start_with(&sts.role(KEY));
    let code = || credentials(&server)["Code"].as_str().unwrap().to_owned();
    assert_eq!(code(), "Success");
    sts.set(Mode::Refuse);
    let ends = credentials(&server)["Expiration"].as_str().unwrap().parse::<Timestamp>().unwrap();
    wait_until("they have ended", || {
        let before = now();
        let code = code();
        // Not a second too early, and what is told is that STS refuses.
        assert!(before >= ends || now() >= ends || code == "Success", "{code} before {ends}");
        (code == "AssumeRoleUnauthorizedAccess").then_some(())
    });
    let document = credentials(&server);
    assert!(document["Message"].as_str().unwrap().contains("assume the role app"), "{document}");
    assert_eq!(document.get("SecretAccessKey"), None);
    assert!(sample(&server, "fetch_failures_total", ",reason=\"refused\"") >= 1);
    assert_eq!(sample(&server, "sets", ",state=\"missing\""), 1);
    let said = wait_until("the operator is told", || {
        let said = server.said();
        said.contains("role `app`").then_some(said)
    });
    assert!(said.contains("refuses: AccessDenied: User: x is not authorized"), "{said}");
    sts.set(Mode::Break);
    wait_until("other trouble is told as such", || (code() == "Failed").then_some(()));
    sts.set(Mode::Issue(3600));
    wait_until("the source is back", || (code() == "Success").then_some(()));
    let (_, said) = server.end(Signal::TERM);
    assert!(!said.contains("hunter"), "{said}");
}

#[test]
fn a_web_identity_token_is_read_anew_each_time() {
    let (home, sts) = (Home::new(), Sts::new(Mode::Issue(8)));
    let file = home.write("token", "eyJ.first\n");
    let lines = format!("web_identity_token_file = \"{}\"", file.display());
    let server = home.start_with(&sts.role(&lines));
    assert_eq!(credentials(&server)["Code"], "Success");
    let heard = sts.heard();
    assert!(heard[0].form.starts_with("Action=AssumeRoleWithWebIdentity&"), "{heard:?}");
    assert!(heard[0].form.contains("WebIdentityToken=eyJ.first"), "{heard:?}");
    assert_eq!(heard[0].authorization, None, "nothing is signed");
    home.write("token", "eyJ.second\n");
    wait_until("the new token is used", || {
        let heard = sts.heard();
        heard.iter().any(|heard| heard.form.contains("WebIdentityToken=eyJ.second")).then_some(())
    });
    let (_, said) = server.end(Signal::TERM);
    assert!(!said.contains("eyJ"), "{said}");
}

#[test]
fn a_program_says_who_assumes_the_role_and_is_run_once_for_all_instances() {
    let (home, sts) = (Home::new(), Sts::new(Mode::Issue(3600)));
    let script = home.write_script(
        "get-keys",
        r#"echo run >> "$HOME/runs"
        echo '{"Version":1,"AccessKeyId":"AKIAPROGRAM","SecretAccessKey":"hunter2"}'"#,
    );
    let mut config = sts.role(&format!("credential_process = [\"{}\"]", script.display()));
    for number in 0..20 {
        config += &instance(&format!("i-000000000000001{number:02}"));
    }
    let server = home.start_with(&config);
    wait_until("each instance has its own", || {
        (sample(&server, "sets", ",state=\"living\"") == 21).then_some(())
    });
    let by_program = |heard: &Heard| {
        heard.authorization.as_deref().is_some_and(|it| it.contains("Credential=AKIAPROGRAM/"))
    };
    assert!(sts.heard().iter().all(by_program));
    let runs = std::fs::read_to_string(home.path().join("runs")).unwrap();
    assert_eq!(runs, "run\n");
}

#[test]
fn a_hundred_instances_are_no_stampede() {
    let (home, sts) = (Home::new(), Sts::new(Mode::IssueSlowly(Duration::from_millis(50))));
    let mut config = sts.role(KEY);
    for number in 0..99 {
        config += &instance(&format!("i-000000000000001{number:02}"));
    }
    let server = home.start_with(&config);
    wait_until("each instance has its own", || {
        (sample(&server, "sets", ",state=\"living\"") == 100).then_some(())
    });
    let most = sts.state().at_a_time_most;
    assert!((2..=16).contains(&most), "{most} at a time");
    let mut sessions: Vec<_> = sts.heard().into_iter().map(|heard| heard.session).collect();
    sessions.sort();
    sessions.dedup();
    assert_eq!((sessions.len(), sts.heard().len()), (100, 100), "each once");
}

#[test]
fn who_comes_and_goes_while_the_server_runs_is_followed() {
    let (home, sts) = (Home::new(), Sts::new(Mode::Issue(3600)));
    let server = home.start_with(&sts.role(KEY));
    let launched = home.result(&["instance", "launch", "--driver", "listener"]);
    let id = launched.trim();
    let mut shown = home.instance(id);
    shown["instance_profile"] = serde_json::json!({ "name": "app", "role": "app" });
    home.put_instance(&shown).unwrap();
    wait_until("its role is assumed", || {
        sts.heard().iter().any(|heard| heard.session == id).then_some(())
    });
    wait_until("its credentials are kept", || {
        (sample(&server, "sets", ",state=\"living\"") == 2).then_some(())
    });
    home.result(&["instance", "terminate", id]);
    wait_until("they are forgotten", || {
        (sample(&server, "sets", ",state=\"living\"") == 1).then_some(())
    });
}

#[test]
fn a_source_that_hangs_holds_up_neither_the_start_nor_guests_nor_the_end() {
    let (home, sts) = (Home::new(), Sts::new(Mode::Hang));
    let config = home.write("imds.toml", sts.role(KEY));
    let command = home.serve(&["--config", config.to_str().unwrap()]);
    let server = Running::within(Duration::from_secs(5), command);
    let asked = Instant::now();
    assert_eq!(credentials(&server)["Code"], "Failed");
    assert!(asked.elapsed() < Duration::from_secs(1));
    let asked = Instant::now();
    server.stop();
    assert!(asked.elapsed() < Duration::from_secs(5));
}
