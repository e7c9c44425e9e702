//! The whole stack, driven over HTTP through [`harness::system::System`]: real Postgres, the real issuer, the built
//! worker in workerd. And the rules that the source tree keeps.

mod accounts;
mod alike;
mod assertion;
mod browser;
mod caching;
mod cors;
mod csrf;
mod deploy;
mod early;
mod ending;
mod faults;
mod freshness;
mod guard;
mod keys;
mod late;
mod layers;
mod limit;
mod login;
mod logout;
mod loops;
mod passthrough;
mod paths;
mod propagation;
mod publishing;
mod refresh;
mod renewal;
mod resets;
mod settings;
mod shutdown;
mod spoof;
mod stepup;
mod support;
mod sweep;
mod wire;
mod world;
