//! `imds identity`: what verifies identity documents.

use clap::{ArgMatches, Command};
use control::native::Request;

use crate::command::serve::print_out;
use crate::command::{ask, data_dir_argument, json_argument};
use crate::fault::Fault;

pub(crate) fn definition() -> Command {
    Command::new("identity")
        .about("Instance identity documents")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("certificates")
                .about("Print the certificates that verify identity documents, in PEM")
                .long_about(
                    "Print the certificates that verify identity documents, in PEM, each after a \
                     line that names the metadata file it belongs to: signature, pkcs7, rsa2048.\n\n\
                     Programs that verify EC2's documents have Amazon's certificates built in; they \
                     must be given these.",
                )
                .args([data_dir_argument(), json_argument()]),
        )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<(), Fault> {
    let Some(("certificates", matches)) = matches.subcommand() else {
        return Err(Fault::usage("no such command: `imds identity --help` lists them"));
    };
    let answer = ask(matches, &Request::IdentityCertificates {})?;
    if matches.get_flag("json") {
        return print_out(&format!("{answer}\n"));
    }
    let named = answer.as_object().into_iter().flatten();
    let texts = named.map(|(name, pem)| format!("# {name}\n{}", pem.as_str().unwrap_or_default()));
    print_out(&texts.collect::<String>())
}
