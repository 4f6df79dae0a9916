//! The interface `dns`.

use wasmail_services::dns::{Answer, Data, Outcome, Query, RecordType, ResourceRecord};
use wasmail_services::{Failure, dns};

use crate::bindings::wasmail::policy::capability::Failure as WitFailure;
use crate::bindings::wasmail::policy::dns as wit;
use crate::state::State;

impl wit::Host for State {
    async fn lookup(&mut self, query: wit::Query) -> wasmtime::Result<Result<wit::Answer, WitFailure>> {
        self.count_host_call()?;
        let Self { capabilities, used, .. } = self;
        let answer = match &capabilities.dns {
            Some(dns) => dns.lookup(&mut used.dns, query.into()).await,
            None => Err(Failure::NotGranted),
        };
        Ok(lower(answer))
    }

    async fn lookup_all(&mut self, queries: Vec<wit::Query>) -> wasmtime::Result<Vec<Result<wit::Answer, WitFailure>>> {
        self.count_host_call()?;
        let Self { capabilities, used, .. } = self;
        let answers = match &capabilities.dns {
            Some(dns) => dns.lookup_all(&mut used.dns, queries.into_iter().map(Into::into).collect()).await,
            None => queries.iter().map(|_| Err(Failure::NotGranted)).collect(),
        };
        Ok(answers.into_iter().map(lower).collect())
    }
}

fn lower(answer: Result<Answer, Failure>) -> Result<wit::Answer, WitFailure> {
    Ok(answer?.into())
}

impl From<wit::Query> for Query {
    fn from(query: wit::Query) -> Self {
        let record_type = match query.record_type {
            wit::RecordType::A => RecordType::A,
            wit::RecordType::Aaaa => RecordType::Aaaa,
            wit::RecordType::Mx => RecordType::Mx,
            wit::RecordType::Txt => RecordType::Txt,
            wit::RecordType::Ptr => RecordType::Ptr,
            wit::RecordType::Tlsa => RecordType::Tlsa,
        };
        Self { name: query.name, record_type }
    }
}

impl From<Answer> for wit::Answer {
    fn from(answer: Answer) -> Self {
        let outcome = match answer.outcome {
            Outcome::Found => wit::Outcome::Found,
            Outcome::NoData => wit::Outcome::NoData,
            Outcome::NoSuchName => wit::Outcome::NoSuchName,
        };
        Self { outcome, records: answer.records.into_iter().map(Into::into).collect(), validated: answer.validated }
    }
}

impl From<ResourceRecord> for wit::ResourceRecord {
    fn from(record: ResourceRecord) -> Self {
        let data = match record.data {
            Data::A(ip) => wit::Data::A(ip.to_string()),
            Data::Aaaa(ip) => wit::Data::Aaaa(ip.to_string()),
            Data::Mx(dns::Mx { preference, exchange }) => wit::Data::Mx(wit::Mx { preference, exchange }),
            Data::Txt(octets) => wit::Data::Txt(octets),
            Data::Ptr(name) => wit::Data::Ptr(name),
            Data::Tlsa(dns::Tlsa { certificate_usage, selector, matching_type, data }) => {
                wit::Data::Tlsa(wit::Tlsa { certificate_usage, selector, matching_type, data })
            }
        };
        Self { data, ttl: record.ttl }
    }
}
