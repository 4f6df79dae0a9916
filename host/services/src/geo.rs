//! Where an address is, by databases in MaxMind's format (mmdb) that the operator names.

mod client;
mod database;
mod databases;
mod place;

pub use client::{Client, Quota};
pub use database::Unreadable;
pub use databases::{Databases, DatabasesConfig};
pub use place::{Coordinates, Division, Place, Record};

#[cfg(test)]
mod tests;
