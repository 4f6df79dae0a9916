//! The child's side: takes its limits, reads a component, writes machine code.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, setrlimit};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ARTIFACT_MAX;
use crate::cache::hex;
use crate::check::{self, LoadError};
use crate::engine;

/// By how much a child steps back behind the server, whose clients wait.
const NICE: i32 = 10;

/// What a child is told on its command line, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompileArgs {
    /// Octets of memory of one instance, which compiled code depends on.
    pub instance_memory: usize,
    /// Seconds of CPU time.
    pub cpu_seconds: u64,
    /// Octets of address space.
    pub address_space: u64,
}

/// The whole life of a child that compiles the component on its standard input to its standard output.
///
/// The limits hold before the first octet is read. On success the digest of what was written is on standard error, by
/// which the parent knows that it is whole; otherwise what is wrong, for the parent to read.
#[must_use]
pub fn compile_as_child(args: &CompileArgs) -> ExitCode {
    let done = restrict(args).map_err(|why| LoadError::Compile(format!("its limits cannot be set: {why}")));
    let said = match done.and_then(|()| compile(args.instance_memory)) {
        Ok(digest) => json!({ "sha256": digest }),
        Err(error) => report(&error),
    };
    // Without a reader there is nobody who would want to know.
    let _ = writeln!(io::stderr(), "{said}");
    if said.get("sha256").is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Gives up everything that compiling does not need.
fn restrict(args: &CompileArgs) -> io::Result<()> {
    // Whoever reads the core of a compiler reads somebody's policy; and a large one fills the disk.
    limit(Resource::Core, 0, 0)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // At the soft limit comes a signal that says which limit it was; the hard one is for whoever would ignore it.
    limit(Resource::Cpu, args.cpu_seconds, args.cpu_seconds.saturating_add(1))?;
    limit(Resource::As, args.address_space, args.address_space)?;
    limit(Resource::Fsize, ARTIFACT_MAX, ARTIFACT_MAX)?;
    // Standard input, output and error are there; nothing else can be opened, neither file nor socket.
    limit(Resource::Nofile, 3, 3)?;
    // The thread that waits for us holds on as long as we live; without it nobody wants the result.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::nice(NICE)?;
    Ok(())
}

fn limit(resource: Resource, current: u64, maximum: u64) -> io::Result<()> {
    // What we were given may be less already, and what is taken away does not come back.
    let maximum = rustix::process::getrlimit(resource).maximum.map_or(maximum, |given| given.min(maximum));
    setrlimit(resource, Rlimit { current: Some(current.min(maximum)), maximum: Some(maximum) })?;
    Ok(())
}

fn compile(instance_memory: usize) -> Result<String, LoadError> {
    let mut octets = Vec::new();
    let failed = |what: &str, why: io::Error| LoadError::Compile(format!("{what}: {why}"));
    io::stdin().lock().read_to_end(&mut octets).map_err(|why| failed("the component cannot be read", why))?;
    check::validate(&octets)?;
    let artifact =
        engine::precompile(&octets, instance_memory).map_err(|why| LoadError::Compile(format!("{why:#}")))?;
    let mut out = io::stdout().lock();
    let written = out.write_all(&artifact).and_then(|()| out.flush());
    written.map_err(|why| failed("the compiled code cannot be written", why))?;
    Ok(hex(&Sha256::digest(&artifact)))
}

/// What is wrong, so that the parent can say it as if it had looked itself.
fn report(error: &LoadError) -> Value {
    match error {
        LoadError::Truncated { at } => json!({ "truncated": at }),
        LoadError::Invalid { why, at } => json!({ "invalid": why, "at": at }),
        LoadError::Compile(why) => json!({ "failed": why }),
        other => json!({ "failed": other.to_string() }),
    }
}

/// The reverse of [`report`]; none for what a child of ours does not say.
pub(super) fn reported(said: &str) -> Option<LoadError> {
    let said: Value = serde_json::from_str(said).ok()?;
    let at = |key: &str| said.get(key).and_then(Value::as_u64);
    let text = |key: &str| said.get(key).and_then(Value::as_str).map(str::to_owned);
    if let Some(at) = at("truncated") {
        return Some(LoadError::Truncated { at });
    }
    if let (Some(why), Some(at)) = (text("invalid"), at("at")) {
        return Some(LoadError::Invalid { why, at });
    }
    text("failed").map(LoadError::Compile)
}

/// The digest in what a child that was successful says.
pub(super) fn digest(said: &str) -> Option<String> {
    let said: Value = serde_json::from_str(said).ok()?;
    said.get("sha256").and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_finds_wrong_arrives_as_it_was() {
        for error in [
            LoadError::Truncated { at: 7 },
            LoadError::Invalid { why: "unknown type 3: \"x\"\n".into(), at: 1 << 40 },
            LoadError::Compile("too many locals".into()),
        ] {
            assert_eq!(reported(&report(&error).to_string()), Some(error));
        }
        for nonsense in ["", "thread 'main' panicked", "{}", "[1]", "{\"sha256\":\"00\"}"] {
            assert_eq!(reported(nonsense), None, "{nonsense}");
        }
    }
}
