//! The whole stack on one machine: got ready, run, checked and tested.
//!
//! - [`setup`] gets the tools that are missing into a per-user cache folder;
//! - [`dev`] is `cargo dev`, [`verify`] is `cargo verify`;
//! - [`system`] is the stack as one struct with verbs, for tests;
//! - [`watch`] asks every edge for every session, over and over, and [`faults`] breaks the stack at random meanwhile.
//!
//! Below them, one file per part of the stack: [`postgres`], [`kv`], [`cache_api`], [`workerd`], [`origin`],
//! [`idp`] (who signs people in), [`worker_build`], [`examples`]; and what they all stand on: [`process`] (nothing started here outlives us), [`chance`] (what is
//! random follows from a seed), [`wait`], [`ports`], [`workspace`].

pub mod cache_api;
pub mod chance;
pub mod dev;
pub mod examples;
pub mod faults;
pub mod files;
pub mod idp;
pub mod kv;
pub mod nginx;
pub mod origin;
pub mod ports;
pub mod postgres;
mod private;
pub mod process;
pub mod raw;
pub mod setup;
pub mod socket;
pub mod system;
pub mod verify;
pub mod wait;
pub mod watch;
pub mod worker_build;
pub mod workerd;
pub mod workspace;
pub mod wrangler;
