//! Programs of the machine that take part in a story.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use super::eventually;

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Finished {
    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Itself, when the program ended well.
    ///
    /// # Panics
    /// With all that it printed, otherwise.
    pub(crate) fn well(self) -> Self {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.text(), self.stderr);
        self
    }
}

/// Whether a story may begin: all programs that it needs are installed.
///
/// # Panics
/// When one is missing and `WASMAIL_REQUIRE_PEERS` is set.
pub(crate) fn here(programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|name| find(name).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    pass_over(&format!("{missing:?} not installed"))
}

/// Says loudly that a story is not told, and why.
///
/// # Panics
/// When `WASMAIL_REQUIRE_PEERS` is set: then every story must be told.
pub(crate) fn pass_over(reason: &str) -> bool {
    assert!(std::env::var_os("WASMAIL_REQUIRE_PEERS").is_none(), "a story cannot be told: {reason}");
    not_told(&format!("{reason}. Set WASMAIL_REQUIRE_PEERS=1 to make this a failure"))
}

/// Says loudly that a story is not told, for a reason that nobody can mend by installing something.
pub(crate) fn not_told(reason: &str) -> bool {
    let story = std::thread::current().name().unwrap_or("a story").to_owned();
    // Not by `eprintln!`, which the test harness shows for failures only.
    let _ = writeln!(std::io::stderr(), "\n*** PASSED OVER: {story}: {reason}. ***\n");
    false
}

/// Where a program is; administrators' directories are looked into as well, whatever `PATH` says.
pub(crate) fn find(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The command for a program that [`here`] has seen.
pub(crate) fn command(name: &str) -> Command {
    Command::new(find(name).unwrap_or_else(|| panic!("{name} is not installed")))
}

/// Runs a program to its end, with `input` on its standard input.
///
/// # Panics
/// When it takes longer than `limit`; it is killed then.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Finished {
    let mut child = start(command);
    let stdin = child.stdin.take();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let finished = finish(child, &format!("{command:?}"), limit);
    // A program that has seen enough may close its input early.
    let _ = writer.join();
    finished
}

/// Starts a program with pipes to all its ends.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// Waits for the end of a program that was [`start`]ed.
///
/// # Panics
/// When it takes longer than `limit`; it is killed then.
pub(crate) fn finish(child: Child, what: &str, limit: Duration) -> Finished {
    let mut guard = Guard(child);
    let stdout = gather(guard.0.stdout.take());
    let stderr = gather(guard.0.stderr.take());
    let status = eventually(what, limit, || guard.0.try_wait().expect("it is our child"));
    let stderr = stderr.join().expect("reading does not panic");
    let stdout = stdout.join().expect("reading does not panic");
    Finished { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
}

/// Kills its child when a story ends early.
pub(crate) struct Guard(pub(crate) Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn gather(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut octets = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until an error is what there is to show.
            let _ = pipe.read_to_end(&mut octets);
        }
        octets
    })
}
