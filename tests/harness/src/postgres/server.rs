//! A server on which each test gets a database.

use anyhow::{Context as _, Result};
use reqwest::Url;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::OnceCell;

use super::{Cluster, Durability};
use crate::setup::npm;
use crate::system::{accounts, background};
use crate::{process, workspace};

/// Names a server for tests, so that several test programs share one: set by `cargo verify`.
pub const TEST_SERVER: &str = "PORTCULLIS_TEST_POSTGRES";

/// A server on which databases can be made.
#[derive(Clone, Debug)]
pub struct Server {
    url: Url,
}

impl Server {
    /// The server of a `DATABASE_URL`.
    ///
    /// # Errors
    /// It is no URL.
    pub fn at(url: &str) -> Result<Self> {
        Ok(Self {
            url: Url::parse(url).context("DATABASE_URL is no URL")?,
        })
    }

    /// The server for the tests of this process: [`TEST_SERVER`], else `DATABASE_URL`, else a cluster of our own that
    /// goes with this process.
    ///
    /// # Errors
    /// There is none.
    pub async fn for_tests() -> Result<&'static Self> {
        static OURS: OnceCell<(Server, Option<Cluster>)> = OnceCell::const_new();
        let started = OURS.get_or_try_init(async || {
            if let Ok(url) = std::env::var(TEST_SERVER).or_else(|_| std::env::var("DATABASE_URL")) {
                return Ok((Self::at(&url)?, None));
            }
            let folder = workspace::scratch()?.join("postgres");
            let cluster = Cluster::start(&npm::ready()?, &folder, Durability::Thrown).await?;
            anyhow::Ok((cluster.server().clone(), Some(cluster)))
        });
        Ok(&started.await?.0)
    }

    /// The URL of the database `name`.
    pub fn url(&self, name: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(name);
        url.into()
    }

    /// The URL of the database that the server was named with.
    pub fn base_url(&self) -> &str {
        self.url.as_str()
    }

    /// A new database with the schema and the accounts of [`accounts`], dropped with the value.
    ///
    /// # Errors
    /// Postgres refuses.
    pub async fn database(&self) -> Result<Database> {
        let template = self.template().await?;
        let name = format!("test_{}_{}", std::process::id(), process::serial());
        let mut admin = self.connect_base().await?;
        admin
            .execute(sqlx::AssertSqlSafe(format!(
                "create database {name} template {template}"
            )))
            .await
            .context("cannot make a database")?;
        Ok(Database {
            server: self.clone(),
            name,
        })
    }

    /// The migrated database that others are copied from: made by whoever comes first, for each state of the schema.
    async fn template(&self) -> Result<String> {
        let state: Vec<u8> = issuer::MIGRATOR
            .iter()
            .flat_map(|migration| migration.checksum.to_vec())
            .collect();
        let name = format!(
            "portcullis_template_{}",
            crate::setup::cache::short_hash(&[&state, accounts::VERSION].concat())
        );
        let mut admin = self.connect_base().await?;
        let exists = "select exists (select from pg_database where datname = $1)";
        // One at a time; the lock goes with the connection.
        sqlx::query("select pg_advisory_lock(hashtext('portcullis_template'))")
            .execute(&mut admin)
            .await?;
        if sqlx::query_scalar(exists)
            .bind(&name)
            .fetch_one(&mut admin)
            .await?
        {
            return Ok(name);
        }
        let partial = format!("{name}_partial");
        admin
            .execute(sqlx::AssertSqlSafe(format!(
                "drop database if exists {partial} with (force)"
            )))
            .await?;
        admin
            .execute(sqlx::AssertSqlSafe(format!("create database {partial}")))
            .await
            .context("cannot make a database")?;
        let mut made = self.connect(&partial).await?;
        issuer::MIGRATOR
            .run(&mut made)
            .await
            .context("cannot migrate the template database")?;
        made.close().await?;
        accounts::create(&self.url(&partial)).await?;
        admin
            .execute(sqlx::AssertSqlSafe(format!(
                "alter database {partial} rename to {name}"
            )))
            .await?;
        Ok(name)
    }

    pub(super) async fn connect(&self, name: &str) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url(name)).await?)
    }

    async fn connect_base(&self) -> Result<PgConnection> {
        PgConnection::connect(self.base_url())
            .await
            .context("cannot reach Postgres")
    }
}

/// A test's own database.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
}

impl Database {
    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// A connection to it, for a test that looks behind the scenes.
    ///
    /// # Errors
    /// Postgres does not answer.
    pub async fn connect(&self) -> Result<PgConnection> {
        self.server.connect(&self.name).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let dropped = background::wait_for(async move {
            let mut admin = server.connect_base().await?;
            admin
                .execute(sqlx::AssertSqlSafe(format!(
                    "drop database if exists {name} with (force)"
                )))
                .await?;
            anyhow::Ok(())
        });
        if let Ok(Err(error)) | Err(error) = dropped {
            eprintln!("the database {} stays: {error:#}", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_keeps_all_but_the_name() {
        let server = Server::at("postgres://u:p@host:5433/first?sslmode=disable").unwrap();
        assert_eq!(
            server.url("second"),
            "postgres://u:p@host:5433/second?sslmode=disable"
        );
    }

    #[tokio::test]
    async fn each_database_is_migrated_and_its_own() {
        let server = Server::for_tests().await.unwrap();
        let (one, other) = (
            server.database().await.unwrap(),
            server.database().await.unwrap(),
        );
        let count = "select count(*) from users";
        let mut connection = one.connect().await.unwrap();
        connection.execute("delete from users").await.unwrap();
        let left: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let mut connection = other.connect().await.unwrap();
        let untouched: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!((left, untouched), (0, 2));
        let url = one.url();
        drop(one);
        assert!(PgConnection::connect(&url).await.is_err());
    }
}
