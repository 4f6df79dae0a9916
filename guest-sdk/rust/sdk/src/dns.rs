//! Questions to the DNS. They need the grant `dns`; what the records mean is said in `wit/capabilities.wit`.
//!
//! ```no_run
//! use wasmail_guest::dns::{self, Data, RecordType};
//!
//! let answer = dns::lookup("example.org", RecordType::Mx)?;
//! let exchanges = answer.records.iter().filter_map(|record| match &record.data {
//!     Data::Mx(mx) => Some(mx.exchange.as_str()),
//!     _ => None,
//! });
//! # Ok::<_, wasmail_guest::Failure>(())
//! ```
//!
//! Natively there is no DNS: a test says with [`pretend`] what is answered.

use std::net::IpAddr;

use crate::Failure;
pub use crate::bindings::wasmail::policy::dns::{Answer, Data, Mx, Outcome, Query, RecordType, ResourceRecord, Tlsa};

/// Asks one question.
///
/// # Errors
/// When it is not granted, a quota or the time is used up, the name servers fail, or the name is none. That there is
/// nothing is no error: [`Answer::outcome`] says so.
pub fn lookup(name: impl Into<String>, record_type: RecordType) -> Result<Answer, Failure> {
    host::lookup(&Query::new(name, record_type))
}

/// Asks all of them at once, which takes as long as the slowest. The answers are in the order of the questions.
#[must_use]
pub fn lookup_all(queries: &[Query]) -> Vec<Result<Answer, Failure>> {
    host::lookup_all(queries)
}

/// An address as blocklists and reverse zones write it, the last octet or nibble first: `1.2.0.192` for 192.0.2.1.
#[must_use]
pub fn reversed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

impl Query {
    /// A question.
    pub fn new(name: impl Into<String>, record_type: RecordType) -> Self {
        Self { name: name.into(), record_type }
    }
}

impl Answer {
    /// An answer with records, for tests; their time to live is a minute.
    #[must_use]
    pub fn found(data: impl IntoIterator<Item = Data>) -> Self {
        let records = data.into_iter().map(|data| ResourceRecord { data, ttl: 60 }).collect();
        Self { outcome: Outcome::Found, records, validated: false }
    }

    /// The answer that there is no such name, for tests.
    #[must_use]
    pub fn no_such_name() -> Self {
        Self { outcome: Outcome::NoSuchName, records: Vec::new(), validated: false }
    }
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::dns as host;

#[cfg(not(target_family = "wasm"))]
pub use host::pretend;

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::cell::RefCell;

    use super::{Answer, Failure, Query};

    type Answers = Box<dyn Fn(&Query) -> Result<Answer, Failure>>;

    thread_local! {
        static ANSWERS: RefCell<Answers> = RefCell::new(Box::new(|_| Err(Failure::NotGranted)));
    }

    /// Says what is answered from now on in this thread: for unit tests. Before, nothing is granted.
    pub fn pretend(answers: impl Fn(&Query) -> Result<Answer, Failure> + 'static) {
        ANSWERS.with(|place| *place.borrow_mut() = Box::new(answers));
    }

    pub(super) fn lookup(query: &Query) -> Result<Answer, Failure> {
        ANSWERS.with(|answers| answers.borrow()(query))
    }

    pub(super) fn lookup_all(queries: &[Query]) -> Vec<Result<Answer, Failure>> {
        queries.iter().map(lookup).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_reversed_as_zones_write_them() {
        assert_eq!(reversed([192, 0, 2, 1].into()), "1.2.0.192");
        let ip: IpAddr = "2001:db8::567:89ab".parse().unwrap();
        assert_eq!(reversed(ip), "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2");
    }

    #[test]
    fn a_test_says_what_is_answered() {
        assert_eq!(lookup("example.org", RecordType::A), Err(Failure::NotGranted));
        pretend(|query| match query.name.as_str() {
            "example.org" => Ok(Answer::found([Data::A("192.0.2.1".into())])),
            _ => Ok(Answer::no_such_name()),
        });
        let queries = ["example.org", "example.net"].map(|name| Query::new(name, RecordType::A));
        let outcomes = lookup_all(&queries).into_iter().map(|answer| answer.unwrap().outcome).collect::<Vec<_>>();
        assert!(matches!(outcomes[..], [Outcome::Found, Outcome::NoSuchName]));
    }
}
