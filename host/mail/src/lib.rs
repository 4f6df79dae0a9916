//! The nouns of mail: addresses, paths, envelopes, replies, headers, connections and transactions.
//!
//! Ground floor of the house: the standard library only, no I/O, no clock. Octets from the network are parsed here
//! once; a value that exists is a good one.

mod address;
mod connection;
mod envelope;
mod header;
mod ip;
mod method;
mod parameter;
mod reply;
mod transaction;

pub use address::{AddressError, Domain, ForwardPath, Mailbox, ReversePath};
pub use connection::{
    Auth, Connection, Counters, Dispositions, Hello, HelloVerb, Local, Proxy, ProxyKind, Remote, Tls,
};
pub use envelope::{BodyType, Envelope, Handling, Recipient};
pub use header::{Field, FieldError, HeaderSection, valid_field_name};
pub use ip::{canonical, is_local, is_private};
pub use method::MethodResult;
pub use parameter::{Parameter, ParameterError, valid_keyword, valid_value};
pub use reply::{EnhancedStatus, Reply, ReplyError, Severity};
pub use transaction::Transaction;
