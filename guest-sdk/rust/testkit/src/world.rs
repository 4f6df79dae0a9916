//! The world as plugins see it through their capabilities: what a test says, and nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use wasmail_policy::{Grant, Grants};
use wasmail_services::dns::{Answer, Client, Data, Mx, Outcome, Query, Quota, RecordType, Resolver, ResourceRecord};
use wasmail_services::http;
use wasmail_services::inject::{self, NewMessage, Outlet, Sink, Taken};
use wasmail_services::kv::{self, Space, Store, StoreConfig};
use wasmail_services::mail_auth::{self, Judge};
use wasmail_services::secret::Secret;
use wasmail_services::{Capabilities, Failure, geo, tcp};
use wasmail_smtp::Limits;
use wasmail_smtp::own::{OwnMessage, Wish};

use crate::kit::session_config;

/// Seconds that records may be kept.
const TTL: u32 = 300;

/// What a test says of the world.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    dns: Vec<(Query, Result<Answer, Failure>)>,
    /// By name; each was seen to be one.
    secrets: Vec<(String, String)>,
    /// What plugins have sent, in all sessions of the kit.
    pub(crate) sent: Sent,
    http: Vec<((String, String), Result<http::Response, Failure>)>,
    /// What is known of the addresses of a network.
    places: Vec<(IpNet, geo::Record)>,
    /// What services say, whatever they hear.
    services: Vec<(tcp::Endpoint, Result<Vec<u8>, Failure>)>,
}

impl World {
    /// Adds a record of the DNS: `NAME TYPE DATA`, or `NAME TYPE fails`.
    pub(crate) fn add_record(&mut self, text: &str) -> Result<(), String> {
        let mut words = text.splitn(3, ' ');
        let (Some(name), Some(kind), Some(data)) = (words.next(), words.next(), words.next()) else {
            return Err("expected NAME TYPE DATA".to_owned());
        };
        let query = Query { name: name.to_owned(), record_type: record_type(kind)? };
        let known = self.dns.iter_mut().find(|(known, _)| *known == query);
        match (known, data) {
            (_, "fails") => {
                let fails = Failure::Unavailable("the name servers answer SERVFAIL".to_owned());
                self.dns.push((query, Err(fails)));
            }
            (Some((_, Ok(answer))), data) => answer.records.push(record(query.record_type, data)?),
            (_, data) => {
                let records = vec![record(query.record_type, data)?];
                self.dns.push((query, Ok(Answer { outcome: Outcome::Found, records, validated: false })));
            }
        }
        Ok(())
    }

    /// Adds what is answered to a request: `METHOD URL STATUS BODY`, or `METHOD URL fails`.
    pub(crate) fn add_response(&mut self, text: &str) -> Result<(), String> {
        let mut words = text.splitn(4, ' ');
        let (Some(method), Some(url), Some(status)) = (words.next(), words.next(), words.next()) else {
            return Err("expected METHOD URL STATUS BODY".to_owned());
        };
        let body = words.next().unwrap_or_default().as_bytes().to_vec();
        let response = match status {
            "fails" => Err(Failure::Unavailable("nobody answers there".to_owned())),
            status => {
                let status = status.parse().map_err(|_| format!("`{status}` is no status"))?;
                Ok(http::Response { status, headers: Vec::new(), body })
            }
        };
        self.http.push(((method.to_owned(), url.to_owned()), response));
        Ok(())
    }

    /// Adds what is known of a network: `NETWORK JSON`, the record as a database of MaxMind's has it.
    pub(crate) fn add_place(&mut self, line: &str) -> Result<(), String> {
        let (network, json) = line.split_once(' ').ok_or("expected NETWORK JSON")?;
        let network = network.parse().map_err(|_| format!("`{network}` is no network such as 192.0.2.0/24"))?;
        let record = serde_json::from_str(json).map_err(|error| format!("the record is none: {error}"))?;
        self.places.push((network, record));
        Ok(())
    }

    /// Adds a service: `ENDPOINT TEXT`, in which `\0`, `\r`, `\n`, `\t` and `\\` stand for what they do in Rust, or `ENDPOINT fails`.
    pub(crate) fn add_service(&mut self, line: &str) -> Result<(), String> {
        let (endpoint, text) = line.split_once(' ').ok_or("expected ENDPOINT TEXT")?;
        let endpoint = endpoint.parse().map_err(|error| format!("{error}"))?;
        let says = match text {
            "fails" => Err(Failure::Unavailable("failed to connect: connection refused".to_owned())),
            text => Ok(unescaped(text)?.into_bytes()),
        };
        self.services.push((endpoint, says));
        Ok(())
    }

    /// Adds a secret: `NAME TEXT`.
    pub(crate) fn add_secret(&mut self, line: &str) -> Result<(), String> {
        let (name, text) = line.split_once(' ').ok_or("expected NAME TEXT")?;
        Secret::new(text.as_bytes()).map_err(|error| error.to_string())?;
        self.secrets.push((name.to_owned(), text.to_owned()));
        Ok(())
    }

    /// What a binding with these grants may use.
    ///
    /// The store is in memory and lasts as long as the session.
    pub(crate) fn capabilities(&self, name: &str, grants: Grants) -> Capabilities {
        let dns = || Client::new(Resolver::of_list(self.dns.iter().cloned()), Quota::default());
        let kv = || Space::new(store(), "default", name, kv::Quota::default());
        let inject = || {
            let outlet = Outlet::default();
            outlet.open(Arc::new(self.sent.clone()));
            inject::Client::new(outlet, name, inject::Quota::default())
        };
        let network = || http::Network::of_list(self.http.iter().cloned());
        let http = || http::Client::new(network(), Vec::new(), http::Reach::default(), http::Quota::default());
        let geo = || geo::Client::new(Some(geo::Databases::of_list(self.places.clone())), geo::Quota::default());
        let services = || tcp::Network::of_list(self.services.iter().cloned());
        let tcp = || tcp::Client::new(services(), Vec::new(), tcp::Reach::default(), tcp::Quota::default());
        let secrets = || {
            let named = |(name, text): &(String, String)| Some((name.clone(), Secret::new(text.as_bytes()).ok()?));
            self.secrets.iter().filter_map(named).collect()
        };
        let judge = || {
            let hostname = session_config(Limits::default()).hostname.to_string();
            let config = mail_auth::Config { hostname, timeout: Duration::from_secs(5), concurrency: 50 };
            Judge::new(Resolver::of_list(self.dns.iter().cloned()), config)
        };
        Capabilities {
            mail_auth: grants.has(Grant::MailAuth).then(judge),
            dns: grants.has(Grant::Dns).then(dns),
            kv: grants.has(Grant::Kv).then(kv),
            http: grants.has(Grant::Http).then(http),
            geo: grants.has(Grant::Geo).then(geo),
            tcp: grants.has(Grant::Tcp).then(tcp),
            inject: grants.has(Grant::Inject).then(inject),
            secrets: grants.has(Grant::Secret).then(secrets),
        }
    }
}

/// What plugins have sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<Mutex<Vec<OwnMessage>>>);

impl Sent {
    pub(crate) fn messages(&self) -> Vec<OwnMessage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Sink for Sent {
    fn take<'a>(&'a self, binding: &'a str, message: NewMessage) -> Taken<'a> {
        Box::pin(async move {
            let NewMessage { reverse_path, recipients, content } = &message;
            let wish = Wish { by: binding, reverse_path, recipients, content };
            let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let name = format!("sent-{}", sent.len() + 1);
            let message = OwnMessage::new(&session_config(Limits::default()), wish, name.clone(), SystemTime::now());
            sent.push(message.map_err(Failure::Invalid)?);
            Ok(name)
        })
    }
}

fn store() -> Arc<Store> {
    let config = StoreConfig { path: None, sync_interval: Duration::from_secs(1), cache: 1 << 20 };
    Store::open(&config).unwrap_or_else(|error| panic!("{error}"))
}

/// A text with its escapes read.
fn unescaped(text: &str) -> Result<String, String> {
    let mut letters = text.chars();
    let mut read = String::new();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            read.push(letter);
            continue;
        }
        read.push(match letters.next() {
            Some('0') => '\0',
            Some('r') => '\r',
            Some('n') => '\n',
            Some('t') => '\t',
            Some('\\') => '\\',
            _ => return Err("a backslash stands before 0, r, n, t or another".to_owned()),
        });
    }
    Ok(read)
}

fn record_type(text: &str) -> Result<RecordType, String> {
    Ok(match text {
        "A" => RecordType::A,
        "AAAA" => RecordType::Aaaa,
        "MX" => RecordType::Mx,
        "TXT" => RecordType::Txt,
        "PTR" => RecordType::Ptr,
        _ => return Err(format!("`{text}` is none of A, AAAA, MX, TXT, PTR")),
    })
}

fn record(kind: RecordType, text: &str) -> Result<ResourceRecord, String> {
    let no_address = |_| format!("`{text}` is no address");
    let data = match kind {
        RecordType::A => Data::A(text.parse().map_err(no_address)?),
        RecordType::Aaaa => Data::Aaaa(text.parse().map_err(no_address)?),
        RecordType::Mx => {
            let (preference, exchange) = text.split_once(' ').ok_or("expected PREFERENCE EXCHANGE")?;
            let preference = preference.parse().map_err(|_| "the preference is no number")?;
            Data::Mx(Mx { preference, exchange: exchange.to_owned() })
        }
        RecordType::Txt => Data::Txt(text.as_bytes().to_vec()),
        RecordType::Ptr => Data::Ptr(text.to_owned()),
        RecordType::Tlsa => return Err("TLSA records cannot be written here".to_owned()),
    };
    Ok(ResourceRecord { data, ttl: TTL })
}
