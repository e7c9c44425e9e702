//! JSON from outside, read so that a refusal names the field.

use serde::de::DeserializeOwned;

/// Characters of what the parser says that are passed on.
const MAX_PROBLEM: usize = 200;

/// Reads one JSON value and nothing behind it. Where `T` denies unknown fields, serde also refuses one that stands twice.
///
/// # Errors
/// The field and what is wrong with it, in one line. It may hold words of the sender's: nothing for a log.
pub(crate) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, String> {
    let mut parser = serde_json::Deserializer::from_slice(json);
    let parsed = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let (path, problem) = (error.path().to_string(), error.inner().to_string());
        // Where in the text it stands is of no use to whoever has the name.
        let problem = problem.split(" at line ").next().unwrap_or_default();
        let text = match path.as_str() {
            "." => problem.to_owned(),
            path => format!("{path}: {problem}"),
        };
        let one_line = text.chars().filter(|char| !char.is_control());
        one_line.take(MAX_PROBLEM).collect::<String>()
    })?;
    match parser.end() {
        Ok(()) => Ok(parsed),
        Err(_) => Err("there is more behind the JSON object".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        roles: Vec<String>,
    }

    #[test]
    fn what_is_wrong_names_the_field() {
        assert_eq!(parse::<Body>(br#"{"roles":["a"]}"#).unwrap().roles, ["a"]);
        for (json, field) in [
            (r#"{}"#, "roles"),
            (r#"{"roles":7}"#, "roles: "),
            (r#"{"roles":["a",7]}"#, "roles[1]: "),
            (r#"{"roles":["a"],"role":1}"#, "`role`"),
            (r#"{"roles":[],"roles":[]}"#, "`roles`"),
            (r#"{"roles":["#, "roles"),
            (r#"{"roles":[]} x"#, "behind"),
        ] {
            let problem = parse::<Body>(json.as_bytes()).unwrap_err();
            assert!(problem.contains(field), "{json}: {problem}");
            assert!(!problem.contains(" line "), "{problem}");
        }
    }

    #[test]
    fn what_was_sent_does_not_come_back_at_length_or_over_several_lines() {
        let json = format!(r#"{{"roles":"{}"}}"#, "x".repeat(10_000));
        assert_eq!(
            parse::<Body>(json.as_bytes()).unwrap_err().len(),
            MAX_PROBLEM
        );
        let problem = parse::<Body>(br#"{"a\nb\u001b[2J":1}"#).unwrap_err();
        assert!(!problem.contains(char::is_control), "{problem:?}");
    }
}
