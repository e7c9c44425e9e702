//! What an account's fields must be like.

use shared::claims::is_role;
use shared::secret::SecretText;

use super::users::AccountError;
use crate::sign_in::password;

/// Characters of a name.
pub(super) const MAX_NAME: usize = 200;

/// Roles of one user: as many as surely fit into the cookie beside the other claims, however long their names.
pub const MAX_ROLES: usize = 30;

/// Characters of an address (RFC 5321 §4.5.3.1).
const MAX_EMAIL: usize = 320;

/// The address without blanks around it: something before an `@`, something behind it, nothing that would disturb a page or a
/// log.
pub(super) fn email(text: &str) -> Result<String, AccountError> {
    let fits = text.chars().count() <= MAX_EMAIL && !text.chars().any(char::is_control);
    let email = text.trim();
    let parts = email
        .rsplit_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if fits && parts && !email.contains(char::is_whitespace) {
        Ok(email.to_owned())
    } else {
        Err(AccountError::Email)
    }
}

/// The name without blanks around it.
pub(super) fn name(text: &str) -> Result<String, AccountError> {
    let fits = text.chars().count() <= MAX_NAME && !text.chars().any(char::is_control);
    let name = text.trim();
    if fits && !name.is_empty() {
        Ok(name.to_owned())
    } else {
        Err(AccountError::Name)
    }
}

/// The roles in order, each once.
pub(super) fn roles(mut roles: Vec<String>) -> Result<Vec<String>, AccountError> {
    if let Some(role) = roles.iter().find(|role| !is_role(role)) {
        return Err(AccountError::Role(role.chars().take(64).collect()));
    }
    if roles.len() > MAX_ROLES {
        return Err(AccountError::Roles);
    }
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

pub(super) fn password(password: &SecretText) -> Result<(), AccountError> {
    let length = password.expose().chars().count();
    password::LENGTH
        .contains(&length)
        .then_some(())
        .ok_or(AccountError::Password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plausible() {
        for good in ["ada@example.test", "a+b@x", "\u{e4}@\u{f6}.test", " a@x "] {
            assert_eq!(email(good).unwrap(), good.trim());
        }
        for bad in ["", "ada", "@x", "a@", "a b@x", "a@x\ny", "a@x\u{7}"] {
            assert!(matches!(email(bad), Err(AccountError::Email)), "{bad:?}");
        }
    }

    #[test]
    fn names_are_one_line() {
        assert_eq!(name("  Ada Lovelace ").unwrap(), "Ada Lovelace");
        for bad in ["", "   ", "a\nb", "a\0b", &"x".repeat(201)] {
            assert!(matches!(name(bad), Err(AccountError::Name)), "{bad:?}");
        }
    }

    #[test]
    fn roles_are_sorted_and_not_too_many() {
        let list = |roles: &[&str]| roles.iter().map(|&role| role.to_owned()).collect();
        assert_eq!(roles(list(&["b", "a", "b"])).unwrap(), ["a", "b"]);
        assert!(matches!(
            roles(list(&["a", "A b"])),
            Err(AccountError::Role(role)) if role == "A b"
        ));
        let many = |count| (0..count).map(|n| format!("role-{n:04}")).collect();
        assert!(roles(many(30)).is_ok());
        assert!(matches!(roles(many(31)), Err(AccountError::Roles)));
    }

    #[test]
    fn passwords_have_a_length() {
        for (text, good) in [("seven77", false), ("eight888", true), ("ääääääää", true)] {
            assert_eq!(
                password(&SecretText::new(text.to_owned())).is_ok(),
                good,
                "{text}"
            );
        }
    }
}
