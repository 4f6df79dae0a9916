//! One list, sorted when it is read so that a look at it is cheap.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use wasmail_guest::Network;

/// What may stand on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Networks, addresses of machines, and host names.
    Client,
    /// Host names and address literals.
    Host,
    /// Mail addresses, domains and the null path.
    Address,
}

/// A list of networks, names and patterns.
#[derive(Debug, Default)]
pub(crate) struct List {
    networks: Vec<Network>,
    /// Names and addresses, in lower case. The null path is the empty one.
    exact: BTreeSet<String>,
    /// What stands behind `*.`, in lower case.
    below: BTreeSet<String>,
}

impl List {
    /// Reads the entries. An error names the entry as `key[position]`.
    pub(crate) fn new(key: &str, entries: &[String], kind: Kind) -> Result<Self, String> {
        let mut list = Self::default();
        for (at, entry) in entries.iter().enumerate() {
            list.add(&entry.to_ascii_lowercase(), kind).map_err(|why| format!("{key}[{at}]: `{entry}` {why}"))?;
        }
        Ok(list)
    }

    fn add(&mut self, entry: &str, kind: Kind) -> Result<(), &'static str> {
        if kind == Kind::Client
            && let Ok(network) = entry.parse()
        {
            self.networks.push(network);
            return Ok(());
        }
        if entry == "<>" && kind == Kind::Address {
            self.exact.insert(String::new());
            return Ok(());
        }
        let (set, name) = match entry.strip_prefix("*.") {
            Some(name) => (&mut self.below, name),
            None => (&mut self.exact, entry),
        };
        check(name, kind)?;
        set.insert(name.to_owned());
        Ok(())
    }

    /// Whether a client is listed, by its address or its name.
    pub(crate) fn has_client(&self, ip: Option<IpAddr>, host: Option<&str>) -> bool {
        ip.is_some_and(|ip| self.networks.iter().any(|network| network.contains(ip)))
            || host.is_some_and(|host| self.has_host(host))
    }

    /// Whether a name is listed, or lies below one that is.
    pub(crate) fn has_host(&self, host: &str) -> bool {
        !self.has_no_names() && self.has_lower(&lower(host))
    }

    /// Whether an address is listed, or its domain.
    pub(crate) fn has_address(&self, address: &str) -> bool {
        if self.has_no_names() {
            return false;
        }
        let address = lower(address);
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        self.exact.contains(&*address) || domain.is_some_and(|domain| self.has_lower(domain))
    }

    fn has_no_names(&self) -> bool {
        self.exact.is_empty() && self.below.is_empty()
    }

    fn has_lower(&self, name: &str) -> bool {
        let parents = std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, parent)| parent));
        self.exact.contains(name) || (!self.below.is_empty() && parents.skip(1).any(|name| self.below.contains(name)))
    }
}

/// Most clients write in lower case: then nothing is copied.
fn lower(text: &str) -> Cow<'_, str> {
    match text.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    }
}

/// Finds the mistakes that would make an entry match nothing.
fn check(name: &str, kind: Kind) -> Result<(), &'static str> {
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("is no name");
    }
    if name.contains('*') {
        return Err("has a wildcard elsewhere than in front, as in *.example.org");
    }
    match kind {
        Kind::Client if name.contains('/') => Err("is no network such as 192.0.2.0/24"),
        Kind::Client | Kind::Host if name.contains('@') => Err("is a mail address, expected a host"),
        _ => Ok(()),
    }
}
