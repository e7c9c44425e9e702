//! `issuer users import` and `issuer users export`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};

use serde_json::json;

use super::CliError;
use super::output::Output;
use crate::account::export;
use crate::account::import::{self, ImportError};
use crate::events::By;
use crate::services::Services;

/// Imports `path`, or standard input where it is `-`.
pub(super) async fn import(
    services: &Services,
    path: &str,
    output: Output,
) -> Result<(), CliError> {
    let (store, clock) = (&services.store, &services.clock);
    let imported: Result<usize, ImportError> = if path == "-" {
        import::import(store, clock, By::CLI, BufReader::new(io::stdin())).await
    } else {
        let file = File::open(path).map_err(|error| CliError::File {
            path: path.to_owned(),
            error,
        })?;
        import::import(store, clock, By::CLI, BufReader::new(file)).await
    };
    let imported = imported?;
    output.say(&json!({ "imported": imported }), || {
        format!("{imported} imported")
    });
    Ok(())
}

/// Exports to standard output: lines of JSON, whatever the output is to be.
pub(super) async fn export(services: &Services, with_hashes: bool) -> Result<(), CliError> {
    let mut out = BufWriter::new(io::stdout());
    export::export(&services.store, with_hashes, &mut out).await?;
    Ok(())
}
