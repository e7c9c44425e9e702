//! Exporting accounts as lines of JSON.

use std::io::{self, Write};

use shared::id::UserId;

use super::line::Line;
use crate::store::{Store, StoreError, directory};

/// Accounts in one query.
const PAGE: i64 = 1_000;

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Postgres.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("cannot write: {0}")]
    Io(#[from] io::Error),
}

/// Writes every account, in the order of ids. The hash of a password only where `with_hashes`.
///
/// An account that is made or deleted meanwhile may or may not be there. No transaction is held open for a slow reader.
///
/// # Errors
/// [`ExportError`]; what was written until then is whole lines.
pub async fn export(
    store: &Store,
    with_hashes: bool,
    out: &mut impl Write,
) -> Result<u64, ExportError> {
    let (mut after, mut count) = (UserId::from_bytes([0; 16]), 0);
    loop {
        let entries = directory::entries(&mut *store.conn().await?, after, PAGE).await?;
        let Some(last) = entries.last() else {
            out.flush()?;
            return Ok(count);
        };
        after = last.user.id;
        for mut entry in entries {
            let hash = entry.phc.take().filter(|_| with_hashes);
            let line = Line {
                password_hash: hash,
                ..Line::of(entry)
            };
            serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
            count += 1;
        }
    }
}
