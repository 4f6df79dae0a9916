//! What a tenant may use.

use serde::{Deserialize, Serialize};

/// What a tenant may use. Who is over one of them is deferred, alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quotas {
    /// Messages that are accepted in a minute.
    pub messages_per_minute: u32,
    /// Connections that come to one of its recipients in a minute.
    pub connections_per_minute: u32,
    /// Transactions at the same time.
    pub transactions: u32,
    /// Milliseconds of CPU time in a minute, of all its plugins together.
    pub cpu_ms_per_minute: u32,
    /// Octets of memory of one instance.
    pub memory: u64,
    /// Octets that its plugins keep in the store of keys and values.
    pub kv: u64,
    /// Host calls of its plugins in a minute.
    pub host_calls_per_minute: u32,
    /// Lines that its plugins log in a minute.
    pub log_lines_per_minute: u32,
    /// Modules that it has uploaded.
    pub modules: u32,
    /// Octets of one module.
    pub module_size: u64,
    /// Bindings.
    pub bindings: u32,
    /// Octets of messages that are held for it.
    pub quarantine: u64,
}

impl Default for Quotas {
    /// A small customer's.
    fn default() -> Self {
        Self {
            messages_per_minute: 600,
            connections_per_minute: 600,
            transactions: 100,
            cpu_ms_per_minute: 12_000,
            memory: 32 << 20,
            kv: 16 << 20,
            host_calls_per_minute: 60_000,
            log_lines_per_minute: 600,
            modules: 50,
            module_size: 16 << 20,
            bindings: 20,
            quarantine: 256 << 20,
        }
    }
}
