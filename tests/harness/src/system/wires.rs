//! Every connection of the stack: each issuer and each edge has its own.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};

use super::link::{Link, State, Wire};

/// How the request begins with which an edge asks the issuer for revocations.
const FEED: &str = "GET /edge/revocations";
/// And the one with which it asks which sessions stand.
const SESSIONS: &str = "POST /edge/sessions";
/// How the request begins with which an issuer publishes.
const PUBLICATION: &str = "PUT /";

#[derive(Debug)]
pub(super) struct Wires {
    issuer_db: Vec<Wire>,
    issuer_kv: Vec<Wire>,
    edge_kv: Vec<Wire>,
    edge_issuer: Vec<Wire>,
    edge_origin: Vec<Wire>,
}

/// Where the wires lead.
#[derive(Debug)]
pub(super) struct Ends<'a> {
    pub(super) issuers: usize,
    pub(super) db: SocketAddr,
    pub(super) kv_public: SocketAddr,
    /// One for each edge.
    pub(super) kv_workers: &'a [SocketAddr],
    pub(super) origin: SocketAddr,
}

impl Wires {
    /// All of them; those from the edges to the issuers lead nowhere yet.
    pub(super) async fn start(ends: Ends<'_>) -> Result<Self> {
        let (mut issuer_db, mut issuer_kv) = (Vec::new(), Vec::new());
        for _ in 0..ends.issuers {
            issuer_db.push(Wire::start(vec![ends.db]).await?);
            let kv = vec![ends.kv_public];
            issuer_kv.push(Wire::start_listening_for([PUBLICATION, ""], kv).await?);
        }
        let (mut edge_kv, mut edge_issuer, mut edge_origin) = (Vec::new(), Vec::new(), Vec::new());
        for kv in ends.kv_workers {
            edge_kv.push(Wire::start(vec![*kv]).await?);
            edge_issuer.push(Wire::start_listening_for([FEED, SESSIONS], Vec::new()).await?);
            edge_origin.push(Wire::start(vec![ends.origin]).await?);
        }
        Ok(Self {
            issuer_db,
            issuer_kv,
            edge_kv,
            edge_issuer,
            edge_origin,
        })
    }

    /// To Postgres and to KV, for each issuer.
    pub(super) fn of_issuers(&self) -> impl Iterator<Item = (&Wire, &Wire)> {
        self.issuer_db.iter().zip(&self.issuer_kv)
    }

    /// Leads the edges to the issuers; each edge begins with another one.
    pub(super) fn lead_to_issuers(&self, issuers: &[SocketAddr]) {
        for (edge, wire) in self.edge_issuer.iter().enumerate() {
            let mut targets = issuers.to_vec();
            targets.rotate_left(edge % issuers.len().max(1));
            wire.set_targets(targets);
        }
    }

    /// The wire of the issuer or the edge `index`.
    pub(super) fn at(&self, link: Link, index: usize) -> Result<&Wire> {
        self.all(link)
            .get(index)
            .with_context(|| format!("there is no such end of {link:?}: {index}"))
    }

    pub(super) fn set_all(&self, link: Link, state: State) {
        for wire in self.all(link) {
            wire.set_state(state);
        }
    }

    /// The wires of a kind, by issuer or by edge.
    pub(super) const fn all(&self, link: Link) -> &Vec<Wire> {
        match link {
            Link::IssuerDb => &self.issuer_db,
            Link::IssuerKv => &self.issuer_kv,
            Link::EdgeKv => &self.edge_kv,
            Link::EdgeIssuer => &self.edge_issuer,
            Link::EdgeOrigin => &self.edge_origin,
        }
    }
}
