//! `imds`: the EC2 Instance Metadata Service as a program.
//!
//! This crate turns what people write (flags, variables, files) into what the libraries mean, and
//! faults into sentences and exit codes. It is the only crate that prints.
//!
//! Start reading at [`command`] for the commands, and at [`settings`] for what can be set.

/// Prints a line to standard error. Where nobody takes it, a full disk or a closed pipe, it is lost:
/// no server ends because nobody listens to what it says.
macro_rules! say {
    ($($text:tt)+) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)+);
    }};
}

mod command;
mod doctor;
mod fault;
mod settings;
mod sys;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = match command::definition().try_get_matches() {
        Ok(matches) => matches,
        Err(usage) => usage.exit(),
    };
    match command::run(&matches) {
        Ok(outcome) => outcome.into(),
        Err(fault) => {
            say!("imds: {fault}");
            ExitCode::from(fault.exit_code())
        }
    }
}
