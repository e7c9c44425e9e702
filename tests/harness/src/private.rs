//! Secrets that are made here, and files for them.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// 32 random bytes, as hex.
///
/// # Errors
/// The operating system has none.
pub(crate) fn random_hex() -> Result<String> {
    let mut bytes = [0; 32];
    if let Err(error) = getrandom::fill(&mut bytes) {
        bail!("the operating system gives no random bytes: {error}");
    }
    Ok(hex::encode(bytes))
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_private_file_is_its_owners_alone() {
        let path = crate::workspace::scratch().unwrap().join("private");
        write_private(&path, &random_hex().unwrap()).unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        assert_eq!((meta.permissions().mode() & 0o777, meta.len()), (0o600, 64));
    }
}
