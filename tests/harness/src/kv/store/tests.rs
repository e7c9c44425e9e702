use super::*;

const TTL: Duration = Duration::from_secs(30);

fn entry(text: &str) -> Entry {
    Entry {
        value: text.to_owned().into(),
        ..Entry::default()
    }
}

#[test]
fn frozen_values_stay_until_they_thaw() {
    let store = Store::new(1, None, Clock::system());
    store.put("a", entry("old"));
    store.set_read_fault(Some(Fault::Frozen));
    store.put("a", entry("new"));
    assert_eq!(store.read(0, "a", TTL).unwrap().value, "old");
    store.set_read_fault(None);
    assert_eq!(store.read(0, "a", TTL).unwrap().value, "new");
    assert_eq!(store.reads("a"), 2);
}

#[test]
fn one_write_a_second_for_one_key() {
    let store = Store::new(1, None, Clock::system());
    let write = |key: &str| store.write(vec![(key.to_owned(), entry("v"))]);
    assert_eq!(
        (write("a"), write("a"), write("b")),
        (Ok(()), Err(TooSoon), Ok(()))
    );
    assert_eq!(store.writes("a"), 1);
    store.limit_writes(false);
    assert_eq!(write("a"), Ok(()));
}

#[test]
fn what_has_expired_is_gone() {
    let store = Store::new(1, None, Clock::system());
    store.put(
        "a",
        Entry {
            expires: Some(UnixMillis::from_millis(0)),
            ..entry("v")
        },
    );
    assert!(store.get("a").is_none());
    assert!(store.list("", None, 10).0.is_empty());
}

#[test]
fn a_list_goes_on_where_it_stopped() {
    let store = Store::new(1, None, Clock::system());
    for key in ["a1", "a2", "a3", "b"] {
        store.put(key, entry("v"));
    }
    let names = |(entries, complete): (Vec<(String, Entry)>, bool)| {
        (
            entries
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>(),
            complete,
        )
    };
    assert_eq!(
        names(store.list("a", None, 2)),
        (vec!["a1".into(), "a2".into()], false)
    );
    assert_eq!(
        names(store.list("a", Some("a2"), 2)),
        (vec!["a3".into()], true)
    );
}
