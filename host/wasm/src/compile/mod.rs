//! Where components become machine code: here, or in a process of its own that can be ended.
//!
//! A compiler's work may grow with the square of its input, and a component is the first thing that a stranger hands
//! us. So a server has each component compiled by a child: the same program, started anew with one purpose. What it
//! takes is its own, and it is killed when it takes too much.

mod child;
mod parent;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub use child::{CompileArgs, compile_as_child};
pub(crate) use parent::compile;

/// Octets of compiled code. It is three to five times as large as the component it is made from.
pub(crate) const ARTIFACT_MAX: u64 = 512 * 1024 * 1024;

/// Where components are compiled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Compiler {
    /// In this process, with no limit on what the compiler takes: for components that one trusts, such as one's own in
    /// a test.
    #[default]
    Here,
    /// In a process of its own.
    Child(ChildCompiler),
}

/// A program that compiles one component.
///
/// It is started with [`CompileArgs`] behind `args`, with the component as its standard input, a file for the compiled
/// code as its standard output, and nothing in its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildCompiler {
    /// The program: one that calls [`compile_as_child`].
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<OsString>,
    /// What it may take.
    pub limits: CompileLimits,
}

/// What compiling one component may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time of all its threads; rounded up to whole seconds. A megabyte takes one to two seconds.
    pub cpu: Duration,
    /// Time in all, so that one that only waits ends, too. Waiting for its turn does not count.
    pub wall_clock: Duration,
    /// Octets of address space, the program itself included, which takes some 100 MB before it does anything.
    pub memory: u64,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { cpu: Duration::from_secs(60), wall_clock: Duration::from_secs(180), memory: 2 << 30 }
    }
}

impl CompileLimits {
    /// CPU time as the operating system limits it.
    fn cpu_seconds(&self) -> u64 {
        self.cpu.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
    }
}

/// How many components are compiled at once: as many as there are cores, for each is a process that computes.
pub(crate) fn at_once() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
