//! The issuer's binary: see [`issuer::cli`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    issuer::cli::run().await
}
