//! `imds exec`: runs a command inside an instance that a namespace driver launched.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command as Process;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use model::InstanceId;
use network::{Host, Namespace, NamespaceFault};

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
    let id = id(matches)?;
    let in_container = matches.get_flag("container");
    enter(id, in_container)?;
    let mut words = matches.get_many::<OsString>("command").into_iter().flatten();
    let program = words.next().ok_or_else(|| Fault::usage("name a command to run"))?;
    let refused = Process::new(program).args(words).exec();
    Err(Fault::told(format!("`{}` cannot be run: {refused}", program.display())))
}

/// Moves this process, which has one thread, into the instance's network namespace.
fn enter(id: InstanceId, in_container: bool) -> Result<(), Fault> {
    let name = if in_container { Host::container_namespace_of(id) } else { id.to_string() };
    let path = Namespace::path_of(&name);
    let what = if in_container { ("container", " --container") } else { ("network namespace", "") };
    let namespace = Namespace::open(&path).map_err(|fault| {
        if matches!(fault, NamespaceFault::Absent { .. }) {
            return Fault::told(format!(
                "{id} has no {} here: launch one with `imds instance launch --driver netns{}`",
                what.0, what.1
            ));
        }
        Fault::failed(&fault)
    })?;
    namespace.enter().map_err(|fault| Fault::failed(&fault))
}
