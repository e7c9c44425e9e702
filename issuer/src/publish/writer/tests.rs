//! With a ledger that is filled by hand and a KV that says what it was sent.

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shared::id::Fingerprint;
use shared::revocation::{Entry, OpenUpdate, Revocation};
use sqlx::postgres::PgPoolOptions;
use tokio::sync::mpsc::UnboundedReceiver;

use super::super::kv::tests::kv_that_answers;
use super::*;
use crate::config::Config;
use crate::config::tests::{JWT_SECRET, environment};
use crate::store::Store;
use crate::store::revocations::{Place, Tail};
use crate::time::Clock;

const GOOD: &str = r#"{"success":true,"errors":[]}"#;

type Sent = UnboundedReceiver<(HeaderMap, String)>;

/// An issuer whose store has nobody to talk to.
async fn services() -> Services {
    let mut environment = environment();
    environment.push(("JWT_SECRET".to_owned(), JWT_SECRET.to_owned()));
    let config = Config::from_env(environment).unwrap();
    let pool = PgPoolOptions::new()
        .connect_lazy("postgres://127.0.0.1:1/none")
        .unwrap();
    let services = Services::new(config, Clock::system(), Store::from_pool(pool)).await;
    services.unwrap()
}

/// The ledger reads these transactions, each of one row.
fn read(services: &Services, transactions: std::ops::Range<u64>) {
    let expires = services.clock.now().to_secs().plus(BASE_KEPT * 9);
    let number = transactions.end;
    let rows = transactions.map(|xid| {
        let entry = Entry::Session(Fingerprint(xid));
        (Place { xid, row: 0 }, Revocation { entry, expires })
    });
    services.ledger.take(Tail {
        number,
        rows: rows.collect(),
    });
}

/// The next call, as its pairs.
fn call(sent: &mut Sent) -> Vec<Value> {
    let (_, body) = sent.try_recv().unwrap();
    serde_json::from_str::<Vec<Value>>(&body).unwrap()
}

fn update(services: &Services, pair: &Value) -> Update {
    let bytes = STANDARD.decode(pair["value"].as_str().unwrap()).unwrap();
    let secrets = &services.config.edge_secrets;
    OpenUpdate::open(&bytes, secrets).unwrap().to_update()
}

const HEAD: Due = Due {
    head: true,
    base: false,
    keys: false,
};

#[tokio::test]
async fn a_base_is_written_before_the_head_that_names_it_and_then_kept() {
    let services = services().await;
    let (kv, mut sent) = kv_that_answers(StatusCode::OK, GOOD).await;
    read(&services, 1..4);
    let mut writer = Writer::new(&services, &kv);
    let mut due = Due::everything(&services);
    writer.write(&mut due).await.unwrap();
    assert!(!due.any());
    let (base, head) = (call(&mut sent), call(&mut sent));
    assert_eq!(
        (base.len(), head.len()),
        (1, 1),
        "no keys beside JWT_SECRET"
    );
    assert_eq!(base[0]["expiration_ttl"], 7_200);
    assert_eq!(head[0].get("expiration_ttl"), None);
    let (base_update, head_update) = (update(&services, &base[0]), update(&services, &head[0]));
    let name = head_update.base.unwrap();
    assert_eq!(base[0]["key"], name.key());
    assert_eq!(base_update.base, Some(name));
    assert_eq!((base_update.since, base_update.entries.len()), (0, 3));

    read(&services, 4..6);
    writer.write(&mut HEAD.clone()).await.unwrap();
    let head = update(&services, &call(&mut sent)[0]);
    assert_eq!((head.base, head.number), (Some(name), 6));
    assert!(sent.try_recv().is_err(), "no other call");
}

#[tokio::test]
async fn what_does_not_fit_into_a_head_goes_into_a_new_base() {
    let services = services().await;
    let (kv, mut sent) = kv_that_answers(StatusCode::OK, GOOD).await;
    read(&services, 1..10);
    let mut writer = Writer::new(&services, &kv);
    writer.write(&mut HEAD.clone()).await.unwrap();
    let first = (call(&mut sent), call(&mut sent));
    read(&services, 10..20_000);
    writer.write(&mut HEAD.clone()).await.unwrap();
    let second = (call(&mut sent), call(&mut sent));
    assert_ne!(first.0[0]["key"], second.0[0]["key"]);
    assert_eq!(update(&services, &second.0[0]).entries.len(), 19_999);
    let head = STANDARD.decode(second.1[0]["value"].as_str().unwrap());
    assert!(head.unwrap().len() <= HEAD_LIMIT);
}

#[tokio::test]
async fn after_a_failure_only_what_is_missing_is_due() {
    let services = services().await;
    let (good, mut sent) = kv_that_answers(StatusCode::OK, GOOD).await;
    let (bad, _refused) = kv_that_answers(StatusCode::TOO_MANY_REQUESTS, "slow down").await;
    let mut writer = Writer::new(&services, &good);
    let mut due = HEAD;
    let unread = writer.write(&mut due).await;
    assert!(matches!(unread, Err(PublishError::Unread)));
    read(&services, 1..4);
    writer.write(&mut due).await.unwrap();
    let name = update(&services, &(call(&mut sent), call(&mut sent)).1[0]).base;
    writer.kv = &bad;
    let mut due = HEAD;
    let error = writer.write(&mut due).await.unwrap_err();
    assert!(error.is_too_soon() && due == HEAD);
    writer.kv = &good;
    writer.write(&mut due).await.unwrap();
    assert_eq!(update(&services, &call(&mut sent)[0]).base, name);
}

#[tokio::test]
async fn a_heartbeat_is_due_by_the_clock_and_an_old_base_is_replaced() {
    let services = services().await;
    let (kv, mut sent) = kv_that_answers(StatusCode::OK, GOOD).await;
    read(&services, 1..4);
    let mut writer = Writer::new(&services, &kv);
    assert!(writer.is_heartbeat_due());
    writer.write(&mut HEAD.clone()).await.unwrap();
    assert!(!writer.is_heartbeat_due());
    services.clock.advance(HEARTBEAT);
    assert!(writer.is_heartbeat_due());
    read(&services, 4..4);
    writer.write(&mut HEAD.clone()).await.unwrap();
    assert!(!writer.is_heartbeat_due());
    let before = (call(&mut sent), call(&mut sent), call(&mut sent));
    assert!(sent.try_recv().is_err(), "the base was kept");
    services.clock.advance(BASE_KEPT);
    writer.write(&mut HEAD.clone()).await.unwrap();
    let (base, _) = (call(&mut sent), call(&mut sent));
    assert_ne!(base[0]["key"], before.0[0]["key"]);
}
