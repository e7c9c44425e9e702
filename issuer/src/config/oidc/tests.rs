use super::super::tests::{problems, with};
use super::*;

const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

fn providers(changes: &[(&str, &str)]) -> Vec<ProviderConfig> {
    with(changes).unwrap().providers
}

#[test]
fn a_provider_needs_an_issuer_and_a_client_and_is_closed_to_strangers() {
    let read = providers(&[
        ("OIDC_MY_IDP_ISSUER", "https://login.example.org/"),
        ("OIDC_MY_IDP_CLIENT_ID", "portcullis"),
    ]);
    let [provider] = read.as_slice() else {
        panic!("one: {read:?}");
    };
    assert_eq!(
        (provider.name.as_str(), provider.label.as_str()),
        ("my-idp", "My idp")
    );
    // To the letter: a slash at the end belongs to the identifier.
    let issuer = IssuerRule::Exact("https://login.example.org/".to_owned());
    assert_eq!(provider.issuer, issuer);
    assert_eq!(provider.scopes, ["profile", "email"]);
    assert_eq!(provider.sign_up, SignUp::Closed);
    assert!(!provider.links_verified_email && !provider.ends_session);
    assert!(provider.client_secret.is_none() && provider.roles.is_none());
}

#[test]
fn everything_can_be_set() {
    let read = providers(&[
        ("OIDC_DEMO_ISSUER", "http://127.0.0.1:4000"),
        ("OIDC_DEMO_CLIENT_ID", "c"),
        ("OIDC_DEMO_CLIENT_SECRET", "Zq81Vw"),
        ("OIDC_DEMO_SCOPES", "openid email groups"),
        ("OIDC_DEMO_LABEL", "Demo ID"),
        ("OIDC_DEMO_SIGNUP", "domains"),
        ("OIDC_DEMO_DOMAINS", "Example.org, example.test"),
        ("OIDC_DEMO_LINK", "verified-email"),
        ("OIDC_DEMO_ROLES_CLAIM", "groups"),
        ("OIDC_DEMO_ROLES", "ops=admin, ops=user, a=b=user"),
        ("OIDC_DEMO_END_SESSION", "true"),
    ]);
    let provider = &read[0];
    assert_eq!(provider.label, "Demo ID");
    assert_eq!(provider.scopes, ["email", "groups"]);
    let domains = ["example.org", "example.test"].map(str::to_owned);
    assert_eq!(provider.sign_up, SignUp::Domains(domains.into()));
    let table = &provider.roles.as_ref().unwrap().table;
    assert_eq!(table["ops"], ["admin", "user"].map(str::to_owned).into());
    assert_eq!(table["a=b"], ["user".to_owned()].into());
    assert!(provider.links_verified_email && provider.ends_session);
    assert!(!format!("{provider:?}").contains("Zq81Vw"));
}

#[test]
fn presets_know_their_issuers_and_take_the_other_settings_too() {
    let read = providers(&[
        ("GOOGLE_CLIENT_ID", "g"),
        ("GOOGLE_CLIENT_SECRET", "s"),
        ("OIDC_GOOGLE_SIGNUP", "open"),
        ("GOOGLE_CLOUD_PROJECT", "not ours"),
        ("MICROSOFT_CLIENT_ID", "m"),
        ("MICROSOFT_TENANT_ID", TENANT),
    ]);
    let [google, microsoft] = read.as_slice() else {
        panic!("two: {read:?}");
    };
    assert_eq!(google.issuer.base(), "https://accounts.google.com");
    assert_eq!(google.sign_up, SignUp::Open);
    let base = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    assert_eq!(microsoft.issuer, IssuerRule::Tenant(base));
    for many in ["common", "organizations"] {
        let read = providers(&[("MICROSOFT_CLIENT_ID", "m"), ("MICROSOFT_TENANT_ID", many)]);
        assert!(
            matches!(read[0].issuer, IssuerRule::AnyTenant { .. }),
            "{many}"
        );
    }
}

#[test]
fn every_problem_of_every_provider_is_told_at_once() {
    let told = problems(&[
        ("OIDC_A_ISSUER", "http://login.example.org"),
        ("OIDC_A_SIGNUP", "domains"),
        ("OIDC_A_ROLES_CLAIM", "groups"),
        ("OIDC_B_ISSUER", "https://b.example.org/?x"),
        ("OIDC_B_CLIENT_ID", "b"),
        ("OIDC_B_LINK", "always"),
        ("OIDC_B_ROLES", "staff=Admin"),
        ("OIDC_B_ROLES_CLAIM", "groups"),
        ("OIDC_B_COLOUR", "red"),
        ("OIDC_C_SIGNUP", "open"),
        ("OIDC_C_DOMAINS", "example.org"),
        ("OIDC_PASSWORD_ISSUER", "https://c.example.org"),
        ("MICROSOFT_CLIENT_ID", "m"),
        ("GOOGLE_CLIENT_SECRET", "s"),
    ]);
    let named = [
        "OIDC_A_ISSUER",
        "OIDC_A_CLIENT_ID",
        "OIDC_A_DOMAINS",
        "OIDC_A_ROLES",
        "OIDC_B_ISSUER",
        "OIDC_B_LINK",
        "OIDC_B_ROLES",
        "OIDC_B_COLOUR",
        "OIDC_C_ISSUER",
        "OIDC_C_CLIENT_ID",
        "OIDC_C_DOMAINS",
        "OIDC_PASSWORD_ISSUER",
        "MICROSOFT_TENANT_ID",
        "GOOGLE_CLIENT_ID",
    ];
    for name in named {
        let lines = told
            .iter()
            .filter(|line| line.starts_with(&format!("{name} ")));
        assert_eq!(lines.count(), 1, "{name}: {told:?}");
    }
    assert_eq!(told.len(), named.len(), "{told:?}");
}

#[test]
fn an_issuer_has_one_provider() {
    let told = problems(&[
        ("GOOGLE_CLIENT_ID", "g"),
        ("OIDC_OTHER_ISSUER", "https://accounts.google.com"),
        ("OIDC_OTHER_CLIENT_ID", "o"),
    ]);
    assert_eq!(
        told,
        ["OIDC_OTHER_ISSUER is the issuer of another provider too"]
    );
}

#[test]
fn a_tenant_is_a_guid() {
    assert!(is_tenant_id(TENANT));
    for bad in [
        "",
        "contoso.com",
        "../common",
        &TENANT.to_uppercase(),
        "consumers",
    ] {
        assert!(!is_tenant_id(bad), "{bad}");
        let told = problems(&[("MICROSOFT_CLIENT_ID", "m"), ("MICROSOFT_TENANT_ID", bad)]);
        assert_eq!(told.len(), 1, "{bad}");
    }
}
