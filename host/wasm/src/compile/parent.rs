//! The parent's side: starts a child, waits as long as it may, and says what became of it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Signal;

use super::child::{digest, reported};
use super::{ARTIFACT_MAX, ChildCompiler, at_once};
use crate::cache::digest_of;
use crate::check::LoadError;
use crate::text::escaped;

/// Octets of what a child says that are read: a panic is some lines.
const SAID_MAX: u64 = 16 * 1024;
/// Octets of it that are shown: one log line.
const SHOWN_MAX: usize = 1_024;
/// What Rust's allocator, the operating system (ENOMEM) and the compiler say when there is no more memory.
const STARVED: [&str; 3] = ["memory allocation of", "Cannot allocate memory", "out of memory"];
/// Threads of one child: more make it hardly faster, and each takes address space from the others.
const THREADS_MAX: usize = 4;
/// How often a running child is looked at. It runs for tens of milliseconds at least.
const GLANCE: Duration = Duration::from_millis(2);

/// Has a child compile a component into an empty file.
///
/// Blocks until the child has ended, which it has in any case when this returns.
pub(crate) fn compile(
    compiler: &ChildCompiler,
    octets: &[u8],
    instance_memory: usize,
    artifact: &mut File,
) -> Result<(), LoadError> {
    let failed = |what: &str, why: io::Error| LoadError::Compile(format!("{what}: {why}"));
    let component = in_memory("component", octets).map_err(|why| failed("the component cannot be handed over", why))?;
    let mut said = in_memory("said", &[]).map_err(|why| failed("no place for what the compiler says", why))?;
    let mut command = command(compiler, instance_memory);
    let give = |file: &File| file.try_clone().map(Stdio::from);
    let started = give(artifact)
        .and_then(|out| Ok((out, give(&said)?)))
        .and_then(|(out, err)| command.stdin(component).stdout(out).stderr(err).spawn());
    let child = started.map_err(|why| failed("the compiler cannot be started", why))?;
    let ended = wait(child, compiler.limits.wall_clock).map_err(|why| failed("the compiler cannot be waited for", why));
    let said = heard(&mut said).map_err(|why| failed("what the compiler says cannot be read", why));
    match (ended?, said?) {
        (None, _) => Err(LoadError::CompileWallClock { limit: compiler.limits.wall_clock }),
        (Some(status), said) if !status.success() => Err(explain(compiler, status, &said)),
        (Some(_), said) => check(artifact, &said),
    }
}

fn command(compiler: &ChildCompiler, instance_memory: usize) -> Command {
    let (limits, threads) = (&compiler.limits, at_once().min(THREADS_MAX));
    let mut command = Command::new(&compiler.program);
    command.args(&compiler.args);
    command.args([instance_memory.to_string(), limits.cpu_seconds().to_string(), limits.memory.to_string()]);
    // Our environment may hold secrets. The directory may be one that somebody wants to unmount. A signal from the
    // terminal is for us, and a child ends with us.
    command.env_clear().env("RAYON_NUM_THREADS", threads.to_string()).current_dir("/").process_group(0);
    command
}

/// A file without a name, with these octets, read from its beginning.
fn in_memory(name: &str, octets: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(octets)?;
    file.rewind()?;
    Ok(file)
}

/// Waits until the child has ended by itself; none when it had to be killed.
fn wait(mut child: Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(GLANCE),
            other => {
                child.kill()?;
                child.wait()?;
                return other.map(|_| None);
            }
        }
    }
}

fn heard(said: &mut File) -> io::Result<String> {
    let mut octets = Vec::new();
    said.rewind()?;
    said.take(SAID_MAX).read_to_end(&mut octets)?;
    Ok(String::from_utf8_lossy(&octets).trim().to_owned())
}

/// Why a child ended that was not successful.
fn explain(compiler: &ChildCompiler, status: ExitStatus, said: &str) -> LoadError {
    let starved = STARVED.iter().any(|words| said.contains(words));
    if starved {
        return LoadError::CompileMemory { limit: compiler.limits.memory };
    }
    let signal = |signal: Signal| status.signal() == Some(signal.as_raw());
    if signal(Signal::XCPU) {
        return LoadError::CompileCpu { limit: compiler.limits.cpu };
    }
    if signal(Signal::XFSZ) {
        return LoadError::Compile(format!("the compiled code would have more than {ARTIFACT_MAX} octets"));
    }
    if let Some(error) = reported(said) {
        return error;
    }
    let text = said.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    LoadError::Compile(format!("the compiler ended with {status} and said: {}", escaped(&text, SHOWN_MAX)))
}

/// Whether the file holds what a successful child has written, and nothing else.
fn check(artifact: &mut File, said: &str) -> Result<(), LoadError> {
    let found = digest_of(artifact);
    let found = found.map_err(|why| LoadError::Compile(format!("the compiled code cannot be read back: {why}")))?;
    if digest(said).is_some_and(|told| told == found) {
        return Ok(());
    }
    let text = escaped(said, SHOWN_MAX);
    Err(LoadError::Compile(format!(
        "the compiler ended well and left something that is no compiled code; it said: {text}"
    )))
}
