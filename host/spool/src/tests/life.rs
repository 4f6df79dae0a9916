//! The everyday of a spool.

use super::ledger::{Ledger, envelope, tiny};
use crate::storage::sim::{Fault, Leaves, Sim};
use crate::storage::{Folder, Storage};
use crate::{Durability, Options, RecipientState, Spool};
use std::sync::Arc;

#[tokio::test]
async fn a_dropped_draft_leaves_nothing() {
    let sim = Sim::sound();
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    let mut draft = spool.draft();
    draft.append(&[b'x'; 300]).await.unwrap();
    draft.append(&[b'x'; 500_000]).await.unwrap();
    assert_eq!(draft.len(), 500_300);
    assert_eq!(sim.list(Folder::Bodies).unwrap(), [draft.id().to_string()]);
    let sealed = draft.seal().await.unwrap();
    assert_eq!(sealed.body().len(), 500_300);
    drop(sealed);
    while !sim.list(Folder::Bodies).unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(spool.stats().messages, 0);
}

#[tokio::test]
async fn a_message_whose_sender_stopped_waiting_is_withdrawn() {
    let sim = Sim::sound();
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    for patience in 0..20 {
        let mut draft = spool.draft();
        draft.append(&[b'x'; 1000]).await.unwrap();
        let commit = draft.seal().await.unwrap().commit(envelope(1), "A: b\r\n\r\n".into());
        let mut commit = Box::pin(commit);
        let waker = std::task::Waker::noop();
        let mut done = false;
        for _ in 0..patience {
            let context = &mut std::task::Context::from_waker(waker);
            if let std::task::Poll::Ready(id) = commit.as_mut().poll(context) {
                spool.finish(id.unwrap()).await.unwrap();
                done = true;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(commit);
        while !done && spool.stats().messages > 0 {
            tokio::task::yield_now().await;
        }
    }
    // What was withdrawn while nobody looked is gone after this, for the committer works in order.
    let id = Ledger::default().commit(&spool, 2, 10).await.unwrap();
    spool.finish(id).await.unwrap();
    drop(spool);
    let (_, found) = Spool::open_on(Arc::new(sim.restart(Leaves::Synced, 0..0, Fault::Broken)), tiny()).unwrap();
    assert_eq!(found, []);
}

#[tokio::test]
async fn an_old_message_does_not_keep_the_journal_from_shrinking() {
    let sim = Sim::sound();
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    let ledger = Ledger::default();
    let old = ledger.commit(&spool, 0, 400).await;
    ledger.record(&spool, old, RecipientState::Failed { reply: "550 no".to_owned() }).await;
    for number in 1..200 {
        let id = ledger.commit(&spool, number, 400).await;
        ledger.finish(&spool, id).await;
    }
    let stats = spool.stats();
    assert!(stats.octets < 5 * 4096 && stats.moved > 5, "{stats:?}");
    assert!(sim.list(Folder::Journal).unwrap().len() <= 5);
    drop(spool);
    let (spool, found) = Spool::open_on(Arc::new(sim.restart(Leaves::Synced, 0..0, Fault::Broken)), tiny()).unwrap();
    ledger.check(&spool, &found, "after many moves").await;
    assert_eq!(found[0].recipients[0], RecipientState::Failed { reply: "550 no".to_owned() });
}

#[tokio::test]
async fn messages_sent_together_share_a_sync() {
    let (spool, _) = Spool::open_on(Arc::new(Sim::sound()), Options::default()).unwrap();
    let ledger = Ledger::default();
    let tasks: Vec<_> = (0..500)
        .map(|number| {
            let (spool, ledger) = (spool.clone(), ledger.clone());
            tokio::spawn(async move { ledger.commit(&spool, number, 100).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = spool.stats();
    assert_eq!((stats.messages, stats.records), (500, 500));
    assert!(stats.syncs < 250 && stats.writes == stats.syncs, "{stats:?}");
}

#[tokio::test]
async fn an_unsynced_spool_never_waits_for_the_disk() {
    let sim = Sim::sound();
    let options = Options { durability: Durability::Unsynced, ..tiny() };
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), options.clone()).unwrap();
    let ledger = Ledger::default();
    for number in 0..5 {
        ledger.commit(&spool, number, 200 * number as usize).await.unwrap();
    }
    assert_eq!(spool.stats().syncs, 0);
    let killed = sim.restart(Leaves::Everything, 0..0, Fault::Broken);
    let (spool, found) = Spool::open_on(Arc::new(killed), options).unwrap();
    ledger.check(&spool, &found, "after a kill").await;
    assert_eq!(found.len(), 5);
}

#[tokio::test]
async fn what_is_finished_is_not_found_and_cannot_be_finished_again() {
    let (spool, _) = Spool::open_on(Arc::new(Sim::sound()), tiny()).unwrap();
    let id = Ledger::default().commit(&spool, 0, 1000).await.unwrap();
    let held = spool.message(id).await.unwrap();
    spool.finish(id).await.unwrap();
    assert!(spool.finish(id).await.unwrap_err().to_string().contains("no message"));
    assert!(spool.record(id, vec![]).await.is_err());
    assert_eq!(spool.message(id).await.err().unwrap().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(held.body().read_at(990, 100).unwrap().len(), 10, "who holds it reads on");
}

#[tokio::test]
async fn a_message_needs_a_recipient() {
    let (spool, _) = Spool::open_on(Arc::new(Sim::sound()), tiny()).unwrap();
    let nobody = wasmail_mail::Envelope { recipients: Vec::new(), ..envelope(1) };
    let error = spool.draft().seal().await.unwrap().commit(nobody, "".into()).await.unwrap_err();
    assert!(error.to_string().contains("needs a recipient"), "{error}");
}
