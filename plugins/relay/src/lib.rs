//! Lets the clients of known networks send to anywhere. See README.md.

use std::collections::BTreeMap;

use wasmail_guest::Network;
use wasmail_guest::prelude::*;

/// The configuration.
#[derive(Debug, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Networks whose clients may send to anywhere.
    pub networks: Vec<Network>,
    /// Names for the clients of known networks, where reverse DNS knows none: they stand in `Received` and in what
    /// other plugins see. The longest network counts.
    #[serde(default)]
    pub host_names: BTreeMap<Network, String>,
    /// Plugins that are not asked about clients that may send to anywhere.
    #[serde(default)]
    pub skip: Vec<String>,
}

/// The plugin.
pub struct Relay {
    networks: Vec<Network>,
    /// Longest network first.
    host_names: Vec<(Network, String)>,
    skip: Vec<String>,
}

#[plugin(needs = ["relaying"], config_schema = include_str!("../config.schema.json"))]
impl Plugin for Relay {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, String> {
        let mut host_names: Vec<_> = config.host_names.into_iter().collect();
        for (network, name) in &host_names {
            check_name(name).map_err(|why| format!("host_names.{network}: {why}"))?;
        }
        host_names.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Ok(Self { networks: config.networks, host_names, skip: config.skip })
    }

    fn connect(&self, c: &Connection) -> ConnectOutcome {
        let Some(ip) = c.ip() else { return ConnectOutcome::next() };
        let mut outcome = ConnectOutcome::next();
        let unnamed = c.remote.host.is_none();
        if let Some((_, name)) = self.host_names.iter().find(|(network, _)| unnamed && network.contains(ip)) {
            outcome = outcome.set_remote_host(Some(name));
        }
        match self.networks.iter().find(|network| network.contains(ip)) {
            Some(network) => self.relay(outcome, network),
            None => outcome,
        }
    }
}

impl Relay {
    fn relay(&self, outcome: ConnectOutcome, network: &Network) -> ConnectOutcome {
        let relaying = outcome.set_relaying(true).pass(Scope::Connection, network.to_string());
        self.skip.iter().fold(relaying, |outcome, plugin| outcome.skip_plugin(plugin))
    }
}

/// The host refuses a name that is no domain when it is set; say so at start instead.
fn check_name(name: &str) -> Result<(), String> {
    let label = |label: &str| {
        let good = label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_');
        good && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    match name.len() <= 255 && name.split('.').all(label) {
        true => Ok(()),
        false => Err(format!("`{name}` is no domain name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_guest::{Mutation, rt};

    fn relay(json: &str) -> Relay {
        rt::make(json).unwrap()
    }

    #[test]
    fn a_client_of_a_listed_network_may_send_to_anywhere() {
        let relay = relay(r#"{"networks": ["192.0.2.0/24", "2001:db8::/32"], "skip": ["karma"]}"#);
        let outcome = relay.connect(&Connection::example().from_ip("192.0.2.7"));
        let expected = ConnectOutcome::next().set_relaying(true).pass(Scope::Connection, "192.0.2.0/24");
        assert_eq!(outcome, expected.skip_plugin("karma"));
        assert!(!relay.connect(&Connection::example().from_ip("2001:db8::1")).mutations.is_empty());
    }

    #[test]
    fn a_stranger_may_not() {
        let relay = relay(r#"{"networks": ["192.0.2.0/24"]}"#);
        assert_eq!(relay.connect(&Connection::example().from_ip("192.0.3.7")), ConnectOutcome::next());
    }

    #[test]
    fn the_longest_network_names_a_client_without_reverse_dns() {
        let relay = relay(
            r#"{"networks": [], "host_names": {"192.0.2.0/24": "lan.example.test", "192.0.2.7": "printer.example.test"}}"#,
        );
        let named = |c: &Connection| relay.connect(c).mutations;
        let printer = Connection::example().from_ip("192.0.2.7");
        assert_eq!(named(&printer), [Mutation::SetRemoteHost(Some("printer.example.test".into()))]);
        assert_eq!(named(&printer.from_host("known.example.org")), []);
    }

    #[test]
    fn mistakes_are_named_by_their_key() {
        let error = |json| rt::make::<Relay>(json).err().unwrap();
        assert!(error(r#"{"networks": ["192.0.2.0/33"]}"#).starts_with("networks[0]: `192.0.2.0/33`"));
        assert!(error(r#"{"netwroks": []}"#).starts_with("netwroks: unknown field"));
        let bad_name = r#"{"networks": [], "host_names": {"192.0.2.7": "two words"}}"#;
        assert_eq!(error(bad_name), "host_names.192.0.2.7/32: `two words` is no domain name");
    }

    #[test]
    fn the_schema_is_that_of_the_type() {
        wasmail_guest::schema::assert_file::<Config>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
    }
}
