//! The ways to say no, for configuration.

use serde::Deserialize;

/// A way to refuse, for plugins that leave the choice to their operator. Written in kebab-case: `deny-soft`.
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
