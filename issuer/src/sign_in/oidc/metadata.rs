//! What a provider says of itself (OpenID Connect Discovery 1.0 §3, RFC 8414, RFC 9207 §3).
//!
//! Read here and not by the library, whose type knows neither the member of RFC 9207 nor an issuer with `{tenantid}` in it.

use serde::Deserialize;
use url::Url;

use crate::config::{IssuerRule, is_local, is_secure, is_tenant_id};

/// What stands for the tenant in the issuer that Microsoft names for all of them.
pub(super) const TENANT: &str = "{tenantid}";

/// The parts that are used, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// With `{tenantid}` in it where tenants differ.
    issuer: String,
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) jwks_uri: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) end_session_endpoint: Option<Url>,
    /// Whether an answer without `iss` is not the provider's (RFC 9207 §2.4).
    pub(super) names_itself: bool,
    /// Whether the client secret goes into the body of a token request, and not into a header.
    pub(super) secret_in_body: bool,
}

/// Why metadata were not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadMetadata {
    /// Not the JSON object of the specification.
    #[error("the metadata cannot be read: {0}")]
    Malformed(String),
    /// Somebody else's (OpenID Connect Discovery 1.0 §4.3).
    #[error("the metadata are of the issuer {0:?}")]
    Issuer(String),
    /// An endpoint that is reached without TLS, or is no URL.
    #[error("the metadata name no https URL as {0}")]
    Endpoint(&'static str),
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Where they stand.
    pub(super) fn url(rule: &IssuerRule) -> String {
        let base = rule.base().trim_end_matches('/');
        format!("{base}/.well-known/openid-configuration")
    }

    /// Reads the metadata of the provider that `rule` names.
    pub(super) fn parse(json: &[u8], rule: &IssuerRule) -> Result<Self, BadMetadata> {
        let document: Document = serde_json::from_slice(json)
            .map_err(|error| BadMetadata::Malformed(error.to_string()))?;
        if document.issuer != issuer_in_metadata(rule) {
            return Err(BadMetadata::Issuer(document.issuer));
        }
        let may_be_local = Url::parse(rule.base()).is_ok_and(|base| is_local(&base));
        let endpoint = |text: &str, name| {
            let url = Url::parse(text).ok();
            url.filter(|url| url.scheme() == "https" || (may_be_local && is_secure(url)))
                .ok_or(BadMetadata::Endpoint(name))
        };
        let optional = |text: &Option<String>, name| {
            text.as_deref().map(|text| endpoint(text, name)).transpose()
        };
        Ok(Self {
            authorization_endpoint: endpoint(
                &document.authorization_endpoint,
                "authorization_endpoint",
            )?,
            token_endpoint: endpoint(&document.token_endpoint, "token_endpoint")?,
            jwks_uri: endpoint(&document.jwks_uri, "jwks_uri")?,
            userinfo_endpoint: optional(&document.userinfo_endpoint, "userinfo_endpoint")?,
            end_session_endpoint: optional(&document.end_session_endpoint, "end_session_endpoint")?,
            names_itself: document.authorization_response_iss_parameter_supported,
            // Without a word of it the header is what every provider takes (OpenID Connect Discovery 1.0 §3).
            secret_in_body: document
                .token_endpoint_auth_methods_supported
                .is_some_and(|methods| {
                    !methods.iter().any(|method| method == "client_secret_basic")
                }),
            issuer: document.issuer,
        })
    }

    /// The `iss` that a token must have: of many tenants that of `tenant`, which the token's own `tid` names.
    pub(super) fn issuer_of(&self, tenant: Option<&str>) -> Option<String> {
        issuer_of(&self.issuer, tenant)
    }

    /// Whether `iss` can be this provider's: of many tenants any.
    pub(super) fn is_issuer(&self, iss: &str) -> bool {
        match self.issuer.split_once(TENANT) {
            None => iss == self.issuer,
            Some((before, behind)) => iss
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(behind))
                .is_some_and(is_tenant_id),
        }
    }
}

/// `template` with the tenant in its place; none where there is a place and no tenant for it.
pub(super) fn issuer_of(template: &str, tenant: Option<&str>) -> Option<String> {
    if !template.contains(TENANT) {
        return Some(template.to_owned());
    }
    let tenant = tenant.filter(|tenant| is_tenant_id(tenant))?;
    Some(template.replace(TENANT, tenant))
}

fn issuer_in_metadata(rule: &IssuerRule) -> String {
    match rule {
        IssuerRule::Exact(issuer) | IssuerRule::Tenant(issuer) => issuer.clone(),
        IssuerRule::AnyTenant { base } => base
            .replace("/common/", &format!("/{TENANT}/"))
            .replace("/organizations/", &format!("/{TENANT}/")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TENANT_ID: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn document(issuer: &str) -> Value {
        json!({
            "issuer": issuer,
            "authorization_endpoint": "https://op.example.org/authorize",
            "token_endpoint": "https://op.example.org/token",
            "jwks_uri": "https://op.example.org/keys",
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn parse(document: &Value, rule: &IssuerRule) -> Result<Metadata, BadMetadata> {
        Metadata::parse(document.to_string().as_bytes(), rule)
    }

    fn exact(issuer: &str) -> IssuerRule {
        IssuerRule::Exact(issuer.to_owned())
    }

    #[test]
    fn metadata_are_those_of_the_configured_issuer_to_the_letter() {
        let rule = exact("https://op.example.org");
        let metadata = parse(&document("https://op.example.org"), &rule).unwrap();
        assert!(metadata.names_itself && !metadata.secret_in_body);
        assert!(metadata.is_issuer("https://op.example.org"));
        for other in [
            "https://op.example.org/",
            "https://OP.example.org",
            "https://evil.test",
        ] {
            assert_eq!(
                parse(&document(other), &rule),
                Err(BadMetadata::Issuer(other.to_owned()))
            );
            assert!(!metadata.is_issuer(other));
        }
    }

    #[test]
    fn no_endpoint_is_reached_without_tls() {
        let rule = exact("https://op.example.org");
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "end_session_endpoint",
        ] {
            for bad in [
                "http://op.example.org/x",
                "http://127.0.0.1/x",
                "javascript:alert(1)",
                "x",
            ] {
                let mut document = document("https://op.example.org");
                document[name] = bad.into();
                assert_eq!(
                    parse(&document, &rule),
                    Err(BadMetadata::Endpoint(name)),
                    "{bad}"
                );
            }
        }
        let mut local = document("http://localhost:4000");
        local["token_endpoint"] = "http://localhost:4000/token".into();
        assert!(parse(&local, &exact("http://localhost:4000")).is_ok());
    }

    #[test]
    fn garbage_is_told_from_metadata() {
        for garbage in [
            &b""[..],
            b"[]",
            b"<html>",
            b"{\"issuer\":7}",
            b"{\"issuer\":\"https://a\"}",
        ] {
            let parsed = Metadata::parse(garbage, &exact("https://a"));
            assert!(matches!(parsed, Err(BadMetadata::Malformed(_))));
        }
    }

    #[test]
    fn of_many_tenants_each_has_an_issuer_of_its_own() {
        for many in ["common", "organizations"] {
            let rule = IssuerRule::AnyTenant {
                base: format!("https://login.microsoftonline.com/{many}/v2.0"),
            };
            let told = document("https://login.microsoftonline.com/{tenantid}/v2.0");
            let metadata = parse(&told, &rule).unwrap();
            let issuer = format!("https://login.microsoftonline.com/{TENANT_ID}/v2.0");
            assert_eq!(metadata.issuer_of(Some(TENANT_ID)), Some(issuer.clone()));
            assert!(metadata.is_issuer(&issuer));
            for bad in [None, Some("common"), Some("{tenantid}"), Some("../evil")] {
                assert_eq!(metadata.issuer_of(bad), None, "{bad:?}");
            }
            for bad in [
                "https://login.microsoftonline.com/{tenantid}/v2.0",
                "https://login.microsoftonline.com/common/v2.0",
                &issuer.replace("v2.0", "v1.0"),
            ] {
                assert!(!metadata.is_issuer(bad), "{bad}");
            }
        }
    }

    #[test]
    fn a_provider_without_basic_gets_the_secret_in_the_body() {
        let mut document = document("https://op.example.org");
        document["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        let rule = exact("https://op.example.org");
        assert!(parse(&document, &rule).unwrap().secret_in_body);
    }
}
