//! Postgres: a cluster of our own or the server of `DATABASE_URL`, and a database for each test.

mod cluster;
mod server;

pub use cluster::{Cluster, Durability};
pub use server::{Database, Server, TEST_SERVER};
