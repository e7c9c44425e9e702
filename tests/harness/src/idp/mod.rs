//! OpenID providers to sign in with: a certified one ([`demo`]), and one that breaks every rule when told to ([`hostile`]).

pub mod demo;
pub mod hostile;

pub use demo::DemoId;
pub use hostile::Hostile;

use anyhow::{Context as _, Result};

/// Path, query and fragment of an address at `base`.
///
/// # Errors
/// It is another place.
pub(crate) fn below<'a>(base: &str, address: &'a str) -> Result<&'a str> {
    let rest = address.strip_prefix(base);
    rest.filter(|rest| rest.starts_with('/'))
        .with_context(|| format!("{address} is no address at {base}"))
}

/// The names of a provider's settings begin so.
pub(crate) fn setting(provider: &str, name: &str) -> String {
    format!("OIDC_{}_{name}", provider.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_below_its_own_site_alone() {
        let site = "http://localhost:1";
        assert_eq!(below(site, "http://localhost:1/a?b#c").unwrap(), "/a?b#c");
        for other in ["http://localhost:12/a", "http://localhost:1", "/a"] {
            assert!(below(site, other).is_err(), "{other}");
        }
    }
}
