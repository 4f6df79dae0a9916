//! The disk is full or broken for a while, at every operation of a life.

use super::ledger::{Ledger, check_no_orphans, commit_together, tiny};
use crate::storage::sim::{Fault, Leaves, Sim};
use crate::storage::{Folder, Storage};
use crate::{CommitError, Options, RecipientState, Spool};
use std::sync::Arc;

const NEVER: std::ops::Range<u64> = u64::MAX..u64::MAX;
/// A fault of so many operations is not mended before the process is killed.
const FOR_EVER: u64 = 1_000_000;

async fn live(spool: &Spool, ledger: &Ledger) {
    let old = ledger.commit(spool, 0, 100).await;
    let large = ledger.commit(spool, 1, 5000).await;
    for number in 20..30 {
        let id = ledger.commit(spool, number, 599).await;
        ledger.finish(spool, id).await;
    }
    ledger.record(spool, old, RecipientState::Delivered).await;
    ledger.finish(spool, large).await;
    ledger.commit(spool, 40, 2000).await;
}

/// Lives through a fault of `length` operations from `point` on; says whether the fault was reached.
async fn live_through(fault: Fault, point: u64, length: u64) -> bool {
    let story = format!("{fault:?} for {length} from {point} on");
    let (sim, ledger) = (Sim::new(point..point + length, fault), Ledger::default());
    if let Ok((spool, _)) = Spool::open_on(Arc::new(sim.clone()), tiny()) {
        live(&spool, &ledger).await;
        if length < FOR_EVER {
            sim.mend();
            let last = ledger.try_commit(&spool, 50, 300).await;
            assert!(last.is_ok(), "{story}: {last:?}");
        }
    }
    for leaves in [Leaves::Synced, Leaves::Everything, Leaves::Some(7)] {
        check_twice(&sim, &ledger, leaves, &format!("{story}, then {leaves:?}")).await;
    }
    sim.operations() > point
}

/// What is there after a restart is there after the next, even if the power is cut right after the first.
async fn check_twice(sim: &Sim, ledger: &Ledger, leaves: Leaves, story: &str) {
    let after = sim.restart(leaves, NEVER, Fault::Broken);
    let (spool, found) = Spool::open_on(Arc::new(after.clone()), tiny()).unwrap();
    ledger.check(&spool, &found, story).await;
    check_no_orphans(&after, &found, story);
    let later = after.restart(Leaves::Synced, NEVER, Fault::Broken);
    let (_spool, again) = Spool::open_on(Arc::new(later), tiny()).unwrap();
    assert_eq!(again, found, "{story}: what was recovered is gone after a power cut");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    for length in [1, 2, 7, 100, FOR_EVER] {
        let mut point = 0;
        while live_through(Fault::Full, point, length).await {
            point += 1;
        }
        assert!(point > 70, "the life has only {point} operations");
    }
}

#[tokio::test]
async fn a_broken_disk_loses_nothing_that_was_acknowledged() {
    for length in [1, 2, 7, 100, FOR_EVER] {
        let mut point = 0;
        while live_through(Fault::Broken, point, length).await {
            point += 1;
        }
    }
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_for_a_while_loses_nothing_either() {
    for length in [1, 5] {
        let mut point = 0;
        while live_through(Fault::Unreadable, point, length).await {
            point += 1;
        }
    }
}

#[tokio::test]
async fn a_full_disk_says_so_and_collects_no_segments() {
    let (sim, ledger) = (Sim::sound(), Ledger::default());
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    ledger.commit(&spool, 0, 100).await.unwrap();
    sim.set_fault(sim.operations()..u64::MAX, Fault::Full);
    for number in 1..50 {
        let refused = ledger.try_commit(&spool, number, 100).await;
        assert!(matches!(refused, Err(CommitError::Full(_))), "{refused:?}");
    }
    assert!(sim.list(Folder::Journal).unwrap().len() <= 3);
    sim.mend();
    ledger.commit(&spool, 90, 100).await.expect("there is room again");
    let after = sim.restart(Leaves::Synced, NEVER, Fault::Full);
    let (spool, found) = Spool::open_on(Arc::new(after), tiny()).unwrap();
    ledger.check(&spool, &found, "after the disk was full").await;
    assert_eq!(found.len(), 2);
}

#[tokio::test]
async fn a_record_whose_sync_failed_is_not_believed_later() {
    let sim = Sim::sound();
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    let ledger = Ledger::default();
    ledger.commit(&spool, 0, 100).await.unwrap();
    // The sync is one of the few operations that follow; each of them fails once.
    for operation in 0..40 {
        let at = sim.operations() + operation % 8;
        sim.set_fault(at..at + 1, Fault::Broken);
        let refused = commit_together(&spool, &ledger, &[(10, 100), (11, 100), (12, 100), (13, 100)]).await;
        sim.mend();
        let taken = ledger.try_commit(&spool, 20, 100).await;
        assert!(taken.is_ok(), "{taken:?}");
        let after = sim.restart(Leaves::Everything, NEVER, Fault::Broken);
        let (again, found) = Spool::open_on(Arc::new(after), tiny()).unwrap();
        ledger.check(&again, &found, &format!("operation {operation} failed")).await;
        assert_eq!(found.len(), ledger.owed(), "what was refused ({refused:?}) is not there");
    }
}

#[tokio::test]
async fn new_mail_leaves_room_for_the_outcomes_of_the_old() {
    let sim = Sim::sound();
    let options = Options { min_free: 10_000, ..tiny() };
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), options).unwrap();
    let ledger = Ledger::default();
    let id = ledger.commit(&spool, 0, 100).await.unwrap();
    sim.set_free(9_000);
    assert!(matches!(ledger.try_commit(&spool, 1, 100).await, Err(CommitError::Full(_))));
    spool.record(id, vec![(0, RecipientState::Delivered)]).await.unwrap();
    spool.finish(id).await.unwrap();
}

#[tokio::test]
async fn a_spool_holds_a_bounded_number_of_messages() {
    let options = Options { messages_max: 2, ..tiny() };
    let (spool, _) = Spool::open_on(Arc::new(Sim::sound()), options).unwrap();
    let ledger = Ledger::default();
    let first = ledger.commit(&spool, 0, 100).await;
    ledger.commit(&spool, 1, 100).await.unwrap();
    assert!(matches!(ledger.try_commit(&spool, 2, 100).await, Err(CommitError::Full(_))));
    ledger.finish(&spool, first).await;
    ledger.commit(&spool, 3, 100).await.unwrap();
}
