//! CORS preflights (Fetch §3.2.2): questions that browsers ask without any credential, before another site's request.

/// Whether a request is one. `wanted_method` is its `Access-Control-Request-Method`.
pub fn is_preflight(method: &str, wanted_method: Option<&str>, origin: Option<&str>) -> bool {
    method == "OPTIONS" && wanted_method.is_some() && origin.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_signs_are_needed() {
        let (wanted, origin) = (Some("PUT"), Some("https://other.test"));
        assert!(is_preflight("OPTIONS", wanted, origin));
        assert!(!is_preflight("options", wanted, origin));
        assert!(!is_preflight("GET", wanted, origin));
        assert!(!is_preflight("OPTIONS", wanted, None));
        assert!(!is_preflight("OPTIONS", None, origin));
    }
}
