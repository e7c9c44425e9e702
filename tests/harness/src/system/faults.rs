//! The verbs with which a stack is disturbed.

use anyhow::Result;

use super::System;
use super::link::{Link, State};

impl System {
    /// From now on connections over `link` fail, at every issuer or edge.
    pub fn cut(&self, link: Link) {
        self.wires.set_all(link, State::Cut);
    }

    /// From now on nothing passes over `link`, and nobody is told.
    pub fn stall(&self, link: Link) {
        self.wires.set_all(link, State::Stalled);
    }

    /// `link` works again everywhere.
    pub fn heal(&self, link: Link) {
        self.wires.set_all(link, State::Whole);
    }

    /// [`System::cut`] for one issuer, or one edge: whichever has the near end of `link`.
    ///
    /// # Errors
    /// There are not so many; so for the next two.
    pub fn cut_at(&self, index: usize, link: Link) -> Result<()> {
        self.set_state_at(index, link, State::Cut)
    }

    /// [`System::stall`] for one issuer, or one edge.
    ///
    /// # Errors
    /// See [`System::cut_at`].
    pub fn stall_at(&self, index: usize, link: Link) -> Result<()> {
        self.set_state_at(index, link, State::Stalled)
    }

    /// [`System::heal`] for one issuer, or one edge.
    ///
    /// # Errors
    /// See [`System::cut_at`].
    pub fn heal_at(&self, index: usize, link: Link) -> Result<()> {
        self.set_state_at(index, link, State::Whole)
    }

    /// Every link works again.
    pub fn heal_all(&self) {
        for link in Link::ALL {
            self.heal(link);
        }
    }

    fn set_state_at(&self, index: usize, link: Link, state: State) -> Result<()> {
        self.wires.at(link, index)?.set_state(state);
        Ok(())
    }

    /// How many connections an edge has made over `link`.
    ///
    /// # Errors
    /// There are not so many edges.
    pub fn connections(&self, edge: usize, link: Link) -> Result<usize> {
        Ok(self.wires.at(link, edge)?.connections())
    }

    /// How often an edge has asked the issuers for revocations.
    ///
    /// # Errors
    /// There are not so many edges.
    pub fn feed_requests(&self, edge: usize) -> Result<u64> {
        Ok(self.wires.at(Link::EdgeIssuer, edge)?.heard().times)
    }

    /// How often an edge has asked the issuers which sessions stand.
    ///
    /// # Errors
    /// There are not so many edges.
    pub fn session_questions(&self, edge: usize) -> Result<u64> {
        let wire = self.wires.at(Link::EdgeIssuer, edge)?;
        Ok(wire.heard_second().times)
    }

    /// The issuer that has published last, as far as its wire to KV has heard.
    pub fn publisher(&self) -> Option<usize> {
        let wires = self.wires.all(Link::IssuerKv).iter().enumerate();
        let last = wires.filter_map(|(issuer, wire)| Some((wire.heard().last?, issuer)));
        last.max().map(|(_, issuer)| issuer)
    }
}
