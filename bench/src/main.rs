//! What an answer of OpenIMDS costs, measured beside the least that any server must pay.
//!
//! Three servers are measured in interleaved rounds of one run: the *floor* (the least an epoll
//! server can do), nginx with a constant answer, and `imds`. Each is pinned to one core, and the
//! load comes from another. Figures are the kernel's own, never the server's word.
//!
//! It sends nothing beyond loopback, leaves no process behind, and has no opinion: a missed bar
//! is printed, and only a wrong answer fails the run.
//!
//! ```text
//!   run ── cpu ────── load (closed loop) ──► floor · nginx · imds ──► kernel: CPU time
//!       ├─ latency ── load (open loop) ────► floor · nginx · imds
//!       ├─ memory ─────────────────────────► nginx · imds ──────────► kernel: resident pages
//!       ├─ start ──────────────────────────► imds
//!       ├─ change, walk ─── operator ──────► imds
//!       ├─ verdicts ───────────────────────► the policy engine, in this process
//!       └─ report ──► Markdown
//! ```
//!
//! Start reading in `run.rs`; `load.rs` and `floor.rs` stand alone.

mod answer;
mod args;
mod bars;
mod calm;
mod change;
mod client;
mod cores;
mod cpu;
mod fleet;
mod floor;
mod kernel;
mod latency;
mod load;
mod machine;
mod memory;
mod operator;
mod report;
mod request;
mod run;
mod sample;
mod servers;
mod start;
mod stats;
mod table;
mod verdicts;
mod walk;

use std::process::ExitCode;

use clap::Parser;

/// Anything that ends the program early; printed once, by [`main`].
type Fault = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let outcome = match args.command {
        args::Command::Floor(args) => floor::serve(&args),
        args::Command::Load(args) => load::command(&args),
        args::Command::Run(args) => run::command(&args),
        args::Command::Verdicts => run::verdicts(),
    };
    outcome.unwrap_or_else(|fault| {
        eprintln!("openimds-bench: {fault}");
        ExitCode::FAILURE
    })
}
