//! What policy is asked and what it may answer.
//!
//! A session asks a question at each hook; the [`Chain`] puts it to the plugins in order, checks each answer, applies
//! its mutations all or not at all, and returns the first decisive verdict. No socket, no clock, no wasm in here.

mod apply;
mod capability;
mod chain;
mod context;
mod fault;
mod findings;
#[cfg(test)]
mod fixture;
mod footprint;
mod grant;
mod guests;
mod hook;
mod mutation;
mod notes;
pub mod outbound;
mod parts;
mod parts_asked;
mod pieces;
mod question;
mod results;
mod rollout;
mod stages;
mod tenancy;
mod together;
mod verdict;

pub use apply::{PartError, Rejected, Why};
pub use chain::{Binding, Chain, Decision, FaultRule};
pub use context::{Context, Credentials, Denial, Fate, Secret, Step, Subject, Trail, TransactionContext};
pub use fault::Fault;
pub use findings::{AsItCame, Findings, Found};
pub use footprint::{Fact, Facts, Footprint, Undeclared};
pub use grant::{Grant, Grants};
pub use hook::{Hook, HookSet};
pub use mutation::{DELAY_MAX, MUTATIONS_MAX, Mutation, ResultList, Scope};
pub use notes::{NoteError, Notes};
pub use parts::{Content, Parts, header_of};
pub use pieces::{PIECES_MAX, PUT_IN_MAX, Pieces};
pub use question::{Answer, Body, BoxFuture, Outcome, Plugin, Question};
pub use results::{PluginResults, ResultError, Results};
pub use rollout::{Compared, Comparison, Difference, Sampled, Shadowed, Share};
pub use stages::Stages;
pub use tenancy::{Held, Meter, Pass, Tenancy, Tenant, Unmetered};
pub use verdict::{ReplyText, Verdict, VerdictError};
