//! The commands: each a thin call into a library function.

mod doctor;
mod env;
mod exec;
pub(crate) mod get;
mod identity;
mod instance;
mod notice;
mod policy;
mod print;
mod serve;
mod service;
pub(crate) mod undelivered;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use crate::fault::Fault;

/// What every command that asks a server takes.
pub(crate) fn data_dir_argument() -> Arg {
    Arg::new("data_dir")
        .long("data-dir")
        .value_name("DIR")
        .help("State directory of the server; by default the one that `imds serve` uses")
}

/// What every command takes that can speak to programs.
pub(crate) fn json_argument() -> Arg {
    Arg::new("json").long("json").action(clap::ArgAction::SetTrue).help("Print JSON, for programs")
}

/// Defines the command line.
pub(crate) fn definition() -> Command {
    Command::new("imds")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The EC2 Instance Metadata Service, versions 1 and 2, for any machine")
        .after_help(
            "First steps:\n  imds serve                   start a server; it says where\n  \
             eval \"$(imds env)\"           point AWS CLIs, SDKs and `imds get` at it\n  \
             imds get latest/meta-data/   ask it, with a session token\n\n\
             Exit status: 0 done, 1 failed, 2 not written right, 3 something was found, 4 \
             something could not be assessed.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([
            serve::definition(),
            env::definition(),
            get::definition(),
            instance::definition(),
            exec::definition(),
            doctor::definition(),
            policy::definition(),
            identity::definition(),
            print::completions(),
            print::man(),
        ])
}

/// What a command that did its work came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is nothing more to say.
    Done,
    /// Something was found that should not be so.
    Found,
    /// Nothing was found, but not everything could be looked at.
    NotAssessed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Found => 3,
            Outcome::NotAssessed => 4,
        })
    }
}

/// Runs the command that was given.
pub(crate) fn run(matches: &ArgMatches) -> Result<Outcome, Fault> {
    let done = |()| Outcome::Done;
    match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches).map(done),
        Some(("env", matches)) => env::run(matches).map(done),
        Some(("get", matches)) => get::run(matches).map(done),
        Some(("instance", matches)) => instance::run(matches).map(done),
        Some(("exec", matches)) => exec::run(matches).map(done),
        Some(("doctor", matches)) => doctor::run(matches),
        Some(("policy", matches)) => policy::run(matches),
        Some(("identity", matches)) => identity::run(matches).map(done),
        Some(("completions", matches)) => print::run_completions(matches).map(done),
        Some(("man", matches)) => print::run_man(matches).map(done),
        _ => Err(Fault::usage("no such command: `imds --help` lists them")),
    }
}

/// Returns the state directory: the one named, or where servers keep it.
pub(crate) fn state_directory(named: Option<PathBuf>) -> Result<PathBuf, Fault> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let found = named
        .or_else(|| variable("STATE_DIRECTORY").map(PathBuf::from))
        .or_else(|| variable("XDG_STATE_HOME").map(|home| PathBuf::from(home).join("imds")))
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".local/state/imds")));
    found.ok_or_else(|| {
        Fault::usage("no state directory: there is no $HOME either, so name one with --data-dir")
    })
}

/// Returns the state directory that an argument or a variable names.
pub(crate) fn named_directory(matches: &ArgMatches) -> Option<PathBuf> {
    let named = matches.get_one::<String>("data_dir").map(PathBuf::from);
    named.or_else(|| std::env::var_os("IMDS_DATA_DIR").map(PathBuf::from))
}

/// Asks the server that the arguments lead to.
pub(crate) fn ask(
    matches: &ArgMatches,
    request: &control::native::Request,
) -> Result<serde_json::Value, Fault> {
    let named = named_directory(matches);
    server::ask(&state_directory(named)?, request).map_err(|fault| Fault::failed(&fault))
}

/// Reads an answer as what it should be.
pub(crate) fn understood<T: serde::de::DeserializeOwned>(
    answer: serde_json::Value,
) -> Result<T, Fault> {
    serde_json::from_value(answer).map_err(|fault| {
        Fault::told(format!(
            "the server's answer is not understood: {fault}; is it another version?"
        ))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::definition().debug_assert();
    }
}
