//! Assuming a role, over real connections, of a stand-in for STS that reads signatures.

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use control::api::{ApiRequest, Presented};
use model::Timestamp;
use tokio::runtime::{Builder, Runtime};

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

/// A request, as it came.
#[derive(Clone, Debug, Default)]
struct Heard {
    start: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// A stand-in for STS at a loopback address, for as long as the test lives.
struct StandIn {
    endpoint: model::Endpoint,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl StandIn {
    /// Answers each request with what `answer` makes of it.
    fn new(mut answer: impl FnMut(&Heard) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let request = hear(&mut stream);
                let text = answer(&request);
                told.lock().unwrap().push(request);
                // Whoever has heard enough is gone.
                let _ = stream.get_mut().write_all(text.as_bytes());
            }
        });
        Self { endpoint, heard }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// A role that is assumed here.
    fn source(&self, base: BaseCredentials) -> StsSource {
        StsSource {
            role_arn: "arn:aws:iam::123456789012:role/app".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
            endpoint: Some(self.endpoint.clone()),
            duration_seconds: 900.try_into().unwrap(),
            external_id: None,
            base,
        }
    }
}

fn hear(stream: &mut impl std::io::BufRead) -> Heard {
    let mut heard = Heard::default();
    stream.read_line(&mut heard.start).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
        heard.headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    stream.take(length).read_to_string(&mut heard.body).unwrap();
    heard
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn issued(id: &str) -> String {
    answer(
        200,
        &format!(
            "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>{id}</AccessKeyId>\
             <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
             <Expiration>2025-03-04T10:15:00Z</Expiration></Credentials></AssumeRoleResult>\
             </AssumeRoleResponse>"
        ),
    )
}

fn error(status: u16, code: &str, message: &str) -> String {
    let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    answer(status, &format!("<ErrorResponse>{error}</ErrorResponse>"))
}

fn key() -> AccessKey {
    let (id, secret) = ("AKIAEXAMPLE".parse().unwrap(), Secret::new("hunter2".to_owned()));
    let session_token = Some(Secret::new("hunter3".to_owned()));
    AccessKey { session_token, ..AccessKey::new(id, secret, Timestamp::default()) }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn assume(sts: &Sts, source: &StsSource) -> Result<Credentials, StsFault> {
    runtime().block_on(sts.assume(source, InstanceId::from_number(10), NOW))
}

#[test]
fn the_role_is_assumed_in_the_name_of_the_instance_and_the_request_is_signed() {
    let stand_in = StandIn::new(|_| issued("ASIAEXAMPLE"));
    let mut source = stand_in.source(BaseCredentials::Static(key()));
    source.external_id = "a:b/c=".parse().ok();
    let credentials = assume(&Sts::default(), &source).unwrap();
    assert_eq!(credentials.access_key_id, "ASIAEXAMPLE");
    assert_eq!(credentials.expiration, NOW.plus_seconds(900));
    let [heard] = &stand_in.heard()[..] else { panic!("it asks once") };
    assert_eq!(heard.start, "POST / HTTP/1.1\r\n");
    assert_eq!(
        heard.body,
        "Action=AssumeRole&Version=2011-06-15\
         &RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fapp\
         &RoleSessionName=i-0000000000000000a&DurationSeconds=900&ExternalId=a%3Ab%2Fc%3D"
    );
    let headers = heard.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let (method, path, query) = ("POST", "/", "");
    let request =
        ApiRequest { method, path, query, headers, body: heard.body.as_bytes(), source: None };
    let presented = Presented::parse(&request).unwrap();
    let verified = presented.verify(Some(&key()), "sts", 300, NOW).unwrap();
    assert_eq!(verified.region(), "eu-west-1");
    assert!(!format!("{heard:?}").contains("hunter2"));
}

#[test]
fn a_web_identity_token_is_read_at_every_use_and_nothing_is_signed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let token_file = path.to_str().unwrap().to_owned();
    let stand_in = StandIn::new(|_| issued("ASIAEXAMPLE"));
    let source = stand_in.source(BaseCredentials::WebIdentity { token_file });
    let sts = Sts::default();
    for token in ["eyJ.first", "eyJ.second"] {
        std::fs::write(&path, format!("{token}\n")).unwrap();
        assume(&sts, &source).unwrap();
    }
    let heard = stand_in.heard();
    let [first, second] = &heard[..] else { panic!("{heard:?}") };
    assert!(first.body.starts_with("Action=AssumeRoleWithWebIdentity&"), "{first:?}");
    assert!(first.body.ends_with("&WebIdentityToken=eyJ.first"), "{first:?}");
    assert!(second.body.ends_with("&WebIdentityToken=eyJ.second"), "{second:?}");
    assert!(!format!("{heard:?}").contains("authorization"));
    for (text, reason) in [("", "does not hold a token"), ("two words", "does not hold a token")] {
        std::fs::write(&path, text).unwrap();
        let fault = assume(&sts, &source).unwrap_err().to_string();
        assert!(fault.contains(reason), "{fault}");
    }
    std::fs::write(&path, "x".repeat(20_001)).unwrap();
    assert!(matches!(assume(&sts, &source), Err(StsFault::TokenFile { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(assume(&sts, &source), Err(StsFault::TokenFile { .. })));
    std::fs::create_dir(&path).unwrap();
    let fault = assume(&sts, &source).unwrap_err().to_string();
    assert!(fault.contains("is not a file"), "{fault}");
    assert_eq!(stand_in.heard().len(), 2, "there was nothing to ask with");
}

#[test]
fn what_sts_says_instead_is_told_and_none_of_its_secrets() {
    for (text, expected) in [
        (
            error(403, "AccessDenied", "User: x is not authorized\nhunter2"),
            "refuses: AccessDenied: User: x is not authorized",
        ),
        (error(403, "SignatureDoesNotMatch", "hunter2"), "answers 403 SignatureDoesNotMatch"),
        (error(400, "Throttling", "Rate exceeded"), "answers 400 Throttling: Rate exceeded"),
        (error(403, "ExpiredToken", "hunter2"), "answers 403 ExpiredToken"),
        (answer(500, "hunter2"), "answers 500, and what it says is not understood"),
        (answer(200, "hunter2"), "answers 200, and what it says is not understood"),
        (answer(302, "hunter2"), "answers 302, and what it says is not understood"),
        (issued("A").replace("2025", "2020"), "gave credentials that have ended"),
        (answer(200, &"x".repeat(65 * 1024)), "its answer is too long"),
        (format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(20_000)), "as it should"),
        ("hunter2".to_owned(), "does not answer as it should"),
        (String::new(), "does not answer as it should"),
        (issued("A").replace("</AssumeRoleResponse>", ""), "does not answer as it should"),
    ] {
        let said = text.clone();
        let stand_in = StandIn::new(move |_| said.clone());
        let source = stand_in.source(BaseCredentials::Static(key()));
        let fault = assume(&Sts::default(), &source).unwrap_err().to_string();
        let end = fault.trim_end_matches(|letter: char| letter.is_ascii_punctuation());
        assert!(end.contains(expected), "{text}\n{fault}");
        assert!(!fault.contains("hunter"), "{fault}");
        assert!(fault.contains(&stand_in.endpoint.to_string()), "{fault}");
    }
}

#[test]
fn nobody_there_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut source = StandIn::new(|_| String::new()).source(BaseCredentials::Static(key()));
    source.endpoint = endpoint.parse().ok();
    let fault = assume(&Sts::default(), &source).unwrap_err();
    assert!(matches!(fault, StsFault::Post(PostFault::Unreachable { .. })), "{fault}");
}

#[test]
fn a_program_is_run_once_for_all_and_again_when_its_key_is_no_longer_good() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (script, runs) = (directory.path().join("get"), directory.path().join("runs"));
    let text = format!(
        "#!/bin/sh\necho run >> {}\necho '{{\"Version\":1,\"AccessKeyId\":\"AKIAEXAMPLE\",\
         \"SecretAccessKey\":\"s\",\"Expiration\":\"2025-03-04T11:00:00Z\"}}'\n",
        runs.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let mut count = 0;
    let stand_in = StandIn::new(move |_| {
        count += 1;
        if count == 9 { error(403, "ExpiredToken", "") } else { issued("ASIAEXAMPLE") }
    });
    let command = vec![script.to_str().unwrap().to_owned()];
    let source = stand_in.source(BaseCredentials::Process { command });
    let sts = Arc::new(Sts::default());
    let runs = || std::fs::read_to_string(&runs).unwrap().lines().count();
    runtime().block_on(async {
        let mut waiting = tokio::task::JoinSet::new();
        for number in 0..8 {
            let (sts, source) = (Arc::clone(&sts), source.clone());
            let instance = InstanceId::from_number(number);
            waiting.spawn(async move { sts.assume(&source, instance, NOW).await.map(|_| ()) });
        }
        assert!(waiting.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
    });
    assert_eq!(runs(), 1);
    assert!(assume(&sts, &source).is_err(), "its key has ended");
    assert!(assume(&sts, &source).is_ok());
    assert_eq!(runs(), 2);
    // Past half the life of the key; an hour later it would have ended.
    let half = NOW.plus_seconds(1_801);
    let later = runtime().block_on(sts.assume(&source, InstanceId::from_number(1), half));
    assert!(matches!(later, Err(StsFault::Ended(_))), "the stand-in's clock stands still");
    assert_eq!(runs(), 3);
    std::fs::remove_file(&script).unwrap();
    let key = |now| runtime().block_on(sts.key_of(&[script.to_str().unwrap().to_owned()], now));
    assert!(key(NOW.plus_seconds(3_000)).is_ok(), "what it gave last is good still");
    assert!(key(NOW.plus_seconds(3_600)).is_err(), "and now it is not");
}
