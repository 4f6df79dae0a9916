//! Stories of what bindings keep.

use super::*;
use crate::Failure;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use tokio::runtime::{Builder, Runtime};

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(path: Option<&Path>) -> StoreConfig {
    let path = path.map(|dir| dir.join("kv.redb"));
    StoreConfig { path, sync_interval: Duration::from_millis(10), cache: 1 << 20 }
}

fn memory() -> Arc<Store> {
    Store::open(&config(None)).unwrap()
}

fn space(store: &Arc<Store>, binding: &str) -> Space {
    Space::new(Arc::clone(store), "default", binding, Quota::default())
}

async fn get(space: &Space, key: &str) -> Option<String> {
    space.get(&mut 0, key).await.unwrap().map(|value| String::from_utf8(value).unwrap())
}

async fn set(space: &Space, key: &str, value: &str, ttl: Option<u32>) {
    space.set(&mut 0, key, value.into(), ttl).await.unwrap();
}

/// Looks again and again until it is so.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "it does not come to be");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_written_is_read_and_forgotten() {
    let space = space(&memory(), "a");
    assert_eq!(get(&space, "k").await, None);
    set(&space, "k", "one", None).await;
    set(&space, "k", "two", None).await;
    assert_eq!(get(&space, "k").await.as_deref(), Some("two"));
    assert_eq!(space.delete(&mut 0, "k").await, Ok(true));
    assert_eq!(space.delete(&mut 0, "k").await, Ok(false));
    assert_eq!(get(&space, "k").await, None);
}

#[tokio::test]
async fn numbers_add_up_until_they_are_none() {
    let space = space(&memory(), "a");
    let add = async |by| space.increment(&mut 0, "n", by, None).await;
    assert_eq!((add(5).await, add(-7).await), (Ok(5), Ok(-2)));
    assert_eq!(get(&space, "n").await.as_deref(), Some("-2"));
    assert!(matches!(add(i64::MIN).await, Err(Failure::Invalid(_))));
    assert_eq!(add(0).await, Ok(-2));
    set(&space, "n", "many", None).await;
    assert_eq!(add(1).await, Err(Failure::Invalid("the value is no number".into())));
}

#[tokio::test]
async fn many_counters_at_once_lose_nothing() {
    let space = space(&memory(), "a");
    let mut adding = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let space = space.clone();
        adding.spawn(async move { space.increment(&mut 0, "n", 1, None).await.unwrap() });
    }
    let mut sums = adding.join_all().await;
    sums.sort_unstable();
    assert_eq!(sums, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_value_is_replaced_only_if_it_is_what_was_expected() {
    let space = space(&memory(), "a");
    let swap = async |expected: Option<&str>, value: Option<&str>| {
        let octets = |text: Option<&str>| text.map(|text| text.as_bytes().to_vec());
        space.compare_and_set(&mut 0, "k", octets(expected), octets(value), None).await.unwrap()
    };
    assert!(!swap(Some("x"), Some("1")).await);
    assert!(swap(None, Some("1")).await);
    assert!(!swap(None, Some("2")).await);
    assert!(swap(Some("1"), Some("2")).await);
    assert_eq!(get(&space, "k").await.as_deref(), Some("2"));
    assert!(swap(Some("2"), None).await);
    assert_eq!(get(&space, "k").await, None);
}

#[tokio::test]
async fn what_has_expired_is_gone_and_gives_its_room_back() {
    let quota = Quota { entries: 2, ..Quota::default() };
    let space = Space::new(memory(), "default", "a", quota);
    set(&space, "stays", "1", None).await;
    set(&space, "goes", "1", Some(1)).await;
    assert_eq!(space.increment(&mut 0, "goes", 1, Some(1_000)).await, Ok(2));
    let third = async || space.set(&mut 0, "third", Vec::new(), None).await;
    assert_eq!(third().await, Err(Failure::QuotaExceeded("kv.entries")));
    // The increment has not prolonged its life.
    until(async || get(&space, "goes").await.is_none()).await;
    until(async || third().await.is_ok()).await;
    assert_eq!(get(&space, "stays").await.as_deref(), Some("1"));
    assert!(matches!(space.set(&mut 0, "k", Vec::new(), Some(0)).await, Err(Failure::Invalid(_))));
}

#[tokio::test]
async fn a_scan_goes_on_where_it_has_stopped() {
    let store = memory();
    let (space, other) = (space(&store, "a"), space(&store, "ab"));
    for key in ["a", "b/1", "b/2", "b/3", "b/4", "b0", "c"] {
        set(&space, key, key, None).await;
        set(&other, key, "other", None).await;
    }
    let keys = |page: &Page| page.entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>();
    let first = space.scan(&mut 0, "b/", None, 3).await.unwrap();
    assert_eq!((keys(&first), first.next.as_deref()), (vec!["b/1".into(), "b/2".into(), "b/3".into()], Some("b/3")));
    assert_eq!(first.entries[0].value, b"b/1");
    let second = space.scan(&mut 0, "b/", first.next.as_deref(), 3).await.unwrap();
    assert_eq!((keys(&second), second.next), (vec!["b/4".to_owned()], None));
    assert_eq!(space.scan(&mut 0, "", None, 1_000).await.unwrap().entries.len(), 7);
}

#[tokio::test]
async fn quotas_are_of_one_binding_and_say_which_one_it_was() {
    let store = memory();
    let quota = Quota { value: 100, entries: 10, size: 500, calls: 3, ..Quota::default() };
    let small = Space::new(Arc::clone(&store), "default", "small", quota);
    let write = async |key: &str, len| small.set(&mut 0, key, vec![b'x'; len], None).await;
    assert_eq!(write("k", 101).await, Err(Failure::QuotaExceeded("kv.value")));
    assert_eq!((write("a", 100).await, write("b", 100).await, write("c", 100).await), (Ok(()), Ok(()), Ok(())));
    // Three times 1 + 100 + 64.
    assert_eq!(write("d", 100).await, Err(Failure::QuotaExceeded("kv.size")));
    assert_eq!(small.delete(&mut 0, "a").await, Ok(true));
    assert_eq!(write("d", 100).await, Ok(()));
    let mut used = 0;
    for _ in 0..3 {
        assert!(small.get(&mut used, "a").await.is_ok());
    }
    assert_eq!(small.get(&mut used, "a").await, Err(Failure::QuotaExceeded("kv.calls")));
    set(&space(&store, "large"), "k", &"x".repeat(1_000), None).await;
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&config(Some(dir.path()))).unwrap();
    set(&space(&store, "a"), "k", "kept", None).await;
    drop(store);
    let store = Store::open(&config(Some(dir.path()))).unwrap();
    assert_eq!(get(&space(&store, "a"), "k").await.as_deref(), Some("kept"));
    let again = Store::open(&config(Some(dir.path()))).unwrap_err().to_string();
    assert!(again.starts_with("failed to open ") && again.contains("kv.redb"), "{again}");
}

/// A disk that can be full. It outlives the store's use of it, as a disk does.
#[derive(Debug, Clone)]
struct Disk(Arc<InMemoryBackend>, Arc<AtomicBool>);

impl Disk {
    fn room(&self) -> io::Result<()> {
        let is_full = self.1.load(Ordering::SeqCst);
        if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.room()?;
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.room()?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.room()?;
        self.0.write(offset, data)
    }
}

#[tokio::test]
async fn a_full_disk_is_an_answer_and_passes() {
    let disk = Disk(Arc::new(InMemoryBackend::new()), Arc::default());
    let (own, is_full) = (disk.clone(), Arc::clone(&disk.1));
    let store = Store::on(&config(None), move || own.clone());
    let space = space(&store, "a");
    set(&space, "before", "1", None).await;
    is_full.store(true, Ordering::SeqCst);
    // What fits into the file as it is may still be taken; in the end nothing is.
    until(async || {
        let refused = space.set(&mut 0, "during", vec![b'x'; 60_000], None).await;
        matches!(refused, Err(Failure::Unavailable(_)))
    })
    .await;
    is_full.store(false, Ordering::SeqCst);
    until(async || space.set(&mut 0, "after", Vec::new(), None).await.is_ok()).await;
    assert_eq!(get(&space, "after").await.as_deref(), Some(""));
}

#[derive(Debug, Clone)]
enum Act {
    Set(String, u8),
    Delete(String),
    Increment(String, i8),
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let key = || "[a-c\u{0}\u{ff}]{1,3}";
    let act = prop_oneof![
        (key(), any::<u8>()).prop_map(|(key, value)| Act::Set(key, value % 10)),
        key().prop_map(Act::Delete),
        (key(), any::<i8>()).prop_map(|(key, by)| Act::Increment(key, by)),
    ];
    (0..4_usize, act)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Four spaces whose names run into each other behave like four maps.
    #[test]
    fn spaces_behave_like_maps_of_their_own(acts in prop::collection::vec(act(), 1..60)) {
        let store = memory();
        let names = [("a", "b"), ("ab", ""), ("", "ab"), ("a", "ba")];
        let spaces = names.map(|(tenant, name)| Space::new(Arc::clone(&store), tenant, name, Quota::default()));
        let mut maps: [BTreeMap<String, i64>; 4] = Default::default();
        runtime().block_on(async {
            for (n, act) in acts {
                match act {
                    Act::Set(key, value) => {
                        set(&spaces[n], &key, &value.to_string(), None).await;
                        maps[n].insert(key, value.into());
                    }
                    Act::Delete(key) => {
                        let was_there = spaces[n].delete(&mut 0, &key).await.unwrap();
                        prop_assert_eq!(was_there, maps[n].remove(&key).is_some());
                    }
                    Act::Increment(key, by) => {
                        let sum = spaces[n].increment(&mut 0, &key, by.into(), None).await.unwrap();
                        let expected = maps[n].entry(key).or_default();
                        *expected += i64::from(by);
                        prop_assert_eq!(sum, *expected);
                    }
                }
            }
            for (space, map) in spaces.iter().zip(&maps) {
                let page = space.scan(&mut 0, "", None, 1_000).await.unwrap();
                let text = |entry: &Entry| (entry.key.clone(), String::from_utf8_lossy(&entry.value).into_owned());
                let found: Vec<_> = page.entries.iter().map(text).collect();
                let expected: Vec<_> = map.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
                prop_assert_eq!(found, expected);
            }
            Ok(())
        })?;
    }
}
