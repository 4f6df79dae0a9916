//! Who is tried when, and when to give up; no clock, no socket.
//!
//! The queue decides, the spool remembers, the server carries. A [`Queue`] is told what came in and what became of each
//! attempt, always with the time; it says which recipients are due and what is to be done about a failure. Times are
//! wall-clock times, for a retry may be due after the next start.

mod backoff;
mod draw;
pub mod exchanges;
mod queue;
mod schedule;
mod suspension;

pub use backoff::{Backoff, Policy};
pub use queue::{Decision, Due, Outcome, Queue, Recipient, Report};
pub use schedule::Schedule;
pub use suspension::Suspensions;
