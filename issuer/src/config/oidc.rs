//! Sign-in through OpenID providers: `OIDC_<NAME>_…`, and the presets `MICROSOFT_…` and `GOOGLE_…`.

use std::collections::{BTreeMap, BTreeSet};

use shared::claims::is_role;
use shared::secret::SecretText;
use url::Url;

use super::read::Reader;

/// The endings of `OIDC_<NAME>_…`.
const ENDINGS: [&str; 11] = [
    "_ISSUER",
    "_CLIENT_ID",
    "_CLIENT_SECRET",
    "_SCOPES",
    "_LABEL",
    "_SIGNUP",
    "_DOMAINS",
    "_LINK",
    "_ROLES_CLAIM",
    "_ROLES",
    "_END_SESSION",
];

/// What sessions say that began with a password.
const RESERVED: &str = "password";

const MICROSOFT: &str = "MICROSOFT";
const GOOGLE: &str = "GOOGLE";

/// A provider that people may sign in through.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name in our paths: `a-z`, `0-9` and `-`.
    pub name: String,
    /// `_LABEL`: its name for people.
    pub label: String,
    /// `_ISSUER`, or what the preset stands for.
    pub issuer: IssuerRule,
    /// `_CLIENT_ID`: who we are there.
    pub client_id: String,
    /// `_CLIENT_SECRET`; a public client has none and relies on PKCE.
    pub client_secret: Option<SecretText>,
    /// `_SCOPES`: what is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// `_SIGNUP`: whether a first sign-in makes an account.
    pub sign_up: SignUp,
    /// `_LINK`: whether a verified address leads to the account that has it.
    pub links_verified_email: bool,
    /// `_ROLES_CLAIM` and `_ROLES`.
    pub roles: Option<RoleTable>,
    /// `_END_SESSION`: whether signing out leads through the provider.
    pub ends_session: bool,
}

/// Which `iss` a provider's tokens have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerRule {
    /// This one, compared octet by octet (OpenID Connect Core 1.0 §3.1.3.7).
    Exact(String),
    /// Microsoft Entra ID with one tenant: as [`Self::Exact`]. Its directory is the operator's own.
    Tenant(String),
    /// Microsoft Entra ID with many tenants: the metadata of `base` name `…/{tenantid}/v2.0`, and each token has its own
    /// tenant, which its claim `tid` names, in that place.
    AnyTenant {
        /// `https://login.microsoftonline.com/common/v2.0` or `…/organizations/v2.0`.
        base: String,
    },
}

impl IssuerRule {
    /// Below which `.well-known/openid-configuration` stands (OpenID Connect Discovery 1.0 §4).
    pub fn base(&self) -> &str {
        match self {
            Self::Exact(base) | Self::Tenant(base) | Self::AnyTenant { base } => base,
        }
    }

    /// Whether its tokens have the claims that only Microsoft gives a meaning (`tid`, `xms_edov`).
    pub const fn is_microsoft(&self) -> bool {
        matches!(self, Self::Tenant(_) | Self::AnyTenant { .. })
    }
}

/// Whether a first sign-in makes an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// For everybody who has an account at the provider.
    Open,
    /// For verified addresses of these domains, and for Microsoft's tenants of these ids. In lower case, never empty.
    Domains(BTreeSet<String>),
    /// For nobody: accounts are made by an administrator.
    Closed,
}

/// Which values of a claim stand for which roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleTable {
    /// The claim: a text, or a list of texts.
    pub claim: String,
    /// Value and roles. Roles that no value stands for are none of the provider's business.
    pub table: BTreeMap<String, BTreeSet<String>>,
}

impl RoleTable {
    /// Whether a value stands for this role: then the provider gives and takes it.
    #[must_use]
    pub fn knows(&self, role: &str) -> bool {
        self.table.values().any(|roles| roles.contains(role))
    }
}

/// Every provider, in the order of names; `None` only where there is a problem.
pub(super) fn read(read: &mut Reader) -> Option<Vec<ProviderConfig>> {
    let presets = [
        (MICROSOFT, preset_is_named(read, MICROSOFT)),
        (GOOGLE, preset_is_named(read, GOOGLE)),
    ];
    let mut names: BTreeSet<String> = read
        .names("OIDC_")
        .filter_map(|name| name_in(&name))
        .collect();
    names.extend(
        presets
            .iter()
            .filter(|(_, is_named)| *is_named)
            .map(|(name, _)| (*name).to_owned()),
    );
    let providers: Vec<_> = names
        .iter()
        .map(|name| {
            let is_preset = presets.contains(&(name.as_str(), true));
            provider(read, name, is_preset)
        })
        .collect();
    let providers: Vec<_> = providers.into_iter().collect::<Option<_>>()?;
    // Sessions and identities go by the issuer: two of one would be told apart by nothing.
    let mut bases = BTreeSet::new();
    for provider in &providers {
        if !bases.insert(provider.issuer.base()) {
            let setting = format!("OIDC_{}_ISSUER", provider.name.to_uppercase());
            read.problem(&setting, "is the issuer of another provider too");
            return None;
        }
    }
    Some(providers)
}

/// The `<NAME>` of `OIDC_<NAME>_…`; none where the ending is unknown, which the reader then tells.
fn name_in(setting: &str) -> Option<String> {
    let rest = setting.strip_prefix("OIDC_")?;
    let names = ENDINGS
        .iter()
        .filter_map(|ending| rest.strip_suffix(ending));
    // `_ROLES_CLAIM` and `_ROLES` never end the same text, so the shortest name is the only one.
    let name = names.min_by_key(|name| name.len())?;
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let good = (1..=32).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('_')
        && !name.ends_with('_')
        && !name.eq_ignore_ascii_case(RESERVED);
    good.then(|| name.to_owned())
}

fn preset_is_named(read: &Reader, preset: &str) -> bool {
    ["_CLIENT_ID", "_CLIENT_SECRET", "_TENANT_ID"]
        .iter()
        .any(|ending| read.has(&format!("{preset}{ending}")))
}

fn provider(read: &mut Reader, name: &str, is_preset: bool) -> Option<ProviderConfig> {
    let own = |ending: &str| format!("OIDC_{name}{ending}");
    // A preset says three things; all others are said as of any provider.
    let id_of = |ending: &str| {
        if is_preset {
            format!("{name}{ending}")
        } else {
            own(ending)
        }
    };
    let issuer = match (is_preset, name) {
        (true, GOOGLE) => Some(IssuerRule::Exact("https://accounts.google.com".to_owned())),
        (true, _) => read.parsed("MICROSOFT_TENANT_ID", None, microsoft),
        (false, _) => read.parsed(&own("_ISSUER"), None, issuer),
    };
    let client_id = read.parsed(&id_of("_CLIENT_ID"), None, visible);
    let client_secret = read.optional(&id_of("_CLIENT_SECRET"), |text| {
        Ok(SecretText::new(text.to_owned()))
    });
    let scopes = read.parsed(&own("_SCOPES"), Some("profile email"), scopes);
    let default_label = match (is_preset, name) {
        (true, GOOGLE) => "Google".to_owned(),
        (true, _) => "Microsoft".to_owned(),
        (false, _) => capitalised(name),
    };
    let label = read.parsed(&own("_LABEL"), Some(&default_label), label);
    let sign_up = sign_up(read, &own);
    let links_verified_email = read.parsed(
        &own("_LINK"),
        Some("never"),
        one_of("verified-email", "never"),
    );
    let roles = roles(read, &own);
    let ends_session = read.parsed(&own("_END_SESSION"), Some("false"), one_of("true", "false"));
    Some(ProviderConfig {
        name: name.to_lowercase().replace('_', "-"),
        label: label?,
        issuer: issuer?,
        client_id: client_id?,
        client_secret: client_secret?,
        scopes: scopes?,
        sign_up: sign_up?,
        links_verified_email: links_verified_email?,
        roles: roles?,
        ends_session: ends_session?,
    })
}

fn sign_up(read: &mut Reader, own: &impl Fn(&str) -> String) -> Option<SignUp> {
    let word = read.parsed(&own("_SIGNUP"), Some("closed"), |text| match text {
        "open" | "domains" | "closed" => Ok(text.to_owned()),
        _ => Err("must be open, domains or closed".to_owned()),
    });
    let domains = read.optional(&own("_DOMAINS"), domains);
    match (word?.as_str(), domains?) {
        ("domains", Some(domains)) => Some(SignUp::Domains(domains)),
        ("domains", None) => {
            read.problem(&own("_DOMAINS"), "is missing: _SIGNUP is domains");
            None
        }
        (_, Some(_)) => {
            read.problem(&own("_DOMAINS"), "is for _SIGNUP=domains only");
            None
        }
        ("open", None) => Some(SignUp::Open),
        (_, None) => Some(SignUp::Closed),
    }
}

/// Both settings or none.
fn roles(read: &mut Reader, own: &impl Fn(&str) -> String) -> Option<Option<RoleTable>> {
    let claim = read.optional(&own("_ROLES_CLAIM"), visible);
    let table = read.optional(&own("_ROLES"), role_table);
    match (claim?, table?) {
        (Some(claim), Some(table)) => Some(Some(RoleTable { claim, table })),
        (None, None) => Some(None),
        (Some(_), None) => {
            read.problem(&own("_ROLES"), "is missing: _ROLES_CLAIM is set");
            None
        }
        (None, Some(_)) => {
            read.problem(&own("_ROLES_CLAIM"), "is missing: _ROLES is set");
            None
        }
    }
}

/// `value=role,value=role`. A value may stand there more than once, and for more than one role.
fn role_table(text: &str) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let mut table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for pair in text.split(',').map(str::trim) {
        let (value, role) = pair
            .rsplit_once('=')
            .map(|(value, role)| (value.trim(), role.trim()))
            .filter(|(value, role)| !value.is_empty() && is_role(role))
            .ok_or("must be a list such as staff=user,operators=admin; a role has 1 to 64 characters of a-z 0-9 _ - . :")?;
        table
            .entry(value.to_owned())
            .or_default()
            .insert(role.to_owned());
    }
    Ok(table)
}

/// `…/v2.0` of a tenant, by its id, or of many (Microsoft identity platform, "OpenID Connect").
fn microsoft(tenant: &str) -> Result<IssuerRule, String> {
    let base = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    match tenant {
        "common" | "organizations" => Ok(IssuerRule::AnyTenant { base }),
        id if is_tenant_id(id) => Ok(IssuerRule::Tenant(base)),
        _ => {
            Err("must be a tenant's id (a GUID in lower case), common or organizations".to_owned())
        }
    }
}

/// Whether `text` is a GUID as Microsoft writes it.
pub fn is_tenant_id(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
}

/// An issuer identifier (OpenID Connect Core 1.0 §16.15, Discovery 1.0 §3): https without query and fragment, or http on
/// this machine. Kept to the letter, for it is compared so.
fn issuer(text: &str) -> Result<IssuerRule, String> {
    let url = Url::parse(text).map_err(|_| "is not a URL".to_owned())?;
    if !is_secure(&url) {
        return Err("must begin with https:// (or http://localhost)".to_owned());
    }
    let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    bare.then(|| IssuerRule::Exact(text.to_owned()))
        .ok_or_else(|| "must have no query, fragment or user".to_owned())
}

/// Whether what is sent to `url` is seen by nobody else: https, or this machine.
pub fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_local(url))
}

/// Whether `url` is on this machine.
pub fn is_local(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn domains(text: &str) -> Result<BTreeSet<String>, String> {
    let good = |domain: &str| {
        domain.contains(['.', '-'])
            && domain
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    text.split(',')
        .map(|domain| domain.trim().to_ascii_lowercase())
        .map(|domain| good(&domain).then_some(domain))
        .collect::<Option<_>>()
        .ok_or_else(|| {
            "must be domains such as example.org, or tenants' ids, with commas between".to_owned()
        })
}

fn scopes(text: &str) -> Result<Vec<String>, String> {
    // RFC 6749 §3.3.
    let good = |scope: &str| {
        scope
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    let scopes: Vec<String> = text
        .split([' ', ','])
        .filter(|scope| !scope.is_empty() && *scope != "openid")
        .map(str::to_owned)
        .collect();
    if scopes.iter().all(|scope| good(scope)) {
        Ok(scopes)
    } else {
        Err("must be scopes with spaces between".to_owned())
    }
}

fn visible(text: &str) -> Result<String, String> {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic())
        .then(|| text.to_owned())
        .ok_or_else(|| "must consist of visible ASCII characters".to_owned())
}

fn label(text: &str) -> Result<String, String> {
    (text.chars().count() <= 64 && !text.chars().any(char::is_control))
        .then(|| text.to_owned())
        .ok_or_else(|| "must have at most 64 characters".to_owned())
}

fn one_of(yes: &'static str, no: &'static str) -> impl Fn(&str) -> Result<bool, String> {
    move |text| match text {
        text if text == yes => Ok(true),
        text if text == no => Ok(false),
        _ => Err(format!("must be {yes} or {no}")),
    }
}

fn capitalised(name: &str) -> String {
    let lower = name.to_lowercase().replace('_', " ");
    let mut chars = lower.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

#[cfg(test)]
mod tests;
