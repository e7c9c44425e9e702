//! What the provider does in one sign-in.

use serde_json::{Map, Value, json};

use super::keys::Signature;

/// Who signs in, and what the provider says about it. [`SignIn::default`] is a good sign-in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// Claims of the person; those of the protocol are added to them.
    pub person: Value,
    /// Claims of the ID token in place of the right ones; `null` leaves one out.
    pub claims: Value,
    /// Claims that the userinfo endpoint tells in place of the person's own; `null` leaves one out.
    pub userinfo: Value,
    /// How the ID token is signed.
    pub signature: Signature,
    /// Parameters of the callback in place of the right ones, which are `code`, `state` and `iss`; `null` leaves one out.
    pub callback: Value,
    /// Members of the token endpoint's answer in place of the right ones; `null` leaves one out.
    pub answer: Value,
    /// The status of that answer.
    pub status: u16,
    /// Whether the token endpoint compares the code verifier with the challenge (RFC 7636 §4.6).
    pub checks_verifier: bool,
}

impl Default for SignIn {
    fn default() -> Self {
        Self::of("carol")
    }
}

impl SignIn {
    /// A good one of a person with a verified address and the group `users`.
    pub fn of(name: &str) -> Self {
        let nothing = || json!({});
        Self {
            person: json!({
                "sub": format!("subject-of-{name}"),
                "email": format!("{name}@hostile.test"),
                "email_verified": true,
                "name": name,
                "groups": ["users"],
            }),
            claims: nothing(),
            userinfo: nothing(),
            signature: Signature::Good,
            callback: nothing(),
            answer: nothing(),
            status: 200,
            checks_verifier: true,
        }
    }

    /// With these claims of the ID token.
    #[must_use]
    pub fn claims(mut self, claims: Value) -> Self {
        self.claims = claims;
        self
    }

    /// With claims of the person in place of the usual ones.
    #[must_use]
    pub fn person(mut self, changes: &Value) -> Self {
        self.person = patched(self.person, changes);
        self
    }

    /// With these claims at the userinfo endpoint, which is asked for what the ID token lacks.
    #[must_use]
    pub fn userinfo(mut self, claims: Value) -> Self {
        self.userinfo = claims;
        self
    }

    /// Signed that way.
    #[must_use]
    pub const fn signed(mut self, signature: Signature) -> Self {
        self.signature = signature;
        self
    }

    /// With these parameters of the callback.
    #[must_use]
    pub fn callback(mut self, parameters: Value) -> Self {
        self.callback = parameters;
        self
    }

    /// With these members of the token endpoint's answer.
    #[must_use]
    pub fn answer(mut self, status: u16, members: Value) -> Self {
        (self.status, self.answer) = (status, members);
        self
    }
}

/// `object` with the members of `changes` in place of its own; `null` takes one away.
pub(super) fn patched(object: Value, changes: &Value) -> Value {
    let mut members = match object {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_replaced_added_and_left_out() {
        let found = patched(
            json!({"a": 1, "b": 2}),
            &json!({"a": null, "b": 3, "c": [4]}),
        );
        assert_eq!(found, json!({"b": 3, "c": [4]}));
    }
}
