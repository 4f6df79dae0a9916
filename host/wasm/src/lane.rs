//! The slow lane: guests that compute for long take turns there, so that they leave most threads to everybody else.
//!
//! Nearly every call is over within its first slice, a tick or two of the epoch, and never comes here. One that goes on
//! waits for a turn before each further slice: first among the calls of its own binding, one of which has it at a time,
//! then among the bindings. However many guests loop, and whoever's they are, the cores that they hold are [`places`];
//! and a binding with a thousand loops waits as one.
//!
//! A turn is taken beside the runtime's workers (`block_in_place`), on a thread that yields to them: these go on with
//! everybody's sockets, and the operating system gives them the cores first. On a worker, a guest would keep what is queued
//! behind it waiting; and when no other worker happens to watch the sockets, all of them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Microseconds above which a binding's calls begin in the lane, on average: who was slow will be again, and some hundred
/// calls a second of two milliseconds take as much as one that never ends. Fifty times what a usual call takes.
const SLOW: u32 = 500;
/// Microseconds that one call counts at most. One that the operating system has interrupted takes milliseconds, and is
/// no reason to suspect anybody.
const COUNTED_MAX: u32 = 2_000;
/// What a call that took several slices makes of the average: some thirty usual calls, and it is forgotten.
const NOTORIOUS: u32 = 4_000;
/// Calls of which the average tells most.
const REMEMBERED: u32 = 16;
/// Of the places, one binding may have this part.
const SHARE: usize = 4;

/// Ticks that one slice is charged at most.
const CHARGED_MAX: u32 = 2;

/// How nice a thread is while a guest has a turn on it: where all cores are busy, it gets a tenth of one. At 19 or in the class
/// of idle threads it would hardly run on a busy machine, and neither would those who wait for a lock that it holds.
const NICE: i32 = 10;

/// Threads that slow guests may hold at once: half of the cores, for the other half is the server's.
pub(crate) fn places() -> usize {
    (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1)
}

/// Whether the runtime can go on without this thread.
fn has_other_workers() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// What the calls of one binding share.
#[derive(Clone)]
pub(crate) struct Pace {
    /// Its part of the lane, which is one place on all but large machines: its calls wait as one.
    own: Arc<Semaphore>,
    /// What its calls took of late, on average, in microseconds.
    usual: Arc<AtomicU32>,
    /// Nanoseconds that its guests ran in all.
    spent: Arc<AtomicU64>,
}

impl Pace {
    /// How long its guests ran in all, host calls included; what they waited is not.
    pub(crate) fn spent(&self) -> Duration {
        Duration::from_nanos(self.spent.load(Ordering::Relaxed))
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { own: Arc::new(Semaphore::new((places() / SHARE).max(1))), usual: Arc::default(), spent: Arc::default() }
    }
}

/// The turns of one instance.
pub(crate) struct Turn {
    lane: Arc<Semaphore>,
    pace: Pace,
    tick: Duration,
    held: Mutex<Held>,
}

/// One of the binding's, and one of the lane's.
type Place = (OwnedSemaphorePermit, OwnedSemaphorePermit);

struct Held {
    /// Given for the next time it is polled.
    next: Option<Place>,
    /// Held until it is polled no more.
    place: Option<Place>,
    /// Since when it runs.
    since: Instant,
    /// Slices of this call that are over.
    slices: u32,
}

impl Turn {
    pub(crate) fn new(lane: &Arc<Semaphore>, pace: &Pace, tick: Duration) -> Arc<Self> {
        let held = Held { next: None, place: None, since: Instant::now(), slices: 0 };
        Arc::new(Self { lane: Arc::clone(lane), pace: pace.clone(), tick, held: Mutex::new(held) })
    }

    /// Drives a call: the guest runs only while it is polled, and holds no place when it waits for anything. The call comes
    /// pinned: it has kilobytes, and is moved no more.
    pub(crate) async fn drive<T: Send>(&self, mut call: Pin<&mut (impl Future<Output = T> + Send)>) -> T {
        self.held.lock().slices = 0;
        if self.begins_in_lane() {
            self.take().await;
        }
        let done = poll_fn(|context| {
            let polled = if self.resume() && has_other_workers() {
                let waker = context.waker();
                tokio::task::block_in_place(|| poll_aside(call.as_mut(), waker))
            } else {
                call.as_mut().poll(context)
            };
            self.pause();
            polled
        });
        let done = done.await;
        self.remember();
        done
    }

    /// Whether the binding's calls took long of late.
    fn begins_in_lane(&self) -> bool {
        self.pace.usual.load(Ordering::Relaxed) > SLOW
    }

    /// Ticks until the first slice is over. A usual call takes microseconds and may begin right before a tick: without
    /// the second one, some calls in a thousand would have to queue behind those that do take long.
    pub(crate) fn first_slice(&self) -> u64 {
        if self.begins_in_lane() { 1 } else { 2 }
    }

    /// The guest has run through a slice, and has to wait for the next one: for how long it ran, as far as that is its
    /// doing. An instruction that fills memory may take several ticks; a thread that the operating system lets wait
    /// may, too.
    pub(crate) fn slice_is_over(&self) -> Duration {
        let mut held = self.held.lock();
        held.slices += 1;
        held.place = None;
        held.since.elapsed().min(self.tick * CHARGED_MAX)
    }

    /// Waits for the next slice.
    pub(crate) async fn take(&self) {
        // The semaphores are never closed; were they, there would be nothing to wait for.
        let own = Arc::clone(&self.pace.own).acquire_owned().await;
        let lane = Arc::clone(&self.lane).acquire_owned().await;
        self.held.lock().next = own.ok().zip(lane.ok());
        // Whatever else is ready goes first; and the next poll knows that this is a turn.
        tokio::task::yield_now().await;
    }

    /// The guest is about to run: whether in a turn of the lane.
    fn resume(&self) -> bool {
        let mut held = self.held.lock();
        held.place = held.next.take();
        held.since = Instant::now();
        held.place.is_some()
    }

    /// The guest runs no more, for now or for good.
    fn pause(&self) {
        let mut held = self.held.lock();
        held.place = None;
        let ran = u64::try_from(held.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.pace.spent.fetch_add(ran, Ordering::Relaxed);
    }

    /// Counts a call that is over.
    fn remember(&self) {
        let (slices, ran) = {
            let held = self.held.lock();
            (held.slices, held.since.elapsed().as_micros())
        };
        let ran = u32::try_from(ran).unwrap_or(u32::MAX).min(COUNTED_MAX);
        let average = |usual: u32| {
            let next = (usual * (REMEMBERED - 1) + ran) / REMEMBERED;
            // One slice may be over because the operating system had other things to do.
            Some(if slices > 1 { NOTORIOUS } else { next })
        };
        // It always has a next value.
        let _ = self.pace.usual.fetch_update(Ordering::Relaxed, Ordering::Relaxed, average);
    }
}

/// Polls on a thread of its own that gives way to others. To make one takes a fiftieth of a turn, and a thread that has been
/// nice may not become less so again.
fn poll_aside<T: Send>(mut call: Pin<&mut (impl Future<Output = T> + Send)>, waker: &Waker) -> Poll<T> {
    let runtime = Handle::current();
    let mut poll = || call.as_mut().poll(&mut Context::from_waker(waker));
    std::thread::scope(|scope| {
        let nice = || {
            // Linux means the calling thread by it. Where it may not be nice, it runs as it is.
            let _ = rustix::process::setpriority_process(None, NICE);
            let _entered = runtime.enter();
            poll()
        };
        let thread = std::thread::Builder::new().name("slow-guest".into()).spawn_scoped(scope, nice);
        thread.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
    // No thread is to be had.
    .unwrap_or_else(|_| poll())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    const TICK: Duration = Duration::from_millis(1);

    /// A guest of so many slices, which writes down when it runs.
    async fn guest(turn: Arc<Turn>, name: char, slices: usize, diary: Arc<Mutex<String>>) {
        let call = pin!(async {
            for _ in 0..slices {
                diary.lock().push(name);
                turn.slice_is_over();
                turn.take().await;
            }
        });
        turn.drive(call).await;
    }

    #[tokio::test]
    async fn bindings_take_turns_however_many_calls_each_has() {
        let (lane, diary) = (Arc::new(Semaphore::new(1)), Arc::default());
        let (greedy, modest) = (Pace::default(), Pace::default());
        let mut calls: Vec<_> = (0..50)
            .map(|_| tokio::spawn(guest(Turn::new(&lane, &greedy, TICK), 'g', 10, Arc::clone(&diary))))
            .collect();
        calls.push(tokio::spawn(guest(Turn::new(&lane, &modest, TICK), 'm', 10, Arc::clone(&diary))));
        for call in calls {
            call.await.unwrap();
        }
        let diary = diary.lock().clone();
        // All begin with a slice that nobody waits for; then every second one is the modest guest's.
        let end = diary.rfind('m').unwrap();
        assert!(end < 51 + 30, "{end} in {diary}");
        assert_eq!((diary.len(), lane.available_permits()), (510, 1));
    }

    #[tokio::test]
    async fn who_waits_for_something_else_holds_no_place() {
        let lane = Arc::new(Semaphore::new(1));
        let (turn, pace) = (Turn::new(&lane, &Pace::default(), TICK), Pace::default());
        let stalled = tokio::spawn(async move {
            let call = pin!(async {
                turn.slice_is_over();
                turn.take().await;
                std::future::pending::<()>().await;
            });
            turn.drive(call).await;
        });
        tokio::task::yield_now().await;
        guest(Turn::new(&lane, &pace, TICK), 'a', 3, Arc::default()).await;
        stalled.abort();
        assert_eq!((stalled.await.is_err(), lane.available_permits()), (true, 1));
    }

    #[tokio::test]
    async fn who_was_slow_begins_in_the_lane_for_a_while() {
        let (lane, pace) = (Arc::new(Semaphore::new(1)), Pace::default());
        guest(Turn::new(&lane, &pace, TICK), 'a', 1, Arc::default()).await;
        assert!(!Turn::new(&lane, &pace, TICK).begins_in_lane(), "one slice may be anybody's");
        guest(Turn::new(&lane, &pace, TICK), 'a', 2, Arc::default()).await;
        let taken = Arc::clone(&lane).acquire_owned().await.unwrap();
        let waiting = tokio::spawn(guest(Turn::new(&lane, &pace, TICK), 'b', 0, Arc::default()));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished(), "it did not wait");
        drop(taken);
        waiting.await.unwrap();
        for _ in 0..200 {
            guest(Turn::new(&lane, &pace, TICK), 'c', 0, Arc::default()).await;
        }
        let _taken = lane.acquire().await.unwrap();
        guest(Turn::new(&lane, &pace, TICK), 'd', 0, Arc::default()).await;
    }
}
