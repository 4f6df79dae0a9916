//! The disk spoils what it had kept.

use super::ledger::{Ledger, tiny};
use crate::Spool;
use crate::storage::sim::{Fault, Leaves, Sim};
use crate::storage::{Folder, Storage};
use std::sync::Arc;

const NEVER: std::ops::Range<u64> = u64::MAX..u64::MAX;

/// A disk with eight messages over several segments.
async fn eight_messages() -> (Sim, Ledger) {
    let (sim, ledger) = (Sim::sound(), Ledger::default());
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    for number in 0..8 {
        ledger.commit(&spool, number, 500).await.unwrap();
    }
    (sim, ledger)
}

fn segments(sim: &Sim) -> Vec<String> {
    let mut names = sim.list(Folder::Journal).unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn a_spoiled_record_is_set_aside_and_the_others_go_on() {
    let (sim, _) = eight_messages().await;
    let first = &segments(&sim)[0];
    for offset in (300..1500).step_by(53) {
        let spoiled = sim.restart(Leaves::Synced, NEVER, Fault::Broken);
        spoiled.rot(Folder::Journal, first, offset);
        let (_spool, found) = Spool::open_on(Arc::new(spoiled.clone()), tiny()).unwrap();
        assert!(found.len() >= 7, "octet {offset} costs one message at most, not {}", 8 - found.len());
        assert_eq!(spoiled.list(Folder::Quarantine).unwrap().len(), 1, "octet {offset}");
    }
}

#[tokio::test]
async fn a_spoiled_beginning_of_a_segment_costs_no_message() {
    let (sim, ledger) = eight_messages().await;
    for name in segments(&sim) {
        sim.rot(Folder::Journal, &name, 30);
    }
    let (spool, found) = Spool::open_on(Arc::new(sim), tiny()).unwrap();
    assert_eq!(found.len(), 8);
    ledger.check(&spool, &found, "every segment's first record is spoiled").await;
}

#[tokio::test]
async fn a_message_without_its_body_is_not_passed_on() {
    let sim = Sim::sound();
    let ledger = Ledger::default();
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    let large = ledger.commit(&spool, 0, 5000).await.unwrap();
    ledger.commit(&spool, 1, 100).await.unwrap();
    drop(spool);
    sim.remove(Folder::Bodies, &large.to_string()).unwrap();
    let (_spool, found) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(sim.list(Folder::Quarantine).unwrap().len(), 1);
}

#[tokio::test]
async fn a_message_that_spoils_while_we_run_is_found_out_when_it_is_read() {
    let (sim, ledger) = (Sim::sound(), Ledger::default());
    let (spool, _) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    let id = ledger.commit(&spool, 0, 500).await.unwrap();
    sim.rot(Folder::Journal, &segments(&sim)[0], 600);
    let error = spool.message(id).await.err().expect("it is spoiled");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    // Nor does it keep the others from being moved on.
    let kept = ledger.commit(&spool, 1, 500).await.unwrap();
    for number in 2..60 {
        let next = ledger.commit(&spool, number, 500).await;
        ledger.finish(&spool, next).await;
    }
    assert!(spool.message(kept).await.is_ok());
    assert!(spool.stats().segments <= 5, "{:?}", spool.stats());
    assert_eq!(sim.list(Folder::Quarantine).unwrap().len(), 1);
}
