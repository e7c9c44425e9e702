//! CORS preflights (Fetch §3.2.2): questions that browsers ask without any credential, before another site's request.

/// Whether a request is one. `names` are its header names, each on a line.
pub fn is_preflight(method: &str, names: &str, origin: Option<&str>) -> bool {
    method == "OPTIONS"
        && origin.is_some()
        && names
            .lines()
            .any(|name| name.eq_ignore_ascii_case("access-control-request-method"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_signs_are_needed() {
        let names = "accept\nAccess-Control-Request-Method\norigin";
        let origin = Some("https://other.test");
        assert!(is_preflight("OPTIONS", names, origin));
        assert!(!is_preflight("options", names, origin));
        assert!(!is_preflight("GET", names, origin));
        assert!(!is_preflight("OPTIONS", names, None));
        assert!(!is_preflight("OPTIONS", "accept\norigin", origin));
        assert!(!is_preflight(
            "OPTIONS",
            "x-access-control-request-method",
            origin
        ));
    }
}
