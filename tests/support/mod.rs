//! Runs the built binary for a story: in a data directory of its own, on a port of its own, until the story ends.
#![allow(dead_code, reason = "each story is a crate of its own and uses a part")]
#![allow(clippy::print_stdout, reason = "a story that fails shows what the server logged")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tempfile::{NamedTempFile, TempDir};
use wasmail_plugin_build::{BuildError, Built};
use wasmail_testkit::Kit;

/// For the server to start, to drain, to die. Compiling the plugins on a busy machine takes the most of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often something that tells us nothing by itself is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// A running server.
pub(crate) struct Server {
    process: Process,
    home: Home,
    addresses: Vec<SocketAddr>,
    banner: String,
}

/// Ends with the story, also when that fails, and then shows what the server logged.
struct Process {
    child: Child,
    log: PathBuf,
}

/// Where a server lives; it outlives the server, so that another can be started on the same data.
pub(crate) struct Home {
    dir: TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    /// A home with this configuration. Whatever it says, the data are kept in the home and every listener of the
    /// defaults takes a free port.
    pub(crate) fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        fs::write(dir.path().join("wasmail.toml"), config).expect("it can be written");
        let mut home = Self { dir, variables: Vec::new() };
        home.set("WASMAIL__SERVER__DATA_DIR", &home.data().display().to_string());
        home.set("WASMAIL__LISTENER__0__ADDRESS", "127.0.0.1:0");
        home
    }

    /// The same, with the plugins that other stories have compiled.
    pub(crate) fn with_shared_cache(self) -> Self {
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled-plugins");
        let private = fs::DirBuilder::new().recursive(true).mode(0o700).create(&shared);
        private.and_then(|()| fs::create_dir(self.data())).expect("directories can be made");
        std::os::unix::fs::symlink(shared, self.data().join("cache")).expect("there is none yet");
        self
    }

    /// Sets an environment variable of the server's.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("wasmail.toml")
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The root of the Maildirs.
    pub(crate) fn maildirs(&self) -> PathBuf {
        self.data().join("maildir")
    }

    /// What the servers of this home have logged so far.
    pub(crate) fn log(&self) -> String {
        let octets = fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }

    /// A command of the binary's, with this home's configuration.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = wasmail();
        command.args(args).arg("--config").arg(self.config()).envs(self.variables.iter().cloned());
        command
    }

    /// Starts a server and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start(self) -> Server {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let mut command = self.command(&["serve"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log.expect("the log can be written"));
        let mut child = command.spawn().expect("the binary runs");
        let stdout = child.stdout.take().expect("it is piped");
        let (banner, addresses) = read_banner(stdout);
        let process = Process { child, log: self.dir.path().join("log") };
        let server = Server { process, home: self, addresses, banner };
        assert!(!server.addresses.is_empty(), "no server:\n{}\n{}", server.banner, server.log());
        server
    }
}

/// The built binary, untouched by the environment of whoever runs the tests.
pub(crate) fn wasmail() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmail"));
    let inherited = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in inherited.filter(|name| name.starts_with("WASMAIL_")) {
        command.env_remove(name);
    }
    command
}

/// Reads until the server says that it is ready, or ends; then somebody goes on reading, so that it is never held up.
fn read_banner(stdout: ChildStdout) -> (String, Vec<SocketAddr>) {
    let (mut banner, mut addresses) = (String::new(), Vec::new());
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|octets| octets > 0) {
        if let Some(place) = line.trim_start().strip_prefix("listening on ") {
            addresses.extend(place.split_whitespace().next().and_then(|address| address.parse::<SocketAddr>().ok()));
        }
        let ready = line.trim() == "ready";
        banner.push_str(&line);
        line.clear();
        if ready {
            std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
            return (banner, addresses);
        }
    }
    (banner, Vec::new())
}

impl Server {
    /// Starts a server with this configuration over the defaults, on a free port, with data of its own.
    ///
    /// # Panics
    /// When it does not start.
    pub(crate) fn start(config: &str) -> Self {
        Home::new(config).with_shared_cache().start()
    }

    /// Where the first listener listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where all of them do, in the order of the configuration.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it printed at the start.
    pub(crate) fn banner(&self) -> &str {
        &self.banner
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Where it lives.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.data()
    }

    /// The root of its Maildirs.
    pub(crate) fn maildirs(&self) -> PathBuf {
        self.home.maildirs()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.home.log()
    }

    /// Waits until a line of the log holds this text, and returns the line.
    ///
    /// # Panics
    /// When none does within `limit`.
    pub(crate) fn wait_for_log(&self, text: &str, limit: Duration) -> String {
        let found = wait(limit, || self.log().lines().find(|line| line.contains(text)).map(str::to_owned));
        found.unwrap_or_else(|| panic!("no {text:?} in the log:\n{}", self.log()))
    }

    /// Runs a command of the binary's beside it, with its configuration.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.home.command(args).output().expect("the binary runs")
    }

    /// Whether nothing waits for delivery.
    pub(crate) fn queue_is_empty(&self) -> bool {
        let output = self.run(&["queue", "list", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout.is_empty()
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(kill.expect("kill runs").success(), "failed to send {name}");
    }

    /// Lets it drain, and waits until it has ended.
    ///
    /// # Panics
    /// When it does not end by itself, or not well.
    pub(crate) fn stop(mut self) -> Home {
        self.signal("TERM");
        let status = self.wait_for_end();
        assert!(status.success(), "ended with {status}:\n{}", self.log());
        self.home
    }

    /// Ends it as a power cut would: at once, wherever it is.
    pub(crate) fn kill(mut self) -> Home {
        self.process.child.kill().expect("it is ours to kill");
        self.process.child.wait().expect("it is ours to wait for");
        self.home
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it goes on.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let ended = wait(PATIENCE, || self.process.child.try_wait().expect("it is ours to wait for"));
        ended.unwrap_or_else(|| panic!("it goes on:\n{}", self.log()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- the server's log ---\n{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

/// Looks until there is something, for so long.
fn wait<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(GLANCE);
    }
}

/// The guest of `tests/says` as a file.
pub(crate) fn says() -> PathBuf {
    guest("says")
}

/// A guest of `tests` as a file. Stories run side by side, and nobody may read half of it.
pub(crate) fn guest(name: &str) -> PathBuf {
    static WRITING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = WRITING.lock();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let module = dir.join(format!("{name}.wasm"));
    let component = Kit::of_crate(root().join("tests").join(name)).component();
    let guest = NamedTempFile::new_in(dir).expect("there is room for a guest");
    fs::write(guest.path(), component).expect("it can be written");
    guest.persist(&module).expect("it can be put in its place");
    module
}

/// Set where every compiler of every run must be there, and where the large ones must be, too.
pub(crate) const PEERS: &str = "WASMAIL_REQUIRE_PEERS";
pub(crate) const LANGUAGES: &str = "WASMAIL_REQUIRE_LANGUAGES";

/// Whether one of these variables is set.
pub(crate) fn is_required(by: &[&str]) -> bool {
    by.iter().any(|variable| std::env::var_os(variable).is_some())
}

/// Builds a plugin's project. None where its compiler is not here, and not required by one of these variables.
///
/// # Panics
/// When it cannot be built.
#[allow(clippy::print_stderr, reason = "who is passed over wants to know why")]
pub(crate) fn built(project: &Path, required: &[&str]) -> Option<Built> {
    match wasmail_plugin_build::build(project) {
        Err(BuildError::NoTool { what, help }) if !is_required(required) => {
            eprintln!("passed over: {what} is not here; {help}");
            None
        }
        built => Some(built.unwrap_or_else(|error| panic!("{error}"))),
    }
}

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
