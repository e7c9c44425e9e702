//! Random bytes: the only file of the issuer that draws them, from the operating system's CSPRNG.

/// The operating system gave no random bytes.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct EntropyError(#[from] getrandom::Error);

/// `N` fresh random bytes.
///
/// # Errors
/// [`EntropyError`] where the operating system has none.
pub fn bytes<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the source of randomness"
    )]
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A number from 0 to 1, for spreading retries; not for secrets. Falls back to the middle.
pub fn jitter() -> f64 {
    bytes::<4>().map_or(0.5, |bytes| {
        f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<16>().unwrap(), bytes::<16>().unwrap());
        assert!((0.0..=1.0).contains(&jitter()));
    }
}
