//! The power is cut at every single operation of a life, and of every recovery.

use super::ledger::{Ledger, check_no_orphans, commit_together, tiny};
use crate::storage::sim::{Fault, Leaves, Sim};
use crate::storage::{Folder, Storage};
use crate::{Deferral, RecipientState, Spool};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

const NEVER: std::ops::Range<u64> = u64::MAX..u64::MAX;

/// What a cut may leave, each tried at every point.
const REMAINS: [Leaves; 7] = [
    Leaves::Synced,
    Leaves::Everything,
    Leaves::Some(1),
    Leaves::Some(2),
    Leaves::Some(3),
    Leaves::Some(4),
    Leaves::Some(5),
];

fn deferred(attempts: u32) -> RecipientState {
    let next_attempt = UNIX_EPOCH + Duration::from_secs(u64::from(attempts) * 60);
    RecipientState::Deferred(Deferral {
        attempts,
        next_attempt,
        reply: format!("451 4.0.0 attempt {attempts}"),
        warned: false,
    })
}

/// A life with everything in it: small and large messages, alone and together, outcomes, abandoned drafts, and an old
/// message that outlives many segments.
async fn live(spool: &Spool, ledger: &Ledger) {
    let old = ledger.commit(spool, 0, 100).await;
    let large = ledger.commit(spool, 1, 5000).await;
    let old_large = ledger.commit(spool, 2, 700).await;
    ledger.record(spool, old, deferred(1)).await;
    ledger.reroute(spool, old_large, Some("archive")).await;
    abandon(spool, 50).await;
    abandon(spool, 5000).await;
    let together = commit_together(spool, ledger, &[(10, 600), (11, 660), (12, 50)]).await;
    ledger.finish(spool, large).await;
    for number in 20..36 {
        let id = ledger.commit(spool, number, 599).await;
        ledger.finish(spool, id).await;
    }
    ledger.record(spool, old, deferred(2)).await;
    ledger.reroute(spool, old, Some("elsewhere")).await;
    ledger.reroute(spool, old_large, None).await;
    let bounced = RecipientState::Bounced { reply: "550 5.1.1 nobody".to_owned() };
    ledger.tell(spool, 37, 300, together[0], bounced.clone()).await;
    ledger.tell(spool, 38, 900, old, bounced).await;
    for number in 41..47 {
        let id = ledger.commit(spool, number, 590).await;
        ledger.finish(spool, id).await;
    }
    for id in together.into_iter().skip(1) {
        ledger.finish(spool, id).await;
    }
    ledger.commit(spool, 40, 0).await;
    ledger.record(spool, old_large, RecipientState::Delivered).await;
}

async fn abandon(spool: &Spool, length: usize) {
    let mut draft = spool.draft();
    let _ = draft.append(&vec![b'x'; length]).await;
}

/// Lives on `sim` until the end or the cut.
async fn one_life(sim: &Sim, ledger: &Ledger) {
    if let Ok((spool, _)) = Spool::open_on(Arc::new(sim.clone()), tiny()) {
        live(&spool, ledger).await;
    }
}

/// Opens what is left, checks it, goes on for a while, and checks again after a clean end.
async fn next_life(sim: &Sim, ledger: &Ledger, story: &str) {
    let (spool, found) = Spool::open_on(Arc::new(sim.clone()), tiny()).unwrap();
    ledger.check(&spool, &found, story).await;
    check_no_orphans(sim, &found, story);
    ledger.settle(&found);
    ledger.commit(&spool, 60, 900).await.expect("a sound disk takes mail");
    for number in 61..66 {
        let id = ledger.commit(&spool, number, 500).await;
        ledger.finish(&spool, id).await;
    }
    drop(spool);
    let again = sim.restart(Leaves::Synced, NEVER, Fault::PowerCut);
    let aside = again.list(Folder::Quarantine).unwrap();
    let (spool, found) = Spool::open_on(Arc::new(again.clone()), tiny()).unwrap();
    ledger.check(&spool, &found, &format!("{story}, then a clean end")).await;
    assert_eq!(again.list(Folder::Quarantine).unwrap(), aside, "{story}: a false alarm");
}

#[tokio::test]
async fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    let mut point = 0;
    loop {
        let (sim, ledger) = (Sim::new(point..u64::MAX, Fault::PowerCut), Ledger::default());
        one_life(&sim, &ledger).await;
        for leaves in REMAINS {
            let after = sim.restart(leaves, NEVER, Fault::PowerCut);
            next_life(&after, &ledger.copy(), &format!("cut at {point}, {leaves:?}")).await;
        }
        if sim.operations() < point {
            break;
        }
        point += 1;
    }
    assert!(point > 150, "the life has only {point} operations");
}

#[tokio::test]
async fn a_power_cut_during_recovery_loses_nothing_either() {
    // Every nineteenth point of the life, and every point of the recovery after it.
    for point in (0..).step_by(19) {
        let (sim, ledger) = (Sim::new(point..u64::MAX, Fault::PowerCut), Ledger::default());
        one_life(&sim, &ledger).await;
        for (first, second) in [
            (Leaves::Everything, Leaves::Synced),
            (Leaves::Everything, Leaves::Some(3)),
            (Leaves::Some(4), Leaves::Some(5)),
        ] {
            cut_recovery(&sim, &ledger, (first, second), point).await;
        }
        if sim.operations() < point {
            return;
        }
    }
}

async fn cut_recovery(sim: &Sim, ledger: &Ledger, (first, second): (Leaves, Leaves), point: u64) {
    for cut in 0.. {
        let recovering = sim.restart(first, cut..u64::MAX, Fault::PowerCut);
        let opened = Spool::open_on(Arc::new(recovering.clone()), tiny());
        let done = opened.is_ok();
        drop(opened);
        let after = recovering.restart(second, NEVER, Fault::PowerCut);
        let story = format!("cut at {point} {first:?}, recovery cut at {cut} {second:?}");
        next_life(&after, &ledger.copy(), &story).await;
        if done {
            return;
        }
    }
}

#[tokio::test]
async fn segments_that_go_at_the_same_time_bring_no_finished_message_back() {
    let mut point = 20;
    loop {
        let (sim, ledger) = (Sim::new(point..u64::MAX, Fault::PowerCut), Ledger::default());
        if let Ok((spool, _)) = Spool::open_on(Arc::new(sim.clone()), tiny()) {
            let mut ids = Vec::new();
            for number in 0..12 {
                ids.push(ledger.commit(&spool, number, 500).await);
            }
            // The oldest last: until then it keeps all segments.
            for id in ids.into_iter().rev() {
                ledger.finish(&spool, id).await;
            }
        }
        for seed in 0..24 {
            let after = sim.restart(Leaves::Some(seed), NEVER, Fault::PowerCut);
            let (spool, found) = Spool::open_on(Arc::new(after), tiny()).unwrap();
            ledger.check(&spool, &found, &format!("cut at {point}, seed {seed}")).await;
        }
        if sim.operations() < point {
            break;
        }
        point += 1;
    }
}

#[tokio::test]
async fn an_undisturbed_life_owes_what_it_promised() {
    let (sim, ledger) = (Sim::sound(), Ledger::default());
    let (spool, _) = Spool::open_on(Arc::new(sim), tiny()).unwrap();
    live(&spool, &ledger).await;
    assert_eq!(ledger.owed(), 6, "0, 2, one of the three together, the two that tell of fates, and 40");
    assert!(spool.stats().moved >= 4 && spool.stats().segments < 6, "{:?}", spool.stats());
}
