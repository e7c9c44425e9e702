//! `cargo measure`: the benchmarks, as tables of ratios and as JSON.
//!
//! Every measurement is taken side by side with what else could do the work, on the same machine in the same minute:
//! the ratios mean something elsewhere, the absolute numbers do not.
//!
//! - [`edge`]: what guarding a request costs in the worker;
//! - [`revocation`]: how long a session that was signed out is still let in;
//! - [`sign_in`]: whether the time of a failed sign-in tells what was wrong;
//! - [`streams`]: what an open connection costs in the worker;
//! - [`view`]: what the worker's copy of the revocations costs;
//! - below it, what measurements share: [`load`] asks and counts, [`http`] reads answers, [`origin`] gives some,
//!   [`cpu`] reads a process's CPU time, [`statistics`] makes one number out of many.

mod cpu;
mod edge;
mod http;
mod load;
mod origin;
mod revocation;
mod sign_in;
mod statistics;
mod streams;
mod view;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo measure",
    about = "The benchmarks of Portcullis, side by side with peers"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What guarding a request costs in the worker: CPU time and throughput, against a floor, jose and a pass-through.
    Edge(edge::Options),
    /// How long a session that was signed out is still let in, at eight edges, while something is broken.
    Revocation(revocation::Options),
    /// How long a failed sign-in takes where the account exists, does not, or is disabled: nobody must be able to tell.
    SignIn(sign_in::Options),
    /// What an open connection costs in the worker: a message, and the memory of a WebSocket, beside a plain pass-through.
    Streams(streams::Options),
    /// What the worker's copy of the revocations costs in wasm: a lookup, a thousand new ones, memory.
    View(view::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Edge(options) => edge::run(&options),
        Command::Revocation(options) => revocation::run(&options),
        Command::SignIn(options) => sign_in::run(&options),
        Command::Streams(options) => streams::run(&options),
        Command::View(options) => view::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_bounded() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["measure", "edge", "--rounds", "0"]).is_err());
        assert!(Cli::try_parse_from(["measure", "edge", "--seconds", "-1"]).is_err());
        assert!(
            Cli::try_parse_from([
                "measure",
                "edge",
                "--json",
                "x",
                "--rounds",
                "3",
                "--seconds",
                "0.5"
            ])
            .is_ok()
        );
    }
}
