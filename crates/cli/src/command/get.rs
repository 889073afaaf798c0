//! `imds get`: fetch metadata as an `IMDSv2` client. It never asks without a token.

use std::io::Write as _;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use metadata::wire;
use model::TokenTtl;
use ureq::Agent;
use ureq::http::StatusCode;

use crate::fault::Fault;

/// Answers come within milliseconds; this is for a network that drops them.
const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) fn definition() -> Command {
    Command::new("get")
        .about("Fetch metadata with a session token (IMDSv2), from any server, EC2 too")
        .arg(
            Arg::new("path")
                .value_name("PATH")
                .required(true)
                .help("What to fetch, such as latest/meta-data/instance-id"),
        )
        .arg(Arg::new("endpoint").long("endpoint").value_name("URL").help(
            "Where the service is [variable: AWS_EC2_METADATA_SERVICE_ENDPOINT] [default: \
                     http://169.254.169.254]",
        ))
        .arg(
            Arg::new("token_ttl")
                .long("token-ttl")
                .value_name("SECONDS")
                .default_value("60")
                .help("Lifetime of the token, 1 to 21600"),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Fault> {
    let text = |name| matches.get_one::<String>(name).cloned();
    let endpoint = text("endpoint")
        .or_else(|| std::env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").ok())
        .unwrap_or_else(|| "http://169.254.169.254".to_owned());
    let endpoint = endpoint.trim_end_matches('/');
    let ttl = text("token_ttl").unwrap_or_default();
    let ttl = TokenTtl::parse(ttl.as_bytes())
        .map_err(|refusal| Fault::usage(format!("--token-ttl `{ttl}`: {refusal}")))?;
    let path = text("path").unwrap_or_default();

    let agent = agent(DEADLINE);
    let unreachable = |fault: ureq::Error| {
        Fault::told(format!(
            "{endpoint} does not answer: {fault}. Is a server running there (`imds serve`)? Name \
             another with --endpoint"
        ))
    };
    let mut granted = agent
        .put(format!("{endpoint}{}", wire::TOKEN_PATH))
        .header(wire::TOKEN_TTL_HEADER, ttl.to_string())
        .send_empty()
        .map_err(unreachable)?;
    if granted.status() != StatusCode::OK {
        return Err(no_token(granted.status()));
    }
    let token = granted.body_mut().read_to_string().map_err(unreachable)?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Fault::told(format!(
            "the token request was answered 200, but not with a token: {endpoint} is not an IMDSv2 \
             service"
        )));
    }
    let mut answer = agent
        .get(format!("{endpoint}/{}", path.trim_start_matches('/')))
        .header(wire::TOKEN_HEADER, &token)
        .call()
        .map_err(unreachable)?;
    let status = answer.status();
    let body = answer.body_mut().read_to_vec().map_err(unreachable)?;
    match status {
        StatusCode::OK => std::io::stdout().write_all(&body).map_err(|fault| Fault::failed(&fault)),
        StatusCode::NOT_FOUND => Err(Fault::told(format!(
            "there is nothing at `{path}`, or nothing now: `imds get latest/meta-data/` lists what \
             there is"
        ))),
        status => Err(Fault::told(format!("`{path}` was answered {status}"))),
    }
}

/// Returns what asks a metadata service as it wants to be asked. `deadline` is for one request.
pub(crate) fn agent(deadline: Duration) -> Agent {
    Agent::config_builder()
        .proxy(None) // A proxy would see the token, and ask in its own name.
        .timeout_global(Some(deadline))
        .max_redirects(0)
        .http_status_as_error(false)
        .build()
        .new_agent()
}

fn no_token(status: StatusCode) -> Fault {
    Fault::told(match status {
        StatusCode::FORBIDDEN => "the token request was answered 403: the metadata endpoint is \
                                  disabled for this instance, or a proxy stands between"
            .to_owned(),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            format!("the token request was answered {status}: this is not an IMDSv2 service")
        }
        status => format!("the token request was answered {status}"),
    })
}
