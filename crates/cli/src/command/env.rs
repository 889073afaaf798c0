//! `imds env`: what points an AWS CLI or SDK at a running server.

use clap::{ArgMatches, Command};
use control::native::{Environment, Request};

use crate::command::serve::print_out;
use crate::command::{ask, data_dir_argument, json_argument, understood};
use crate::fault::Fault;

pub(crate) fn definition() -> Command {
    Command::new("env")
        .about("Print shell exports that point an AWS CLI or SDK at a running server")
        .after_help("Use it as: eval \"$(imds env)\"")
        .arg(data_dir_argument())
        .arg(json_argument())
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Fault> {
    let answer = ask(matches, &Request::Environment {})?;
    if matches.get_flag("json") {
        return print_out(&format!("{answer}\n"));
    }
    let found: Environment = understood(answer)?;
    let exports = [
        ("AWS_ENDPOINT_URL", found.management_endpoint.trim_end_matches('/')),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", found.metadata_endpoint.as_str()),
        ("AWS_DEFAULT_REGION", found.region.as_str()),
        ("AWS_REGION", found.region.as_str()),
        ("AWS_ACCESS_KEY_ID", found.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", found.secret_access_key.expose().as_str()),
    ];
    let lines = exports.map(|(name, value)| format!("export {name}='{value}'\n"));
    // The token of another key would go with this one; a profile has a region and keys of its own.
    let unset = "unset AWS_SESSION_TOKEN AWS_SECURITY_TOKEN AWS_PROFILE AWS_DEFAULT_PROFILE\n";
    print_out(&(unset.to_owned() + &lines.concat()))
}
