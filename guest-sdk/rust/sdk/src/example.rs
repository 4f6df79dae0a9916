//! Records for unit tests: ordinary ones that a test changes where it matters, by struct update or by `with_`.

use serde::Serialize;

use crate::{
    BodyType, Connection, Counters, Dispositions, Hello, HelloVerb, Local, Note, PluginResults, Proxy, Recipient,
    Remote, ResultList, Transaction,
};

impl Connection {
    /// An ordinary client on the Internet at 203.0.113.9 that has said `EHLO client.example.org` to `mx.example.test`.
    #[must_use]
    pub fn example() -> Self {
        let remote = Remote {
            ip: "203.0.113.9".into(),
            port: 40_000,
            host: None,
            info: None,
            is_private: false,
            is_local: false,
            closed: false,
        };
        let (host, info) = ("mx.example.test".to_owned(), "wasmail/0.1.0".to_owned());
        Self {
            uuid: "0192d4c5-0000-7000-8000-000000000000".into(),
            remote,
            local: Local { ip: "192.0.2.25".into(), port: 25, host, info },
            proxy: Proxy { allowed: false, ip: None, kind: None },
            hello: Some(Hello { verb: HelloVerb::Ehlo, host: "client.example.org".into() }),
            tls: None,
            auth: None,
            relaying: false,
            counters: counters(),
            current_line: Vec::new(),
            last_response: String::new(),
            notes: Vec::new(),
            results: Vec::new(),
        }
    }

    /// The same from another address. `is_local` and `is_private` are set for loopback only.
    #[must_use]
    pub fn from_ip(mut self, ip: &str) -> Self {
        let loopback = ip.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        self.remote = Remote { ip: ip.into(), is_private: loopback, is_local: loopback, ..self.remote };
        self
    }

    /// The same with a name by reverse DNS.
    #[must_use]
    pub fn from_host(mut self, host: &str) -> Self {
        self.remote.host = Some(host.into());
        self
    }

    /// The same with another argument of EHLO.
    #[must_use]
    pub fn says(mut self, host: &str) -> Self {
        self.hello = Some(Hello { verb: HelloVerb::Ehlo, host: host.into() });
        self
    }
}

impl Transaction {
    /// A transaction from this reverse-path, empty for the null path, with no recipient yet.
    #[must_use]
    pub fn example(reverse_path: &str) -> Self {
        Self {
            uuid: "0192d4c5-0000-7000-8000-000000000000.1".into(),
            reverse_path: reverse_path.into(),
            parameters: Vec::new(),
            body: BodyType::SevenBit,
            smtputf8: false,
            declared_size: None,
            recipients: Vec::new(),
            route: None,
            quarantine: None,
            recipient_counts: none(),
            size: 0,
            notes: Vec::new(),
            results: Vec::new(),
        }
    }

    /// The same with one more accepted recipient.
    #[must_use]
    pub fn to(mut self, address: &str) -> Self {
        self.recipients.push(Recipient::example(address));
        self.recipient_counts.accepted += 1;
        self
    }
}

impl Recipient {
    /// A recipient without parameters.
    #[must_use]
    pub fn example(address: &str) -> Self {
        Self { address: address.into(), parameters: Vec::new() }
    }
}

macro_rules! with {
    ($record:ident) => {
        impl $record {
            /// The same with a note.
            ///
            /// # Panics
            /// When the value has no JSON form.
            #[must_use]
            pub fn with_note(mut self, pointer: &str, value: impl Serialize) -> Self {
                let value = serde_json::to_string(&value).expect("the value has a JSON form");
                self.notes.push(Note { pointer: pointer.into(), value });
                self
            }

            /// The same with a plugin's result.
            #[must_use]
            pub fn with_result(mut self, plugin: &str, list: ResultList, text: &str) -> Self {
                let at = self.results.iter().position(|results| results.plugin == plugin).unwrap_or_else(|| {
                    self.results.push(empty(plugin));
                    self.results.len() - 1
                });
                let results = &mut self.results[at];
                let list = match list {
                    ResultList::Pass => &mut results.pass,
                    ResultList::Fail => &mut results.fail,
                    ResultList::Msg => &mut results.msg,
                    ResultList::Skip => &mut results.skip,
                    ResultList::Err => &mut results.err,
                };
                list.push(text.into());
                self
            }
        }
    };
}

with!(Connection);
with!(Transaction);

fn empty(plugin: &str) -> PluginResults {
    let list = Vec::new;
    PluginResults {
        plugin: plugin.into(),
        pass: list(),
        fail: list(),
        msg: list(),
        skip: list(),
        err: list(),
        extra: Vec::new(),
    }
}

fn none() -> Dispositions {
    Dispositions { accepted: 0, deferred: 0, rejected: 0 }
}

fn counters() -> Counters {
    Counters {
        early_talker: false,
        pipelining: false,
        esmtp: true,
        transactions: 0,
        recipients: none(),
        messages: none(),
        errors: 0,
        octets: 0,
        // 2026-01-01 00:00:00 UTC.
        started: 1_767_225_600,
    }
}
