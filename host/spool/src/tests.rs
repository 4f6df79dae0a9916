//! Stories about a spool whose disk fails it.

mod crashes;
mod faults;
mod ledger;
mod life;
mod rot;
