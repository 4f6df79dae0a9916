//! A real file system with little room: a tmpfs of two megabytes, where the machine lets us mount one.
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::Command;
use wasmail_mail::{BodyType, Envelope, ForwardPath, Recipient, ReversePath};
use wasmail_spool::{CommitError, Options, Spool, SpoolId};

/// A mounted tmpfs; it goes with its value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(dir: &Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(dir).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(dir.to_owned())),
            other => {
                eprintln!("SKIPPED: a small disk is not to be had here, mounting a tmpfs says: {other:?}");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn options() -> Options {
    Options { segment_size: 128 * 1024, inline_max: 16 * 1024, min_free: 256 * 1024, ..Options::default() }
}

fn envelope() -> Envelope {
    let path = ForwardPath::parse("<recipient@example.test>").unwrap();
    Envelope {
        uuid: "small.1".to_owned(),
        reverse_path: ReversePath::Null,
        parameters: Vec::new(),
        body: BodyType::SevenBit,
        smtputf8: false,
        recipients: vec![Recipient { path, parameters: Vec::new() }],
        handling: Default::default(),
    }
}

async fn commit(spool: &Spool, length: usize) -> Result<SpoolId, CommitError> {
    let mut draft = spool.draft();
    draft.append(&vec![b'x'; length]).await?;
    draft.seal().await?.commit(envelope(), "A: b\r\n\r\n".into()).await
}

/// Commits messages of `length` octets until the disk is full.
async fn fill(spool: &Spool, length: usize) -> Vec<SpoolId> {
    let mut ids = Vec::new();
    loop {
        match commit(spool, length).await {
            Ok(id) => ids.push(id),
            Err(CommitError::Full(_)) => return ids,
            Err(error) => panic!("a full disk is said to be broken: {error}"),
        }
        assert!(ids.len() < 10_000, "the disk never gets full");
    }
}

#[tokio::test]
async fn a_full_disk_keeps_what_it_has_and_takes_more_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path()) else { return };
    let root = dir.path().join("spool");
    let (spool, _) = Spool::open(&root, options()).unwrap();
    let mut ids = fill(&spool, 2000).await;
    assert!(ids.len() > 200, "only {} messages of 2 KB on 2 MB", ids.len());
    let too_large = commit(&spool, 3_000_000).await;
    assert!(matches!(too_large, Err(CommitError::Full(_))), "{too_large:?}");
    drop(spool);

    let (spool, found) = Spool::open(&root, options()).unwrap();
    assert_eq!(found.iter().map(|message| message.id).collect::<Vec<_>>(), ids);
    for id in ids.drain(10..) {
        spool.finish(id).await.expect("there is room left for this");
    }
    let more = fill(&spool, 50_000).await;
    assert!(more.len() > 10, "room is given back: {} large messages, {:?}", more.len(), spool.stats());
    ids.extend(more);
    drop(spool);

    let (spool, found) = Spool::open(&root, options()).unwrap();
    assert_eq!(found.iter().map(|message| message.id).collect::<Vec<_>>(), ids);
    for id in ids {
        let message = spool.message(id).await.unwrap();
        let mut chunks = message.body().chunks();
        while let Some(chunk) = chunks.next().await.unwrap() {
            assert!(chunk.iter().all(|octet| *octet == b'x'));
        }
    }
}
