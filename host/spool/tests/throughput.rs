//! How many messages a second get durable. Figures, not a pass or fail:
//! `cargo test --release -p wasmail-spool --test throughput -- --ignored --nocapture`.
//! `SPOOL_DIR` names the directory to write to; the disk under it is what is measured.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};
use wasmail_mail::{BodyType, Envelope, ForwardPath, Recipient, ReversePath};
use wasmail_spool::{Durability, Options, Spool};

const RUN: Duration = Duration::from_secs(3);

fn envelope() -> Envelope {
    let path = ForwardPath::parse("<recipient@example.test>").unwrap();
    Envelope {
        uuid: "0190a5e2-7b1c-7d2e-8f3a-0123456789ab.1".to_owned(),
        reverse_path: ReversePath::parse("<sender@example.org>").unwrap(),
        parameters: Vec::new(),
        body: BodyType::SevenBit,
        smtputf8: false,
        recipients: vec![Recipient { path, parameters: Vec::new() }],
        handling: Default::default(),
    }
}

/// Commits and finishes messages of `size` octets until the time is up; says how many.
async fn session(spool: Spool, size: usize, until: Instant) -> u64 {
    let body = vec![b'x'; size];
    let header = bytes::Bytes::from_static(b"From: <sender@example.org>\r\nSubject: throughput\r\n\r\n");
    let mut count = 0;
    while Instant::now() < until {
        let mut draft = spool.draft();
        for part in body.chunks(8192) {
            draft.append(part).await.unwrap();
        }
        let id = draft.seal().await.unwrap().commit(envelope(), header.clone()).await.unwrap();
        // As after a delivery: nobody waits for it.
        let finishing = spool.clone();
        tokio::spawn(async move { finishing.finish(id).await.unwrap() });
        count += 1;
    }
    count
}

async fn measure(durability: Durability, size: usize, sessions: usize) {
    let base = std::env::var_os("SPOOL_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base).unwrap();
    let options = Options { durability, ..Options::default() };
    let (spool, _) = Spool::open(&dir.path().join("spool"), options).unwrap();
    let (start, cpu) = (Instant::now(), cpu_time());
    let until = start + RUN;
    let tasks: Vec<_> = (0..sessions).map(|_| tokio::spawn(session(spool.clone(), size, until))).collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    let (elapsed, cpu, stats) = (start.elapsed().as_secs_f64(), cpu_time() - cpu, spool.stats());
    println!(
        "{durability:?} {size:>7} octets {sessions:>3} sessions: {:>8.0} commits/s {:>6.3} syncs/commit {:>6.1} µs CPU/commit",
        count as f64 / elapsed,
        stats.syncs as f64 / count as f64,
        cpu.as_secs_f64() * 1e6 / count as f64,
    );
}

/// CPU time of this process so far, from the kernel's clock ticks of a hundredth second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures of the disk it runs on"]
async fn how_many_commits_a_second() {
    for durability in [Durability::Synced, Durability::Unsynced] {
        for size in [1024, 50 * 1024] {
            for sessions in [1, 10, 50] {
                measure(durability, size, sessions).await;
            }
        }
    }
    measure(Durability::Synced, 1024 * 1024, 10).await;
}
