//! Others may look at a spool in use, but only one process owns it.

use wasmail_mail::{BodyType, Envelope, ForwardPath, Recipient, ReversePath};
use wasmail_spool::{Inspection, Options, RecipientState, Spool, SpoolId};

async fn commit(spool: &Spool, length: usize) -> SpoolId {
    let recipient = |text| Recipient { path: ForwardPath::parse(text).unwrap(), parameters: Vec::new() };
    let envelope = Envelope {
        uuid: "looking.1".to_owned(),
        reverse_path: ReversePath::parse("<sender@example.org>").unwrap(),
        parameters: Vec::new(),
        body: BodyType::SevenBit,
        smtputf8: false,
        recipients: vec![recipient("<one@example.test>"), recipient("<two@example.test>")],
        handling: Default::default(),
    };
    let mut draft = spool.draft();
    draft.append(&vec![b'x'; length]).await.unwrap();
    draft.seal().await.unwrap().commit(envelope, "Subject: look\r\n\r\n".into()).await.unwrap()
}

#[tokio::test]
async fn who_looks_sees_the_messages_and_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    let (spool, _) = Spool::open(&root, Options::default()).unwrap();
    let (small, large) = (commit(&spool, 10).await, commit(&spool, 300_000).await);
    spool.record(small, vec![(1, RecipientState::Delivered)]).await.unwrap();
    let mut draft = spool.draft();
    draft.append(&[b'y'; 500_000]).await.unwrap();

    let look = Inspection::open(&root).unwrap();
    let seen = look.messages();
    assert_eq!(seen.iter().map(|message| message.id).collect::<Vec<_>>(), [small, large]);
    assert_eq!(seen[0].recipients, [RecipientState::Pending, RecipientState::Delivered]);
    assert_eq!(look.message(small).unwrap().header(), "Subject: look\r\n\r\n");
    assert_eq!(look.message(large).unwrap().body().len(), 300_000);

    // A draft under way is no message yet, but nobody who only looks takes it for a leftover.
    draft.append(&[b'y'; 500_000]).await.unwrap();
    assert_eq!(draft.seal().await.unwrap().body().read_at(999_999, 10).unwrap(), "y");
    spool.finish(large).await.unwrap();
    assert_eq!(look.message(large).err().unwrap().kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_spool_that_is_not_there_cannot_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let error = Inspection::open(&dir.path().join("none")).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_second_owner_is_told_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let (_spool, _) = Spool::open(dir.path(), Options::default()).unwrap();
    let error = Spool::open(dir.path(), Options::default()).err().unwrap().to_string();
    assert!(error.starts_with("failed to open the spool ") && error.contains("in use by another process"), "{error}");
}
