//! Questions to the DNS, for all plugins through one caching resolver.

mod answer;
mod client;
mod resolver;
mod upstream;

pub use answer::{Answer, Data, Mx, Outcome, Query, RecordType, ResourceRecord, Tlsa};
pub use client::{Client, Quota};
pub use resolver::{NoNameServer, Resolver, ResolverConfig, Validation};

#[cfg(test)]
pub(crate) mod tests;
