//! `cargo dev`, `cargo verify`, and what they are made of, one by one.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use harness::dev::{self, Data};

/// Gets the stack ready, runs it, checks it.
#[derive(Debug, Parser)]
#[command(name = "harness")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs everything on this machine: Postgres, issuer, edge under wrangler, demo origin.
    Dev {
        /// Where the site is to be reached; every port has its own data.
        #[arg(long, default_value_t = 8787, value_parser = clap::value_parser!(u16).range(1024..))]
        port: u16,
        /// Forgets the data of this port first.
        #[arg(long)]
        fresh: bool,
    },
    /// Checks everything: format, clippy, and all tests.
    Verify,
    /// Builds the worker into target/edge.
    BuildEdge,
    /// Gets what is missing on this machine, and nothing else.
    Setup,
}

fn main() -> ExitCode {
    let result = match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let result = runtime.block_on(run(Arguments::parse().command));
            // What still blocks, such as a build that nobody waits for, ends with the process.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dev { port, fresh } => {
            let data = if fresh { Data::Forgotten } else { Data::Kept };
            let routes = None;
            dev::run(dev::Options { port, data, routes }).await
        }
        Command::Verify => harness::verify::run().await,
        Command::BuildEdge => harness::worker_build::build_here(),
        Command::Setup => harness::setup::for_verify().map(|_| println!("everything is there")),
    }
}
