//! What a plugin may use of each capability that it was granted.

use std::time::Duration;

use super::decode::{Size, section};

section! {
    /// What a plugin may ask of the DNS.
    PluginDns {
        /// Questions in one hook call.
        queries: u32 = Self::default().queries,
        /// Questions in a second.
        rate: u32 = Self::default().rate,
        /// Questions under way at once.
        concurrency: usize = Self::default().concurrency,
        /// For one answer.
        timeout: Duration = Self::default().timeout,
    }
}

impl Default for PluginDns {
    fn default() -> Self {
        let wasmail_services::dns::Quota { queries, rate, concurrency, timeout } = Default::default();
        Self { queries, rate, concurrency, timeout }
    }
}

section! {
    /// What a plugin may send of its own.
    PluginInject {
        /// Messages in one hook call.
        messages: u32 = Self::default().messages,
        /// Messages in a minute.
        rate: u32 = Self::default().rate,
        /// Recipients of one message.
        recipients: usize = Self::default().recipients,
        /// Octets of one message.
        size: Size = Self::default().size,
        /// For one message.
        timeout: Duration = Self::default().timeout,
    }
}

impl Default for PluginInject {
    fn default() -> Self {
        let wasmail_services::inject::Quota { messages, rate, recipients, size, timeout } = Default::default();
        Self { messages, rate, recipients, size: Size(size as u64), timeout }
    }
}

section! {
    /// What a plugin may keep.
    PluginKv {
        /// Calls in one hook call.
        calls: u32 = Self::default().calls,
        /// Calls in a second.
        rate: u32 = Self::default().rate,
        /// Octets of a value.
        value: Size = Self::default().value,
        /// Entries.
        entries: u64 = Self::default().entries,
        /// Octets in all.
        size: Size = Self::default().size,
        /// For one answer.
        timeout: Duration = Self::default().timeout,
    }
}

impl Default for PluginKv {
    fn default() -> Self {
        let wasmail_services::kv::Quota { calls, rate, value, entries, size, timeout } = Default::default();
        Self { calls, rate, value: Size(value as u64), entries, size: Size(size), timeout }
    }
}

impl PluginKv {
    /// With so many octets.
    pub(crate) fn of_size(size: u64) -> Self {
        Self { size: Size(size), ..Self::default() }
    }
}

section! {
    /// Whom a plugin may ask over HTTP.
    PluginHttp {
        /// Scheme, host and port of each.
        origins: Vec<String> = Vec::new(),
        /// Whether they may have private addresses.
        private: bool = false,
        /// Networks that may be connected to, whatever they are.
        addresses: Vec<String> = Vec::new(),
        /// Requests in one hook call.
        requests: u32 = Self::default().requests,
        /// Requests in a second.
        rate: u32 = Self::default().rate,
        /// Requests under way at once.
        concurrency: usize = Self::default().concurrency,
        /// Octets of a request's body.
        request: Size = Self::default().request,
        /// Octets of a response's body.
        response: Size = Self::default().response,
        /// For one response.
        timeout: Duration = Self::default().timeout,
    }
}

impl Default for PluginHttp {
    fn default() -> Self {
        let quota = wasmail_services::http::Quota::default();
        let wasmail_services::http::Quota { requests, rate, concurrency, request, response, timeout } = quota;
        let (request, response) = (Size(request as u64), Size(response as u64));
        let (origins, addresses) = (Vec::new(), Vec::new());
        Self { origins, private: false, addresses, requests, rate, concurrency, request, response, timeout }
    }
}

section! {
    /// Whom a plugin may speak with over TCP.
    PluginTcp {
        /// `ADDRESS:PORT`, `NAME:PORT` or `unix:PATH` of each.
        endpoints: Vec<String> = Vec::new(),
        /// Whether names may lead to private addresses.
        private: bool = false,
        /// Networks that names may lead to, whatever they are.
        addresses: Vec<String> = Vec::new(),
        /// Connections in one hook call.
        connections: u32 = Self::default().connections,
        /// Connections in a second.
        rate: u32 = Self::default().rate,
        /// Connections at once.
        concurrency: usize = Self::default().concurrency,
        /// Octets sent in one hook call.
        sent: Size = Self::default().sent,
        /// Octets received in one hook call.
        received: Size = Self::default().received,
        /// Until a connection stands.
        connect_timeout: Duration = Self::default().connect_timeout,
        /// For all of one hook call.
        timeout: Duration = Self::default().timeout,
    }
}

impl Default for PluginTcp {
    fn default() -> Self {
        let quota = wasmail_services::tcp::Quota::default();
        Self {
            endpoints: Vec::new(),
            private: false,
            addresses: Vec::new(),
            connections: quota.connections,
            rate: quota.rate,
            concurrency: quota.concurrency,
            sent: Size(quota.sent),
            received: Size(quota.received),
            connect_timeout: quota.connect_timeout,
            timeout: quota.timeout,
        }
    }
}

section! {
    /// How many addresses a plugin may look up.
    PluginGeo {
        /// Addresses in one hook call.
        lookups: u32 = Self::default().lookups,
    }
}

impl Default for PluginGeo {
    fn default() -> Self {
        let wasmail_services::geo::Quota { lookups } = Default::default();
        Self { lookups }
    }
}
