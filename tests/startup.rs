//! Compiled plugins are kept: the second start compiles nothing.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use support::{Home, Server};

/// All plugins that come with the server.
const PLUGINS: [&str; 8] =
    ["relay", "access", "early-talker", "helo-checks", "record-envelope", "local-domains", "headers", "karma"];

/// CPU time that a start with compiled plugins may take, whatever the machine: a fraction of what compiling one takes.
const QUICK: Duration = Duration::from_millis(500);

/// The files of a directory, with what tells one file from another of its name.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let entries = std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it can be read"));
    // What is used is marked as used, so the time says nothing; what is written anew is another file.
    let inode = |entry: &std::fs::DirEntry| entry.metadata().expect("it is there").ino();
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), inode(&entry))).collect()
}

/// CPU time so far of all the server's threads, and of the processes that compiled for it.
fn cpu_time(server: &Server) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).expect("it runs");
    let after_name = stat.rsplit_once(')').expect("the name stands in parentheses").1;
    // utime, stime and those of children are the 14th to 17th field, in hundredths of a second on every Linux; the 3rd comes first here.
    let ticks = after_name.split_whitespace().skip(11).take(4).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

#[test]
#[allow(clippy::print_stderr, reason = "the figures are what one wants to know")]
fn the_second_start_compiles_nothing() {
    let mut config = String::new();
    for name in PLUGINS {
        let grants = match name {
            "relay" => "[\"relaying\"]",
            "local-domains" => "[\"accept-recipients\"]",
            _ => "[]",
        };
        config.push_str(&format!("[[plugin]]\nname = \"{name}\"\nmodule = \"builtin:{name}\"\ngrants = {grants}\n"));
        match name {
            "local-domains" => config.push_str("config = { domains = [\"example.test\"] }\n"),
            "relay" => config.push_str("config = { networks = [] }\n"),
            _ => {}
        }
    }
    let first = Home::new(&config).start();
    let (cache, compiling) = (first.data().join("cache"), cpu_time(&first));
    let kept = files(&cache);
    assert!(kept.len() >= PLUGINS.len(), "{kept:?}");
    let second = first.stop().start();
    let loading = cpu_time(&second);
    eprintln!("first start: {compiling:?} of CPU time, second: {loading:?}");
    assert_eq!(files(&cache), kept, "the second start has compiled something");
    assert!(loading < QUICK && loading * 2 < compiling.max(Duration::from_millis(1)), "{loading:?} of {compiling:?}");
}
