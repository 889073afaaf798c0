//! `imds exec`: runs a command inside an instance that a namespace driver launched.

use std::ffi::OsString;
use std::process::Command as Process;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use model::InstanceId;
use network::{Namespace, NamespaceFault, Place};

use crate::command::instance::id;
use crate::fault::Fault;

pub(crate) fn definition() -> Command {
    Command::new("exec")
        .about("Run a command inside an instance launched with --driver netns")
        .arg(Arg::new("id").value_name("ID").required(true).help("The instance"))
        .arg(
            Arg::new("container")
                .long("container")
                .action(ArgAction::SetTrue)
                .help("Run it in the instance's container, one network hop further away"),
        )
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .required(true)
                .num_args(1..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString))
                .help("The command and its arguments"),
        )
        .after_help(
            "Example:\n  imds exec i-0123456789abcdef0 -- curl http://169.254.169.254/\n\nIts exit \
             status is the command's.",
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Fault> {
    let namespace = namespace(id(matches)?, matches.get_flag("container"))?;
    let mut words = matches.get_many::<OsString>("command").into_iter().flatten();
    let program = words.next().ok_or_else(|| Fault::usage("name a command to run"))?;
    Err(Fault::failed(&namespace.exec(Process::new(program).args(words))))
}

fn namespace(id: InstanceId, in_container: bool) -> Result<Namespace, Fault> {
    let (place, what, option) = if in_container {
        (Place::Container, "container", " --container")
    } else {
        (Place::Instance, "network namespace", "")
    };
    Namespace::named(&place.namespace_of(id)).map_err(|fault| {
        if matches!(fault, NamespaceFault::Absent(_)) {
            return Fault::told(format!(
                "{id} has no {what} here: launch one with `imds instance launch --driver \
                 netns{option}`"
            ));
        }
        Fault::failed(&fault)
    })
}
