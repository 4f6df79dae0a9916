//! Memory is flat in the size of a message. Alone in its process, for it looks at the whole of its memory.

use wasmail_mail::{BodyType, Envelope, ForwardPath, Recipient, ReversePath};
use wasmail_spool::{Durability, Options, Spool, SpoolId};

const SESSIONS: usize = 20;
const BODY: usize = 32 * 1024 * 1024;
/// What a session may take: two chunks in flight, and what allocators and threads take beside them.
const PER_SESSION: usize = 2 * 1024 * 1024;

/// The most this process has ever had in memory, in octets.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn envelope() -> Envelope {
    let path = ForwardPath::parse("<recipient@example.test>").unwrap();
    Envelope {
        uuid: "large.1".to_owned(),
        reverse_path: ReversePath::Null,
        parameters: Vec::new(),
        body: BodyType::SevenBit,
        smtputf8: false,
        recipients: vec![Recipient { path, parameters: Vec::new() }],
        handling: Default::default(),
    }
}

async fn send(spool: Spool) -> SpoolId {
    let mut draft = spool.draft();
    let part = vec![b'x'; 16 * 1024];
    for _ in 0..BODY / part.len() {
        draft.append(&part).await.unwrap();
    }
    draft.seal().await.unwrap().commit(envelope(), "A: b\r\n\r\n".into()).await.unwrap()
}

async fn fetch(spool: Spool, id: SpoolId) {
    let message = spool.message(id).await.unwrap();
    let (mut chunks, mut length) = (message.body().chunks(), 0);
    while let Some(chunk) = chunks.next().await.unwrap() {
        length += chunk.len();
    }
    assert_eq!(length, BODY);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_large_messages_at_once_take_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    // The memory is the same, and the test need not wait for the disk.
    let options = Options { durability: Durability::Unsynced, ..Options::default() };
    let (spool, _) = Spool::open(&dir.path().join("spool"), options).unwrap();
    let before = peak();
    let sending: Vec<_> = (0..SESSIONS).map(|_| tokio::spawn(send(spool.clone()))).collect();
    let mut fetching = Vec::new();
    for task in sending {
        fetching.push(tokio::spawn(fetch(spool.clone(), task.await.unwrap())));
    }
    for task in fetching {
        task.await.unwrap();
    }
    let grown = peak() - before;
    assert!(grown < SESSIONS * PER_SESSION, "{grown} octets for {SESSIONS} sessions");
}
