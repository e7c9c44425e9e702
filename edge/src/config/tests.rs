use super::*;
use crate::fixtures::setting;

fn with(name: &'static str, value: Option<&'static str>) -> Result<Config, BadConfig> {
    Config::parse(|asked| {
        if asked == name {
            value.map(str::to_owned)
        } else {
            setting(asked)
        }
    })
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for name in [
        "PUBLIC_URL",
        "ISSUER_URL",
        "ORIGIN_URL",
        "EDGE_SECRET",
        "ORIGIN_SECRET",
        "ROUTES",
    ] {
        assert_eq!(with(name, None).unwrap_err(), BadConfig::Missing(name));
        assert_eq!(with(name, Some(" ")).unwrap_err(), BadConfig::Missing(name));
    }
    for url in [
        "site.test",
        "ftp://site.test",
        "https://",
        "https://site.test/base",
        "https://u:p@site.test",
        "https://site.test?x",
        "https://a b",
    ] {
        assert_eq!(
            with("ORIGIN_URL", Some(url)).unwrap_err(),
            BadConfig::Url("ORIGIN_URL"),
            "{url}"
        );
    }
    assert!(matches!(
        with("JWT_SECRET", Some("short")),
        Err(BadConfig::Secret("JWT_SECRET", _))
    ));
    assert!(matches!(
        with("EDGE_SECRET", Some("short")),
        Err(BadConfig::Secret("EDGE_SECRET", _))
    ));
    assert_eq!(
        with("TRUSTED_CLIENT_IP_HEADER", Some("x:y")).unwrap_err(),
        BadConfig::HeaderName("TRUSTED_CLIENT_IP_HEADER")
    );
    assert_eq!(
        with("X_FORWARDED_FOR", Some("true")).unwrap_err(),
        BadConfig::ReplaceOrAppend("X_FORWARDED_FOR")
    );
    assert!(matches!(
        with("ROUTES", Some("[{}]")),
        Err(BadConfig::Policy(_))
    ));
}

#[test]
fn a_worker_serves_its_site_and_what_else_is_named() {
    for (public, more, own, foreign) in [
        (
            "https://site.test",
            "",
            &["site.test", "SITE.Test", "site.test:443"][..],
            &[
                "",
                "test",
                "evil.test",
                "site.test.",
                "site.test:80",
                "site.test:8443",
                "x.site.test",
                "xsite.test",
                "site.test@evil.test",
                "u@site.test",
                "site.test, evil.test",
                "//site.test",
            ][..],
        ),
        (
            "http://localhost:8787",
            " Other.test:8443 ,[::1]:8787,",
            &["localhost:8787", "other.test:8443", "[::1]:8787"],
            &["localhost", "localhost:80", "other.test", "[::1]"],
        ),
        (
            "http://site.test",
            "www.site.test:80",
            &["site.test:80", "www.site.test"],
            &["site.test:443", "www.site.test:443"],
        ),
    ] {
        let config = Config::parse(|asked| match asked {
            "PUBLIC_URL" => Some(public.to_owned()),
            "ALSO_SERVES" => Some(more.to_owned()),
            other => setting(other),
        })
        .unwrap();
        for (authorities, expected) in [(own, true), (foreign, false)] {
            for authority in authorities {
                assert_eq!(config.serves(authority), expected, "{public}: {authority}");
            }
        }
    }
    for bad in [
        "https://site.test",
        "site.test/",
        "a b",
        "a;b",
        "*",
        "u@site.test",
    ] {
        let error = with("ALSO_SERVES", Some(bad)).unwrap_err();
        assert_eq!(error, BadConfig::Authorities("ALSO_SERVES"), "{bad}");
    }
}

#[test]
fn no_message_holds_a_secret() {
    let error = with("EDGE_SECRET", Some("tell-nobody")).unwrap_err();
    assert!(!error.to_string().contains("tell-nobody"), "{error}");
    let secrets = "9f3c1e7ab45d2086ee17c94b60fa8d23,mJ4vQ0s8Zk1xTn6cWb3yRf7uHd2eLg5p";
    let config = with("JWT_SECRET", Some(secrets)).unwrap();
    let keys = config.fixed_keys.as_ref().map(|keys| keys.keys().len());
    assert_eq!(keys, Some(2), "new,old");
    let printed = format!("{config:?}");
    assert!(printed.contains("http://issuer.internal:8081"), "{printed}");
    let secrets = ["EDGE_SECRET", "ORIGIN_SECRET"].map(|name| setting(name).unwrap());
    let token = config.edge_token.expose().to_owned();
    for secret in secrets.into_iter().chain([token, "9f3c1e7a".to_owned()]) {
        assert!(secret.len() >= 8 && !printed.contains(&secret), "{secret}");
    }
}

#[test]
fn urls_are_written_as_browsers_write_origins() {
    for (written, read) in [
        ("https://Site.Test/", "https://site.test"),
        ("https://site.test:443", "https://site.test"),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://[::1]:8787/", "http://[::1]:8787"),
    ] {
        assert_eq!(BaseUrl::parse(written).unwrap().as_str(), read);
    }
    assert_eq!(
        BaseUrl::parse("http://localhost:8787").unwrap().authority(),
        "localhost:8787"
    );
}
