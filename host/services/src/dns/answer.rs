//! What is asked and what is answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::proto::rr::{self, Name, RData};

use crate::Failure;

/// Octets of a name in text form (RFC 1035 §2.3.4, and a final dot).
const NAME_MAX: usize = 254;

/// The types of records that may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of RFC 1035, 3596 and 6698")]
pub enum RecordType {
    A,
    Aaaa,
    Mx,
    Txt,
    Ptr,
    Tlsa,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    /// A name in ASCII; for PTR an IP address does, too.
    pub name: String,
    /// The type of record wanted.
    pub record_type: RecordType,
}

/// What became of a question that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether there is anything.
    pub outcome: Outcome,
    /// The records of the type that was asked for.
    pub records: Vec<ResourceRecord>,
    /// The name server says that it has validated them, and is trusted to.
    pub validated: bool,
}

/// Whether there is anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There are records.
    Found,
    /// The name exists, without records of this type.
    NoData,
    /// The name does not exist.
    NoSuchName,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRecord {
    /// What it says.
    pub data: Data,
    /// Seconds for which it may be kept.
    pub ttl: u32,
}

/// What a record says. Names are in ASCII, without their final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the record types")]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx(Mx),
    /// The strings of one record, joined.
    Txt(Vec<u8>),
    Ptr(String),
    Tlsa(Tlsa),
}

/// A mail exchange (RFC 5321 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// Lower is better.
    pub preference: u16,
    /// Empty for the null MX (RFC 7505).
    pub exchange: String,
}

/// A certificate association (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the RFC")]
pub struct Tlsa {
    pub certificate_usage: u8,
    pub selector: u8,
    pub matching_type: u8,
    pub data: Vec<u8>,
}

impl Answer {
    /// An answer without records.
    pub(super) const fn empty(outcome: Outcome) -> Self {
        Self { outcome, records: Vec::new(), validated: false }
    }
}

impl Query {
    /// The name to ask for: fully qualified, so that no search list is tried.
    pub(super) fn parse(&self) -> Result<Name, Failure> {
        if self.record_type == RecordType::Ptr
            && let Ok(ip) = self.name.parse::<IpAddr>()
        {
            return Ok(Name::from(ip));
        }
        let invalid = |why: &str| Failure::Invalid(format!("no name to ask the DNS for: {why}"));
        if self.name.is_empty() || self.name.len() > NAME_MAX {
            return Err(invalid("it has no octet, or more than 254"));
        }
        if !self.name.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(invalid("it is not printable ASCII; names in other scripts are written as xn--"));
        }
        let mut name = Name::from_ascii(&self.name).map_err(|why| invalid(&why.to_string()))?;
        name.set_fqdn(true);
        Ok(name)
    }
}

impl From<RecordType> for rr::RecordType {
    fn from(kind: RecordType) -> Self {
        match kind {
            RecordType::A => Self::A,
            RecordType::Aaaa => Self::AAAA,
            RecordType::Mx => Self::MX,
            RecordType::Txt => Self::TXT,
            RecordType::Ptr => Self::PTR,
            RecordType::Tlsa => Self::TLSA,
        }
    }
}

impl Data {
    /// What a record says, if it is of a type that is asked for.
    pub(super) fn of(data: &RData) -> Option<Self> {
        Some(match data {
            RData::A(ip) => Self::A(ip.0),
            RData::AAAA(ip) => Self::Aaaa(ip.0),
            RData::MX(mx) => Self::Mx(Mx { preference: mx.preference, exchange: text(&mx.exchange) }),
            RData::TXT(txt) => Self::Txt(txt.txt_data.concat()),
            RData::PTR(name) => Self::Ptr(text(&name.0)),
            RData::TLSA(tlsa) => Self::Tlsa(Tlsa {
                certificate_usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching_type: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => return None,
        })
    }
}

/// Escaped where it is not printable, so that no control character gets through.
fn text(name: &Name) -> String {
    let text = name.to_ascii();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}
