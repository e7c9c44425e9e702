//! Deciding whose account somebody is let into who has proved to a provider who they are. Pure.

use std::collections::BTreeSet;

use shared::id::UserId;

use super::claims::Person;
use crate::config::{IssuerRule, ProviderConfig, RoleTable, SignUp};

/// What is known here of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whose the identity is.
    pub identity: Option<UserId>,
    /// Who has the address.
    pub holder: Option<Holder>,
}

/// The account that has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which.
    pub user: UserId,
    /// Whether the address is known to be its owner's: an administrator gave it, or a provider had verified it. An account
    /// that a stranger made in somebody else's name must not get that person as its second owner.
    pub address_is_proven: bool,
}

/// What a sign-in does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The identity is known: into its account.
    Enter(UserId),
    /// Into the account that has the same verified address, which is theirs from now on.
    Link(UserId),
    /// A new account.
    Create {
        /// Whether its address is proven.
        address_is_proven: bool,
    },
    /// Nothing.
    Refuse(Refusal),
}

/// Why there is no account for somebody. They all hear the same: else a stranger could ask who has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `_SIGNUP` makes accounts for nobody.
    Closed,
    /// `_SIGNUP` makes accounts, but not for this domain or tenant.
    Domain,
    /// The provider told no address.
    NoEmail,
    /// Another account has the address.
    Taken,
}

impl Refusal {
    /// For the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "sign-up is closed",
            Self::Domain => "neither the domain nor the tenant is allowed",
            Self::NoEmail => "the provider told no e-mail address",
            Self::Taken => "another account has the e-mail address",
        }
    }
}

/// Decides.
///
/// An identity is (issuer, subject) and nothing else (OWASP ASVS 5.0, 6.8.1). An address only serves to find the account of
/// somebody who comes from this provider for the first time.
pub fn decide(config: &ProviderConfig, person: &Person, known: Known) -> Decision {
    if let Some(user) = known.identity {
        return Decision::Enter(user);
    }
    if let Some(holder) = known.holder {
        let links =
            config.links_verified_email && person.email_verified && holder.address_is_proven;
        return if links {
            Decision::Link(holder.user)
        } else {
            Decision::Refuse(Refusal::Taken)
        };
    }
    match &config.sign_up {
        SignUp::Closed => Decision::Refuse(Refusal::Closed),
        SignUp::Domains(domains) if !is_of(domains, config, person) => {
            Decision::Refuse(Refusal::Domain)
        }
        SignUp::Open | SignUp::Domains(_) if person.email.is_none() => {
            Decision::Refuse(Refusal::NoEmail)
        }
        SignUp::Open | SignUp::Domains(_) => Decision::Create {
            address_is_proven: person.email_verified,
        },
    }
}

/// Whether a verified address of the domains, or a tenant of them. The address that a tenant's directory holds is its
/// administrator's to write, so for a tenant that is named it need not be verified.
fn is_of(domains: &BTreeSet<String>, config: &ProviderConfig, person: &Person) -> bool {
    let of_domain = person.email_verified
        && person
            .domain()
            .is_some_and(|domain| domains.contains(&domain));
    let of_tenant = config.issuer.is_microsoft()
        && person
            .tenant
            .as_ref()
            .is_some_and(|tenant| domains.contains(tenant));
    of_domain || of_tenant || is_own_directory(config, domains, person)
}

/// With one tenant, an address of an allowed domain that the operator's own directory holds.
fn is_own_directory(config: &ProviderConfig, domains: &BTreeSet<String>, person: &Person) -> bool {
    matches!(config.issuer, IssuerRule::Tenant(_))
        && person
            .domain()
            .is_some_and(|domain| domains.contains(&domain))
}

/// The roles that somebody has from now on, sorted: those that the table knows as their claim says, all others as they were.
pub fn roles_after(table: &RoleTable, person: &Person, before: &[String]) -> Vec<String> {
    let given: BTreeSet<&String> = person
        .values(&table.claim)
        .iter()
        .filter_map(|value| table.table.get(*value))
        .flatten()
        .collect();
    let managed: BTreeSet<&String> = table.table.values().flatten().collect();
    let kept = before.iter().filter(|role| !managed.contains(role));
    kept.chain(given)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::claims::tests::person;
    use super::*;

    const ADA: UserId = UserId::from_bytes([1; 16]);
    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn config(sign_up: SignUp, links_verified_email: bool) -> ProviderConfig {
        ProviderConfig {
            name: "demo".to_owned(),
            label: "Demo".to_owned(),
            issuer: IssuerRule::Exact("https://op".to_owned()),
            client_id: "c".to_owned(),
            client_secret: None,
            scopes: vec![],
            sign_up,
            links_verified_email,
            roles: None,
            ends_session: false,
        }
    }

    fn holder(address_is_proven: bool) -> Known {
        Known {
            identity: None,
            holder: Some(Holder {
                user: ADA,
                address_is_proven,
            }),
        }
    }

    fn verified() -> Person {
        person(json!({"sub": "s", "email": "ada@example.org", "email_verified": true}))
    }

    fn unverified() -> Person {
        person(json!({"sub": "s", "email": "ada@example.org"}))
    }

    #[test]
    fn a_known_identity_enters_whatever_the_address_says() {
        let known = Known {
            identity: Some(ADA),
            ..holder(true)
        };
        for person in [verified(), unverified(), person(json!({"sub": "s"}))] {
            let decision = decide(&config(SignUp::Closed, false), &person, known);
            assert_eq!(decision, Decision::Enter(ADA));
        }
    }

    #[test]
    fn an_account_is_linked_only_if_the_setting_the_provider_and_the_account_all_allow_it() {
        for (setting, person, proven) in [
            (false, verified(), true),
            (true, unverified(), true),
            (true, verified(), false),
        ] {
            for sign_up in [SignUp::Open, SignUp::Closed] {
                let decision = decide(&config(sign_up, setting), &person, holder(proven));
                assert_eq!(decision, Decision::Refuse(Refusal::Taken));
            }
        }
        let decision = decide(&config(SignUp::Closed, true), &verified(), holder(true));
        assert_eq!(decision, Decision::Link(ADA));
    }

    #[test]
    fn a_first_sign_in_makes_an_account_as_the_setting_says() {
        let domains = |name: &str| SignUp::Domains([name.to_owned()].into());
        let made = |address_is_proven| Decision::Create { address_is_proven };
        let refused = Decision::Refuse;
        for (sign_up, person, expected) in [
            (SignUp::Open, verified(), made(true)),
            (SignUp::Open, unverified(), made(false)),
            (
                SignUp::Open,
                person(json!({"sub": "s"})),
                refused(Refusal::NoEmail),
            ),
            (SignUp::Closed, verified(), refused(Refusal::Closed)),
            (domains("example.org"), verified(), made(true)),
            (
                domains("example.org"),
                unverified(),
                refused(Refusal::Domain),
            ),
            (domains("ample.org"), verified(), refused(Refusal::Domain)),
            (
                domains(TENANT),
                person(json!({"sub": "s", "tid": TENANT})),
                refused(Refusal::Domain),
            ),
        ] {
            let decision = decide(&config(sign_up.clone(), true), &person, Known::default());
            assert_eq!(decision, expected, "{sign_up:?} {person:?}");
        }
    }

    #[test]
    fn a_tenant_of_microsofts_can_be_allowed() {
        let mut config = config(SignUp::Domains([TENANT.to_owned()].into()), false);
        config.issuer = IssuerRule::AnyTenant {
            base: "https://login.microsoftonline.com/common/v2.0".to_owned(),
        };
        let of = |tenant: &str| {
            let Value::Object(claims) = json!({"sub": "s", "email": "a@b.test", "tid": tenant})
            else {
                unreachable!()
            };
            let person = Person::read("https://op", claims, true).unwrap();
            decide(&config, &person, Known::default())
        };
        assert_eq!(
            of(TENANT),
            Decision::Create {
                address_is_proven: false
            }
        );
        let other = TENANT.replace('7', "8");
        assert_eq!(of(&other), Decision::Refuse(Refusal::Domain));
    }

    #[test]
    fn a_lost_group_is_a_lost_role_and_other_roles_stay() {
        let roles = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let table = RoleTable {
            claim: "groups".to_owned(),
            table: [
                (
                    "ops".to_owned(),
                    roles(&["admin", "user"]).into_iter().collect(),
                ),
                ("staff".to_owned(), roles(&["user"]).into_iter().collect()),
            ]
            .into(),
        };
        let after = |groups: Value, before: &[&str]| {
            let person = person(json!({"sub": "s", "groups": groups}));
            roles_after(&table, &person, &roles(before))
        };
        assert_eq!(after(json!(["ops"]), &[]), ["admin", "user"]);
        assert_eq!(
            after(json!(["staff"]), &["admin", "billing", "user"]),
            ["billing", "user"]
        );
        assert_eq!(after(json!("staff"), &[]), ["user"]);
        assert_eq!(after(json!(null), &["admin", "billing"]), ["billing"]);
        assert_eq!(after(json!(["OPS", "admin"]), &["admin"]), [""; 0]);
    }
}
