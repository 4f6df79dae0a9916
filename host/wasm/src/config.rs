//! What a guest may use, and what all of them may use together.

use std::time::Duration;

use crate::Compiler;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Settings of an [`crate::Engine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// What one guest may use.
    pub limits: Limits,
    /// Instances that may exist at once, of all plugins together. A hook call needs one for some microseconds, so a
    /// thousand serve far more connections; each reserves 4 GiB of address space, not memory.
    pub max_instances: u32,
    /// How often CPU time is measured. A guest that computes hands the thread back to other tasks this often.
    pub tick: Duration,
    /// Where components are compiled.
    pub compiler: Compiler,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_instances: 1_000,
            tick: Duration::from_millis(5),
            compiler: Compiler::default(),
        }
    }
}

/// What one guest may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Octets of linear memories and tables of one instance. It also bounds a single `memory.fill`, which nothing
    /// interrupts, to some milliseconds.
    pub memory: usize,
    /// CPU time of one hook call, and of starting an instance. It is looked at with every tick, so a guest may pass it
    /// by one. A usual call takes microseconds.
    pub cpu: Duration,
    /// Time that one question may take in all, waiting for an instance and for the host included. Well below the five
    /// minutes that an SMTP client waits for a reply (RFC 5321 §4.5.3.2).
    pub wall_clock: Duration,
    /// Octets that may be lifted from the guest in one call, host-side overhead included.
    pub lifted: usize,
    /// Calls of host functions in one hook call.
    pub host_calls: u32,
    /// Resource handles that one instance may hold.
    pub handles: usize,
    /// Host resources (streams, pollables, messages) that one instance may hold.
    pub resources: usize,
    /// Elements of all tables of one module: guests in JavaScript or Python have above ten thousand functions.
    pub table_elements: usize,
    /// Octets of a component. Guests in JavaScript or Python bring 12 to 20 MB of interpreter.
    pub component: usize,
    /// Octets of randomness in one request.
    pub random: u64,
    /// Lines that one hook call may log; the rest is counted only.
    pub log_lines: u32,
    /// Octets of a log line; the rest is cut.
    pub log_line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 * MIB,
            cpu: Duration::from_millis(100),
            wall_clock: Duration::from_secs(10),
            lifted: 4 * MIB,
            host_calls: 10_000,
            handles: 1_000,
            resources: 256,
            table_elements: 20_000,
            component: 32 * MIB,
            random: 4 * KIB as u64,
            log_lines: 64,
            log_line: KIB,
        }
    }
}

/// What one binding may use, where that is not what the engine's limits say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// In place of [`Limits::memory`], which is also the most that it can be.
    pub memory: Option<usize>,
    /// In place of [`Limits::cpu`].
    pub cpu: Option<Duration>,
    /// In place of [`Limits::wall_clock`].
    pub wall_clock: Option<Duration>,
}

impl Limits {
    /// The limits of a binding.
    pub(crate) fn with(&self, budget: Budget) -> Self {
        Self {
            memory: budget.memory.unwrap_or(self.memory).min(self.memory),
            cpu: budget.cpu.unwrap_or(self.cpu),
            wall_clock: budget.wall_clock.unwrap_or(self.wall_clock),
            ..self.clone()
        }
    }
}

/// How long an instance lives. Nothing is ever shared between bindings, and no instance is used again after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Life {
    /// Reused inside one binding, and replaced after a number of calls and when its memory has grown.
    #[default]
    Pooled,
    /// A fresh one for each call: what a guest remembers is gone when the hook has returned.
    Call,
}
