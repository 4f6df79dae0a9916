//! The store survives kill -9 at any moment: whole, and never behind what an earlier start had found.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use wasmail_services::kv::{Quota, Space, Store, StoreConfig};

/// Where the child finds the directory.
const DIR: &str = "WASMAIL_KV_KILLED";
/// Times that it is killed.
const DEATHS: usize = 10;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

fn space(dir: &Path) -> Space {
    let path = Some(dir.join("kv.redb"));
    let config = StoreConfig { path, sync_interval: Duration::from_millis(5), cache: 1 << 20 };
    let store = Store::open(&config).expect("the file is whole");
    Space::new(Arc::clone(&store), "default", "killed", Quota { calls: u32::MAX, rate: u32::MAX, ..Quota::default() })
}

/// Not a test: what is killed. Counts, keeps an entry for each number, forgets that of ten numbers ago.
#[test]
#[ignore = "run by the test below, which kills it"]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let space = space(Path::new(&dir));
    let mut out = std::io::stdout().lock();
    runtime().block_on(async {
        let number = space.increment(&mut 0, "number", 0, None).await.expect("it is a number");
        mend(&space, number).await;
        loop {
            let number = space.increment(&mut 0, "number", 1, None).await.expect("it counts");
            space.set(&mut 0, &format!("entry/{number}"), vec![b'x'; 500], Some(3600)).await.expect("it is kept");
            space.delete(&mut 0, &format!("entry/{}", number - 10)).await.expect("it is forgotten");
            writeln!(out, "number {number}").expect("somebody listens");
        }
    });
}

/// Finishes what was begun with the last number.
async fn mend(space: &Space, number: i64) {
    if number > 0 {
        space.set(&mut 0, &format!("entry/{number}"), vec![b'x'; 500], Some(3600)).await.expect("it is kept");
    }
    space.delete(&mut 0, &format!("entry/{}", number - 10)).await.expect("it is forgotten");
}

#[test]
fn killed_at_any_moment_it_is_whole_and_goes_on() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let mut found_before = 0;
    for death in 0..DEATHS {
        let said = kill_after(dir.path(), 5 + death * 15);
        let found = look(dir.path());
        assert!((found_before..=said + 2).contains(&found), "{found} is not from {found_before} to {said}");
        found_before = found;
    }
    assert!(found_before > 0, "nothing was ever synced");
}

/// Runs the child until it has said so many lines, and kills it; the last number that it said.
fn kill_after(dir: &Path, lines: usize) -> i64 {
    let mut child = Command::new(std::env::current_exe().expect("the test is a program"));
    child.args(["--exact", "child", "--ignored", "--nocapture"]).env(DIR, dir).stdout(Stdio::piped());
    let mut child = child.spawn().expect("it runs a second time");
    let output = BufReader::new(child.stdout.take().expect("its output is ours"));
    let mut said = output.lines().map_while(Result::ok).filter_map(|line| line.strip_prefix("number ")?.parse().ok());
    let before: i64 = said.by_ref().take(lines).last().expect("the child counts");
    child.kill().expect("it can be killed");
    child.wait().expect("it is dead");
    // What it said until then; the last line may be cut.
    said.fold(before, i64::max)
}

/// Opens the store, checks that its parts belong together, and returns the number.
fn look(dir: &Path) -> i64 {
    let space = space(dir);
    runtime().block_on(async {
        let number = space.increment(&mut 0, "number", 0, None).await.expect("it is a number");
        let page = space.scan(&mut 0, "entry/", None, 1_000).await.expect("it can be read");
        // The entry of the last number may not have been written, or that of ten numbers ago not forgotten yet.
        let expected = (number - 10).max(0)..=number;
        for entry in &page.entries {
            let of: i64 = entry.key["entry/".len()..].parse().expect("the key is whole");
            assert!(expected.contains(&of) && entry.value == [b'x'; 500], "{} beside {number}", entry.key);
        }
        assert!(
            page.entries.len() >= (number - 1).clamp(0, 9) as usize,
            "{} entries beside {number}",
            page.entries.len()
        );
        number
    })
}
