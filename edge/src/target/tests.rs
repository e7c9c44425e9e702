use proptest::prelude::*;

use super::*;

fn read(path: &str) -> Result<(String, String), BadTarget> {
    let url = format!("https://site.test{path}");
    let target = Target::parse(&url)?;
    Ok((
        target.path().to_owned(),
        target.path_and_query().into_owned(),
    ))
}

#[test]
fn ordinary_targets_pass_as_they_are() {
    for path in [
        "/",
        "/app",
        "/app/",
        "/app/x?y=1&z=%2f..",
        "/a.b/..c/...",
        "/@me:x,(y)!$&'*+=",
        "/app?",
        "/a?b;c//d",
    ] {
        let url = format!("https://site.test{path}");
        let target = Target::parse(&url).unwrap();
        assert_eq!(target.path_and_query(), path);
        assert_eq!(target.path(), path.split('?').next().unwrap());
    }
    assert_eq!(read(""), Ok(("/".into(), "/".into())));
    assert_eq!(read("?x=1"), Ok(("/".into(), "/?x=1".into())));
    assert_eq!(read("/app#/../admin"), Ok(("/app".into(), "/app".into())));
}

#[test]
fn other_spellings_become_one() {
    for (written, checked, sent) in [
        ("/%61dmin", "/admin", "/admin"),
        ("/%41%2D%2e%5F%7e", "/A-._~", "/A-._~"),
        ("/a%3db", "/a=b", "/a%3Db"),
        ("/%40me", "/@me", "/%40me"),
        ("/a%20b c", "/a b c", "/a%20b%20c"),
        ("/caf%c3%a9", "/café", "/caf%C3%A9"),
        ("/café", "/café", "/caf%C3%A9"),
        ("/a%3Fb%23c", "/a?b#c", "/a%3Fb%23c"),
        (
            "/[x]{y}|^`\"<>",
            "/[x]{y}|^`\"<>",
            "/%5Bx%5D%7By%7D%7C%5E%60%22%3C%3E",
        ),
        ("/100%25", "/100%", "/100%25"),
        ("/100%25/x", "/100%/x", "/100%25/x"),
        ("/a?q='\"<> é#f", "/a", "/a?q=%27%22%3C%3E%20%C3%A9"),
    ] {
        assert_eq!(
            read(written),
            Ok((checked.to_owned(), sent.to_owned())),
            "{written}"
        );
    }
}

#[test]
fn paths_that_two_readers_could_read_differently_are_refused() {
    use BadTarget::*;
    let refused: &[(BadTarget, &[&str])] = &[
        (
            HiddenSlash,
            &[
                "/app/..%2fadmin",
                "/app%2Fx",
                "/%2f",
                "/app\\admin",
                "/app%5cadmin",
                "/app/%5C..%5Cadmin",
                "\\app",
                "/\\evil",
            ],
        ),
        (
            DotSegment,
            &[
                "/app/../admin",
                "/..",
                "/.",
                "/./app",
                "/app/.",
                "/app/..",
                "/%2e%2e/admin",
                "/app/%2E./admin",
                "/app/.%2e/admin",
                "/app/%2e",
                "/app/../",
                "/../../etc/passwd",
                "/app/./x",
            ],
        ),
        (
            EmptySegment,
            &[
                "//",
                "//admin",
                "/app//x",
                "/app//",
                "///",
                "//evil.test/admin",
            ],
        ),
        (
            Parameters,
            &[
                "/admin;x",
                "/admin;",
                "/;/admin",
                "/app;jsessionid=1/x",
                "/admin%3bx",
                "/admin%3B",
                "/..;/admin",
                "/app/..;x/admin",
            ],
        ),
        (
            Control,
            &[
                "/%00",
                "/admin%00.js",
                "/a%0d%0aX: y",
                "/a%09",
                "/a%7f",
                "/a%1F",
                "/admin\t",
                "/a\nb",
                "/\u{7f}",
            ],
        ),
        (
            BadEscape,
            &[
                "/%",
                "/%4",
                "/%zz",
                "/a%g0",
                "/%u0061dmin",
                "/100%",
                "/%2",
                "/a%-1",
            ],
        ),
        (
            DoubleEscape,
            &[
                "/%252e%252e/admin",
                "/%2561dmin",
                "/%252f",
                "/%255c",
                "/%2500",
                "/%25%36%31",
                "/%25%2561",
                "/%254%31",
                "/e%25`",
                "/%25\u{e9}",
            ],
        ),
        (
            NotUtf8,
            &[
                "/%ff",
                "/%c0%af",
                "/%c0%ae%c0%ae/admin",
                "/%e0%80%af",
                "/%80",
                "/%ed%a0%80",
                "/caf%e9",
            ],
        ),
    ];
    for (reason, paths) in refused {
        for path in *paths {
            assert_eq!(read(path), Err(*reason), "{path}");
        }
    }
    assert_eq!(Target::parse("/app"), Err(BadTarget::NotAbsolute));
}

/// What an ordinary origin does with a path: take it apart, decode each segment once.
fn as_an_origin_reads(sent: &str) -> Vec<Vec<u8>> {
    let path = sent.split('?').next().unwrap();
    path.split('/')
        .map(|segment| percent_decode(segment.as_bytes()))
        .collect()
}

fn percent_decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = bytes;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first == b'%' {
            let digits = std::str::from_utf8(&behind[..2]).unwrap();
            decoded.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &behind[2..];
        } else {
            decoded.push(*first);
        }
    }
    decoded
}

proptest! {
    #[test]
    fn what_is_checked_is_what_the_origin_reads(path in "/([a-z./%;\\\\?25efEF0 \u{e9}~@=\\x00-\\x1f]|%2[0-9a-f]|%[0-9a-f]{2}){0,24}") {
        let url = format!("https://site.test{path}");
        if let Ok(target) = Target::parse(&url) {
            let sent = target.path_and_query();
            let checked: Vec<Vec<u8>> = target.path().split('/').map(|segment| segment.as_bytes().to_vec()).collect();
            prop_assert_eq!(as_an_origin_reads(&sent), checked);
            prop_assert!(sent.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(!sent.split('?').next().unwrap().contains('\\'));
            prop_assert!(!target.path().split('/').any(|segment| segment == "." || segment == ".."));
        }
    }

    #[test]
    fn the_sent_form_reads_as_itself(path in "/[ -~]{0,24}") {
        let url = format!("https://site.test{path}");
        if let Ok(first) = Target::parse(&url) {
            let sent = format!("https://origin.test{}", first.path_and_query());
            let second = Target::parse(&sent).unwrap();
            prop_assert_eq!(second.path_and_query(), first.path_and_query());
            prop_assert_eq!(second.path(), first.path());
        }
    }
}
