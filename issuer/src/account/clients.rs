//! Services as clients: what the command line does with them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared::id::ClientId;
use shared::scope::Scopes;
use shared::secret::{Secret, SecretText};

use crate::entropy::{self, EntropyError};
use crate::events::{self, By, Kind};
use crate::fault::{Fault, via_fault};
use crate::revoke::ending;
use crate::store::clients::{Client, Proof, State};
use crate::store::{Store, StoreError, Tx, clients};
use crate::time::Clock;
use crate::token::client_keys::ClientKeys;

/// Why a client was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No client has this id, or it was revoked.
    #[error("no client has this id, or it was revoked")]
    Unknown,
    /// Nothing, or too much.
    #[error("a client's name has 1 to 200 characters, none of them a control character")]
    Name,
    /// There is nothing to replace.
    #[error("this client has keys of its own and no secret")]
    NoSecret,
    /// Our fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

via_fault!(ClientError: StoreError, EntropyError);

/// A client to be made.
#[derive(Clone, Debug)]
pub struct NewClient<'a> {
    /// What to call it.
    pub name: &'a str,
    /// The most that a token of its may hold.
    pub scopes: Scopes,
    /// Whether it may ask about tokens of others.
    pub may_introspect: bool,
    /// Its public keys; without them it gets a secret.
    pub keys: Option<ClientKeys>,
}

/// Makes and changes clients.
pub struct Clients<'a> {
    /// Postgres.
    pub store: &'a Store,
    /// The time.
    pub clock: &'a Clock,
}

impl Clients<'_> {
    /// Registers a client. Its secret, if it gets one, is returned here and nowhere else.
    ///
    /// # Errors
    /// [`ClientError`]; nothing has happened then.
    pub async fn create(
        &self,
        new: NewClient<'_>,
    ) -> Result<(Client, Option<SecretText>), ClientError> {
        let name = new.name.trim();
        if !(1..=200).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(ClientError::Name);
        }
        let (proof, secret) = match new.keys {
            Some(keys) => (Proof::Keys(keys.to_json()), None),
            None => {
                let secret = Secret::from_bytes(entropy::bytes()?);
                (Proof::Secret(secret.sha256()), Some(written(&secret)))
            }
        };
        let mut tx = self.store.tx("create client").await?;
        let now = self.clock.now();
        let client = Client {
            id: ClientId::from_bytes(entropy::bytes()?),
            name: name.to_owned(),
            scopes: new.scopes,
            may_introspect: new.may_introspect,
            proof,
            ver: 1,
            created_at: now,
            access_expires_at: None,
            state: State::Active,
        };
        clients::insert(&mut tx, &client).await?;
        self.record(&mut tx, Kind::ClientCreated, client.id).await?;
        tx.commit().await?;
        Ok((client, secret))
    }

    /// Revokes a client: it gets no more tokens, and those that it has are refused within the bound.
    ///
    /// # Errors
    /// [`ClientError`]; nothing has happened then.
    pub async fn revoke(&self, id: ClientId) -> Result<(), ClientError> {
        let (mut tx, client) = self.locked("revoke client", id).await?;
        clients::revoke(&mut tx, id, self.clock.now()).await?;
        self.revoke_tokens(&mut tx, &client).await?;
        self.record(&mut tx, Kind::ClientRevoked, id).await?;
        Ok(tx.commit().await?)
    }

    /// Replaces the secret; the old one opens nothing from then on. Tokens that were given out stay good, unless
    /// `revoke_tokens`: then they are refused within the bound.
    ///
    /// # Errors
    /// [`ClientError`]; nothing has happened then.
    pub async fn rotate_secret(
        &self,
        id: ClientId,
        revoke_tokens: bool,
    ) -> Result<SecretText, ClientError> {
        let secret = Secret::from_bytes(entropy::bytes()?);
        let (mut tx, client) = self.locked("rotate client secret", id).await?;
        match client.proof {
            Proof::Secret(_) => clients::set_secret(&mut tx, id, &secret.sha256()).await?,
            Proof::Keys(_) => return Err(ClientError::NoSecret),
        }
        if revoke_tokens {
            self.revoke_tokens(&mut tx, &client).await?;
        }
        self.record(&mut tx, Kind::ClientSecretChanged, id).await?;
        tx.commit().await?;
        Ok(written(&secret))
    }

    async fn revoke_tokens(&self, tx: &mut Tx, client: &Client) -> Result<(), ClientError> {
        let below = clients::raise_ver(tx, client.id).await?;
        let now = self.clock.now();
        Ok(ending::announce_client(tx, client, below, now).await?)
    }

    async fn record(&self, tx: &mut Tx, kind: Kind, id: ClientId) -> Result<(), ClientError> {
        let client = id.to_string();
        let event = By::CLI.event(kind).with("client", client.as_str());
        Ok(events::record(tx, &event, self.clock.now()).await?)
    }

    /// Begins a transaction that holds the lock of a client that was not revoked.
    async fn locked(&self, name: &'static str, id: ClientId) -> Result<(Tx, Client), ClientError> {
        let mut tx = self.store.tx(name).await?;
        let found = clients::lock(&mut tx, id).await?;
        let client = found
            .filter(|client| client.state == State::Active)
            .ok_or(ClientError::Unknown)?;
        Ok((tx, client))
    }
}

/// A secret as its client gets it: 43 characters of base64url.
fn written(secret: &Secret<32>) -> SecretText {
    SecretText::new(URL_SAFE_NO_PAD.encode(secret.expose()))
}

/// The secret that was written so.
pub fn read_secret(text: &str) -> Option<Secret<32>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Some(Secret::from_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_being_written() {
        let secret = Secret::from_bytes([0xfb; 32]);
        let text = written(&secret);
        assert_eq!(text.expose().len(), 43);
        assert!(read_secret(text.expose()) == Some(secret));
        for other in ["", "AAAA", &"=".repeat(43), &"A".repeat(44)] {
            assert!(read_secret(other).is_none(), "{other}");
        }
    }
}
