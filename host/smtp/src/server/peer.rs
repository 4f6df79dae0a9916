//! Peers that speak for others by XCLIENT and XFORWARD, as Postfix has them: front ends and content filters.

use std::net::{IpAddr, Ipv4Addr};

use wasmail_mail::{Auth, Proxy, ProxyKind, Remote};
use wasmail_policy::{Context, Hook};

use super::{Iprev, Session};
use crate::command::{ClientFacts, CommandError};
use crate::replies;

impl Session {
    /// The peer is listed as one that may say who its client is.
    pub fn trust_peer(&mut self) {
        self.peer_is_trusted = true;
    }

    /// XCLIENT: from now on the session is another client's, and begins anew. What policy thought of the peer is forgotten, for it may
    /// have thought well of it.
    pub(super) fn xclient(&mut self, facts: ClientFacts) {
        if !self.peer_is_trusted {
            return self.not_known(CommandError::Unknown);
        }
        if self.context.transaction.is_some() {
            return self.error(replies::PEER_IN_TRANSACTION);
        }
        let mut connection = self.context.connection.clone();
        connection.relaying = self.relaying_at_first;
        connection.auth = None;
        connection.hello = None;
        connection.counters.esmtp = false;
        let login = facts.login.clone().flatten();
        self.context = Context::new(connection);
        self.take_facts(facts, ProxyKind::Xclient);
        if let Some(identity) = login {
            self.context.connection.auth = Some(Auth { identity, mechanism: "XCLIENT".to_owned() });
            self.context.connection.relaying |= self.config.auth.as_ref().is_some_and(|auth| auth.relaying);
        }
        self.ask(Hook::ConnectInit);
    }

    /// XFORWARD: whose message the next ones are. The session goes on, and policy with it.
    pub(super) fn xforward(&mut self, facts: ClientFacts) {
        if !self.peer_is_trusted {
            return self.not_known(CommandError::Unknown);
        }
        if self.context.transaction.is_some() {
            return self.error(replies::PEER_IN_TRANSACTION);
        }
        self.take_facts(facts, ProxyKind::Xforward);
        self.say(replies::OK);
    }

    fn take_facts(&mut self, facts: ClientFacts, kind: ProxyKind) {
        let connection = &mut self.context.connection;
        let peer = connection.proxy.ip.unwrap_or(connection.remote.ip);
        connection.proxy = Proxy { allowed: true, ip: Some(peer), kind: Some(kind) };
        if facts.address.is_some() || facts.port.is_some() {
            let ip = facts.address.map_or(connection.remote.ip, |ip| ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            connection.remote = Remote::new(ip, facts.port.map_or(connection.remote.port, Option::unwrap_or_default));
            // Of whose address nothing is known nothing good is known either.
            let known = !ip.is_unspecified();
            connection.remote.is_local &= known;
            connection.remote.is_private &= known;
            self.iprev = None;
        }
        if let Some(name) = facts.name {
            self.iprev = Some(if name.is_some() { Iprev::Pass } else { Iprev::PermError });
            connection.remote.info.clone_from(&name);
            connection.remote.host = name;
        }
        if let Some(hello) = facts.hello {
            connection.hello = hello;
        }
        connection.local.ip = facts.local_address.flatten().unwrap_or(connection.local.ip);
        connection.local.port = facts.local_port.flatten().unwrap_or(connection.local.port);
    }
}
