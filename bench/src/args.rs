//! What the user may ask for.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::request::Kind;

/// Connections in flight under load, the same for every server: how many events one `epoll_wait`
/// returns changes what a request costs.
pub(crate) const CONNECTIONS: u16 = 64;

/// Measures the CPU time, latency, memory and start of `imds` beside a floor server and nginx.
#[derive(Debug, Parser)]
#[command(name = "openimds-bench", version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve one constant answer with the least that an epoll server can do
    Floor(FloorArgs),
    /// Put load on one server and print what it cost
    Load(LoadArgs),
    /// Measure floor, nginx and imds, and print the table
    Run(RunArgs),
    /// Measure the verdicts of the policy engine alone
    Verdicts,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FloorArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddrV4,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Server to load
    #[arg(long)]
    pub(crate) to: SocketAddrV4,
    /// Request to send
    #[arg(long, value_enum, default_value_t = Kind::Get)]
    pub(crate) request: Kind,
    /// Expect 200 whatever the request, as servers of a constant answer give
    #[arg(long)]
    pub(crate) constant: bool,
    /// Connections in flight (closed loop)
    #[arg(long, default_value_t = CONNECTIONS, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) connections: u16,
    /// Requests a second, at fixed distances (open loop); without it, closed loop
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Seconds to go on for
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Core to run on
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// Server process whose CPU time to account, its children included
    #[arg(long)]
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The imds program; without it only floor and nginx are measured
    #[arg(long)]
    pub(crate) imds: Option<PathBuf>,
    /// Further argument for `imds serve` (repeatable)
    #[arg(long = "imds-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub(crate) imds_args: Vec<String>,
    /// The nginx program
    #[arg(long, default_value = "nginx")]
    pub(crate) nginx: PathBuf,
    /// Fewer and shorter rounds: a look, not a result
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure what it takes to hold so many instances (repeatable); 0 measures none
    #[arg(long, value_name = "INSTANCES", default_values_t = [1, 1000, 100_000, 1_000_000],
          value_parser = clap::value_parser!(u32).range(..=16_000_000))]
    pub(crate) fleet: Vec<u32>,
    /// Core for the servers; by default the second that may be used
    #[arg(long)]
    pub(crate) server_cpu: Option<usize>,
    /// Core for the load; by default the first that may be used
    #[arg(long)]
    pub(crate) load_cpu: Option<usize>,
    /// Write the report to this file too
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
}
