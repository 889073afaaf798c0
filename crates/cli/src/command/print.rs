//! `imds completions` and `imds man`: what comes from the definition of the command line.

use std::fs;
use std::path::Path;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::command::definition;
use crate::command::serve::print_out;
use crate::fault::Fault;

pub(crate) fn completions() -> Command {
    Command::new("completions").about("Print a completion script for a shell").arg(
        Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)),
    )
}

pub(crate) fn man() -> Command {
    Command::new("man").about("Print the manual page, or write one for each command").arg(
        Arg::new("dir").long("dir").value_name("DIR").help("Write a page for each command here"),
    )
}

pub(crate) fn run_completions(matches: &ArgMatches) -> Result<(), Fault> {
    let mut script = Vec::new();
    if let Some(shell) = matches.get_one::<Shell>("shell") {
        clap_complete::generate(*shell, &mut definition(), "imds", &mut script);
    }
    print_out(&String::from_utf8_lossy(&script))
}

pub(crate) fn run_man(matches: &ArgMatches) -> Result<(), Fault> {
    let fault = |fault: std::io::Error| Fault::failed(&fault);
    match matches.get_one::<String>("dir") {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(definition()).render(&mut page).map_err(fault)?;
            print_out(&String::from_utf8_lossy(&page))
        }
        Some(directory) => {
            fs::create_dir_all(directory).map_err(fault)?;
            clap_mangen::generate_to(definition(), Path::new(directory)).map_err(fault)
        }
    }
}
