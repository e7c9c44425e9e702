//! Which rule a request falls under.
//!
//! A rule names a request if it names its path and its method. Of the rules that name it, **the most specific wins**:
//! an exact path before a prefix, a longer prefix before a shorter one, and for the same path a rule with `methods`
//! before one without. Where no rule names the request, it takes a signed-in user. `/app/*` names `/app` as well, so
//! that nothing guarded stays open by a missing slash; `/` names the front page only, `/*` everything.
//!
//! Origins may take two spellings of a path for one. So a path that differs from a ruled one in letter case only, or from
//! an exact and guarded one by a final slash, falls under no wider rule: it leads nowhere. And they may take `/x.json` for `/x`
//! in another format (Rails, Spring), so a guarded rule for `/x` or `/x/*` also names `/x.json`, `/x.csv` and so on, unless
//! another names that path exactly or asks for more; where neither of the two asks for all that the other does, it leads
//! nowhere.
//!
//! Refused when the rules are read: two rules for one path (capitals do not tell paths apart) that share a method, and
//! a guarded path of which some methods would fall to a public rule.
//!
//! Some paths are ours and come before every rule: see [`own_path`].

use std::cmp::Reverse;

use crate::rule::{Access, BadRule, Pattern, RawRule, Rule};

/// The rules, the most specific first.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: Vec<Rule>,
    fallback: Rule,
}

/// Where a request goes, and under which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// To the issuer, which guards itself.
    Issuer,
    /// To the origin, if the rule lets it pass.
    Origin(&'a Rule),
    /// Nowhere: between edge and issuer only.
    Hidden,
    /// Nowhere: an origin that does not tell capitals from small letters, or `/x` from `/x/`, would take it for a path under
    /// another rule.
    Respelled,
}

/// Why rules are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// Not a list of rules.
    #[error("ROUTES: {0}")]
    Shape(String),
    /// One rule is wrong in itself.
    #[error("ROUTES: the rule for `{path}`: {reason}")]
    Rule {
        /// As written.
        path: String,
        /// What is wrong.
        reason: BadRule,
    },
    /// Two rules would both be the most specific.
    #[error("ROUTES: two rules for `{0}` share a method")]
    Ambiguous(String),
    /// Guarded for some methods, and public for others only because a wider rule is.
    #[error(
        "ROUTES: `{path}` is guarded for some methods, and {method} would fall to a public rule; name it"
    )]
    Opens {
        /// The guarded path.
        path: String,
        /// A method that the wider rule would open.
        method: String,
    },
}

impl Policy {
    /// Reads the rules from JSON: an array of objects.
    ///
    /// # Errors
    /// [`BadPolicy`] with the first thing that is wrong. Nothing is ever skipped.
    pub fn from_json(json: &str) -> Result<Self, BadPolicy> {
        let raw: Vec<RawRule> =
            serde_json::from_str(json).map_err(|error| BadPolicy::Shape(error.to_string()))?;
        let mut rules = raw
            .into_iter()
            .map(checked)
            .collect::<Result<Vec<Rule>, _>>()?;
        rules.sort_by_key(|rule| Reverse(specificity(rule)));
        refuse_ambiguity(&rules)?;
        let policy = Self {
            rules,
            fallback: Rule::fallback(),
        };
        policy.refuse_openings()?;
        Ok(policy)
    }

    /// The route of a request for the decoded `path`.
    pub fn classify(&self, method: &str, path: &str) -> Route<'_> {
        if let Some(own) = own_path(path) {
            return own;
        }
        let rules = || self.rules.iter().filter(|rule| rule.names_method(method));
        let named = rules().find(|rule| rule.pattern.holds_in_any_case(path));
        let is_exact = named.is_some_and(|rule| matches!(rule.pattern, Pattern::Exact(_)));
        let is_guarded = |rule: &Rule| rule.access != Access::Public;
        if !is_exact && rules().any(|rule| is_guarded(rule) && rule.pattern.is_one_slash_from(path))
        {
            return Route::Respelled;
        }
        let wider = match named {
            None => &self.fallback,
            Some(rule) if rule.pattern.holds(path) => rule,
            Some(_) => return Route::Respelled,
        };
        // In whatever letters: the wider rule names other paths, so that capitals do not show there.
        let as_format = rules()
            .filter(|_| !is_exact)
            .find(|rule| is_guarded(rule) && rule.pattern.holds_as_format(path));
        match as_format {
            None => Route::Origin(wider),
            Some(rule) if rule.asks_all_of(wider) => Route::Origin(rule),
            Some(rule) if wider.asks_all_of(rule) => Route::Origin(wider),
            Some(_) => Route::Respelled,
        }
    }

    fn refuse_openings(&self) -> Result<(), BadPolicy> {
        // Every method that a rule tells apart, and one that none does.
        let mut methods: Vec<&str> = self
            .rules
            .iter()
            .flat_map(|rule| rule.methods.iter().flatten())
            .map(String::as_str)
            .collect();
        methods.push("any other");
        for rule in self
            .rules
            .iter()
            .filter(|rule| rule.access != Access::Public && rule.methods.is_some())
        {
            for method in &methods {
                if self.opens(rule, method) {
                    return Err(BadPolicy::Opens {
                        path: rule.pattern.literal().to_owned(),
                        method: (*method).to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether another rule makes public by `method` what `rule` guards by others: its own path, or where it names all below,
    /// one that no rule can name.
    fn opens(&self, rule: &Rule, method: &str) -> bool {
        let own = rule.pattern.literal();
        let below = matches!(rule.pattern, Pattern::Below(_)).then(|| format!("{own}/*"));
        [Some(own), below.as_deref()]
            .into_iter()
            .flatten()
            .any(|path| {
                matches!(self.classify(method, path), Route::Origin(other)
                    if other.access == Access::Public && other.pattern != rule.pattern)
            })
    }
}

/// The paths of Portcullis itself: `/auth/*`, `/oauth/*` and two documents go to the issuer, `/edge/*` nowhere.
fn own_path(path: &str) -> Option<Route<'static>> {
    const DOCUMENTS: [&str; 2] = [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
    ];
    let first = path
        .get(1..)
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    let is = |name: &str| first.eq_ignore_ascii_case(name);
    let is_document = DOCUMENTS
        .iter()
        .any(|document| path.eq_ignore_ascii_case(document));
    if is("edge") {
        return Some(Route::Hidden);
    }
    if !(is("auth") || is("oauth") || is_document) {
        return None;
    }
    let as_written = matches!(first, "auth" | "oauth") || DOCUMENTS.contains(&path);
    Some(if as_written {
        Route::Issuer
    } else {
        Route::Respelled
    })
}

fn checked(raw: RawRule) -> Result<Rule, BadPolicy> {
    let path = raw.path.clone();
    match raw.check() {
        Ok(rule) if own_path(rule.pattern.literal()).is_some() => Err(BadPolicy::Rule {
            path,
            reason: BadRule::OwnPath,
        }),
        Ok(rule) => Ok(rule),
        Err(reason) => Err(BadPolicy::Rule { path, reason }),
    }
}

fn specificity(rule: &Rule) -> (bool, usize, bool) {
    (
        matches!(rule.pattern, Pattern::Exact(_)),
        rule.pattern.literal().len(),
        rule.methods.is_some(),
    )
}

fn refuse_ambiguity(rules: &[Rule]) -> Result<(), BadPolicy> {
    for (index, one) in rules.iter().enumerate() {
        for other in rules.iter().skip(index + 1) {
            if same_paths(&one.pattern, &other.pattern) && share_a_method(one, other) {
                return Err(BadPolicy::Ambiguous(one.pattern.literal().to_owned()));
            }
        }
    }
    Ok(())
}

fn same_paths(one: &Pattern, other: &Pattern) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
        && one.literal().eq_ignore_ascii_case(other.literal())
}

fn share_a_method(one: &Rule, other: &Rule) -> bool {
    match (&one.methods, &other.methods) {
        (None, None) => true,
        (Some(methods), Some(_)) => {
            methods.iter().any(|method| other.names_method(method))
                || other
                    .methods
                    .iter()
                    .flatten()
                    .any(|method| one.names_method(method))
        }
        // The one with methods is the more specific for them, the other has the rest.
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests;
