//! With a ledger that is filled by hand and a KV that says what it was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shared::id::Fingerprint;
use shared::revocation::{Entry, OpenUpdate, Revocation};
use sqlx::postgres::PgPoolOptions;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::super::kv::tests::{kv_that, kv_that_answers};
use super::super::{Wake, lead};
use super::*;
use crate::config::Config;
use crate::config::tests::{JWT_SECRET, environment};
use crate::revoke::ledger::Ledger;
use crate::store::Store;
use crate::store::revocations::{Place, Tail};
use crate::time::Clock;
use crate::token::keyring::Keyring;

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
    fill(&services.ledger, services.clock.now(), transactions);
}

fn fill(ledger: &Ledger, now: UnixMillis, transactions: std::ops::Range<u64>) {
    let expires = now.to_secs().plus(BASE_KEPT * 9);
    let number = transactions.end;
    let rows = transactions.map(|xid| {
        let entry = Entry::Session(Fingerprint(xid));
        (Place { xid, row: 0 }, Revocation { entry, expires })
    });
    ledger.take(Tail {
        number,
        rows: rows.collect(),
    });
}

/// The next call, as its pairs.
fn call(sent: &mut Sent) -> Vec<Value> {
    pairs(&sent.try_recv().unwrap().1)
}

fn pairs(body: &str) -> Vec<Value> {
    serde_json::from_str(body).unwrap()
}

fn update(services: &Services, pair: &Value) -> Update {
    let bytes = STANDARD.decode(pair["value"].as_str().unwrap()).unwrap();
    let secrets = &services.config.edge_secrets;
    OpenUpdate::open(&bytes, secrets).unwrap().to_update()
}

const HEAD: Due = Due {
    head: true,
    base: false,
};

#[tokio::test]
async fn a_base_is_written_before_the_head_that_names_it_and_then_kept() {
    let services = services().await;
    let (kv, mut sent) = kv_that_answers(StatusCode::OK, GOOD).await;
    read(&services, 1..4);
    let mut writer = Writer::new(&services, &kv);
    let mut due = Due::EVERYTHING;
    writer.write(&mut due).await.unwrap();
    assert!(!due.any());
    let (base, head) = (call(&mut sent), call(&mut sent));
    assert_eq!((base.len(), head.len()), (1, 1));
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

/// A KV during whose first `busy` writes of a base 20,000 revocations come, more than a head holds.
async fn kv_that_is_slow_with_bases(services: &Services, busy: u64) -> (KvClient, Sent) {
    let (ledger, now) = (services.ledger.clone(), services.clock.now());
    let (seen, sent) = unbounded_channel();
    let bases = Arc::new(AtomicU64::new(0));
    let kv = kv_that(move |headers, body| {
        if body.contains(wire::kv::REVOCATIONS_BASE) {
            let turn = bases.fetch_add(1, Ordering::SeqCst) + 1;
            if turn <= busy {
                fill(&ledger, now, turn * 20_000..(turn + 1) * 20_000);
            }
        }
        seen.send((headers, body)).unwrap();
        (StatusCode::OK, GOOD)
    });
    (kv.await, sent)
}

#[tokio::test]
async fn what_came_while_kv_took_a_base_goes_into_another_one() {
    let services = services().await;
    read(&services, 1..10);
    let (kv, mut sent) = kv_that_is_slow_with_bases(&services, 1).await;
    let mut writer = Writer::new(&services, &kv);
    writer.write(&mut HEAD.clone()).await.unwrap();
    let (first, second, head) = (call(&mut sent), call(&mut sent), call(&mut sent));
    assert_eq!(update(&services, &first[0]).entries.len(), 9);
    assert_eq!(update(&services, &second[0]).entries.len(), 20_009);
    let bytes = STANDARD.decode(head[0]["value"].as_str().unwrap()).unwrap();
    assert!(bytes.len() <= HEAD_LIMIT, "{} bytes", bytes.len());
    assert_eq!(
        second[0]["key"],
        update(&services, &head[0]).base.unwrap().key()
    );
}

#[tokio::test]
async fn a_kv_that_stays_too_slow_gets_a_large_head_rather_than_none() {
    let services = services().await;
    read(&services, 1..10);
    let (kv, mut sent) = kv_that_is_slow_with_bases(&services, 2).await;
    let mut writer = Writer::new(&services, &kv);
    let mut due = HEAD;
    writer.write(&mut due).await.unwrap();
    let (_, second, head) = (call(&mut sent), call(&mut sent), call(&mut sent));
    let (base, head) = (update(&services, &second[0]), update(&services, &head[0]));
    assert_eq!((head.base, head.number), (base.base, 60_000));
    assert_eq!(base.entries.len() + head.entries.len(), 40_009);
    assert!(!due.any());
    // The next one is small again.
    writer.write(&mut HEAD.clone()).await.unwrap();
    let (base, head) = (call(&mut sent), call(&mut sent));
    assert_eq!(update(&services, &base[0]).entries.len(), 40_009);
    let bytes = STANDARD.decode(head[0]["value"].as_str().unwrap()).unwrap();
    assert!(bytes.len() <= HEAD_LIMIT, "{} bytes", bytes.len());
}

#[tokio::test]
async fn an_idle_minute_has_two_heads() {
    let services = services().await;
    let (kv, mut sent) = kv_that_answers(StatusCode::OK, GOOD).await;
    read(&services, 1..4);
    let mut writer = Writer::new(&services, &kv);
    writer.write(&mut HEAD.clone()).await.unwrap();
    let before = (call(&mut sent), call(&mut sent));
    let mut heads = 0;
    for _ in 0..60 {
        services.clock.advance(Duration::from_secs(1));
        read(&services, 4..4);
        if writer.is_heartbeat_due() {
            writer.write(&mut HEAD.clone()).await.unwrap();
            let head = update(&services, &call(&mut sent)[0]);
            assert_eq!(head.base, update(&services, &before.1[0]).base);
            heads += 1;
        }
    }
    assert_eq!(heads, 2);
}

/// The next head that is sent.
async fn head_sent(services: &Services, sent: &mut Sent) -> Update {
    loop {
        let (_, body) = sent.recv().await.unwrap();
        if let Some(pair) = pairs(&body)
            .iter()
            .find(|pair| pair["key"] == wire::kv::REVOCATIONS_HEAD)
        {
            return update(services, pair);
        }
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_hold_up_no_head() {
    let mut services = services().await;
    // Keys are stored, and the pool waits in vain for a connection to look for them.
    let config = Config::from_env(environment()).unwrap();
    services.keyring = Arc::new(Keyring::new(&config));
    assert!(services.keyring.is_published());
    let (kv, mut sent) = kv_that_answers(StatusCode::OK, GOOD).await;
    read(&services, 1..4);
    let wake = Wake::default();
    let reading = async {
        assert_eq!(head_sent(&services, &mut sent).await.number, 4);
        read(&services, 4..6);
        assert_eq!(head_sent(&services, &mut sent).await.number, 6);
        wake.keys.send_replace(());
        read(&services, 6..9);
        assert_eq!(head_sent(&services, &mut sent).await.number, 9);
    };
    tokio::select! {
        never = lead::write(&services, &kv, &wake) => match never {},
        read = tokio::time::timeout(Duration::from_secs(15), reading) => read.unwrap(),
    }
}
