//! What plugins leave to their operators, for configuration. Written in kebab-case: `deny-soft`.

use serde::Deserialize;

use crate::Connection;

/// A way to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// 5yz: do not try again.
    Deny,
    /// 4yz: try again later.
    DenySoft,
    /// 5yz, then the connection is closed.
    DenyDisconnect,
    /// 4yz, then the connection is closed.
    DenySoftDisconnect,
    /// The connection is closed without a word.
    Disconnect,
}

/// What becomes of a check that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// It is not made.
    Off,
    /// It is recorded in the plugin's results, for the log and for plugins such as `karma`.
    Record,
    /// It is recorded, and the client is refused.
    Reject,
}

/// Clients that checks meant for strangers leave alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Exempt {
    /// Everybody is a stranger, even a client that may send to anywhere.
    Nobody,
    /// Loopback and link local addresses, and clients that may send to anywhere.
    Local,
    /// Private networks of any kind, and clients that may send to anywhere.
    Private,
}

impl Exempt {
    /// Why a client is left alone, in one word for the results; none if it is not.
    #[must_use]
    pub fn reason(self, c: &Connection) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            _ if c.relaying => Some("relaying"),
            Self::Local => c.remote.is_local.then_some("local"),
            Self::Private => (c.remote.is_private || c.remote.is_local).then_some("private"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_clients_are_no_strangers_unless_everybody_is() {
        let (stranger, local) = (Connection::example(), Connection::example().from_ip("127.0.0.1"));
        let relaying = Connection { relaying: true, ..Connection::example() };
        let reasons = |exempt: Exempt| [&stranger, &local, &relaying].map(|c| exempt.reason(c));
        assert_eq!(reasons(Exempt::Nobody), [None, None, None]);
        assert_eq!(reasons(Exempt::Local), [None, Some("local"), Some("relaying")]);
        assert_eq!(reasons(Exempt::Private), [None, Some("private"), Some("relaying")]);
    }
}
