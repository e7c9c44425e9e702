//! CORS preflights (Fetch §3.2.2): questions that browsers ask without any credential, before another site's request.

use crate::config::Config;
use crate::policy::Route;
use crate::refusal::Refusal;
use crate::rule::cors::{Cors, Headers, Question, Readable};
use crate::target::Target;

/// Whether a request is one. `wanted_method` is its `Access-Control-Request-Method`.
pub fn is_preflight(method: &str, wanted_method: Option<&str>, origin: Option<&str>) -> bool {
    method == "OPTIONS" && wanted_method.is_some() && origin.is_some()
}

/// The edge's answer to a preflight for `url`, if the rule for the request that it announces lets the edge answer: headers
/// that allow the request, or why it is not allowed, and who may read that.
pub fn answer(
    config: &Config,
    url: &str,
    question: &Question<'_>,
) -> Option<Result<Headers, (Refusal, Readable)>> {
    let target = Target::parse(url).ok()?;
    let Route::Origin(rule) = config.policy.classify(question.method, target.path()) else {
        return None;
    };
    let Cors::ByEdge(table) = &rule.cors else {
        return None;
    };
    let answer = table.answer(question);
    Some(answer.map_err(|(what, readable)| (Refusal::Preflight(what), readable)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{SITE, config};

    /// The rule is that of the announced method; for other methods of the path the story goes on.
    #[test]
    fn the_edge_answers_where_the_rule_of_the_announced_request_says_so() {
        let config = config();
        let ask = |method, path: &str| {
            let question = Question {
                origin: "https://app.example",
                method,
                headers: "authorization",
            };
            answer(&config, &format!("{SITE}{path}"), &question)
        };
        let allowed = ask("PUT", "/shared/x").unwrap().unwrap();
        assert!(allowed.contains(&("Access-Control-Allow-Origin", "https://app.example".into())));
        let (refusal, _) = ask("DELETE", "/shared/x").unwrap().unwrap_err();
        assert_eq!(refusal, Refusal::Preflight("this method"));
        for path in [
            "/app/x",
            "/cors/x",
            "/auth/session",
            "/edge/x",
            "/shared//x",
            "/",
        ] {
            assert_eq!(ask("PUT", path), None, "{path}");
        }
    }

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
