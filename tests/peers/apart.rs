//! Mail servers that cannot be installed beside another: unpacked into a directory by `tests/peers/unpack`, each runs with an `/etc`
//! and a `/var` of its own, so that the paths that were compiled into it lead into a temporary directory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::client::Client;
use super::programs::{Guard, command, here, not_told, pass_over, run};
use super::{eventually, free_port};

const PATIENCE: Duration = Duration::from_secs(30);

/// Users and groups of these servers, with numbers that nobody else on the machine has.
const USERS: [(&str, u32); 4] = [("nobody", 65534), ("opensmtpd", 9801), ("opensmtpq", 9802), ("Debian-exim", 9803)];

/// Puts the directories in place for a process and those that it starts, and for nobody else. The shell stays the first process of the
/// namespace, with which all others end: what makes it end with us is lost by one that gives up its rights, as Exim does.
const PUT_IN_PLACE: &str = "set -e\nmount --bind \"$1/etc\" /etc\nmount --bind \"$1/var\" /var\n\
                            mount --bind \"$2/usr/sbin\" /usr/sbin\n\
                            if [ -d \"$2/usr/libexec\" ]; then mount --bind \"$2/usr/libexec\" /usr/libexec; fi\n\
                            shift 2\n\"$@\"\nexit $?\n";

/// A server that is run so. It ends when dropped, and shows its logs when the story has failed.
pub(crate) struct Apart {
    home: TempDir,
    port: u16,
    logs: &'static [&'static str],
    server: Option<Guard>,
}

/// Where servers were unpacked.
fn unpacked(name: &str) -> Option<PathBuf> {
    let cache = || {
        let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        Some(named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?.join("wasmail-peers"))
    };
    let peers = std::env::var_os("WASMAIL_PEERS").map(PathBuf::from).or_else(cache)?;
    Some(peers.join(name)).filter(|place| place.join("usr/sbin").is_dir())
}

impl Apart {
    /// Whether a story with this server may begin.
    pub(crate) fn here(name: &str) -> bool {
        let may_mount = || {
            let probe = ["--mount", "--pid", "--fork", "true"];
            rustix::process::geteuid().is_root() && run(command("unshare").args(probe), b"", PATIENCE).status.success()
        };
        if unpacked(name).is_none() && std::env::var_os("WASMAIL_NO_NEIGHBOURS").is_some() {
            return not_told(&format!("{name} could not be had here"));
        }
        let there =
            unpacked(name).is_some() || pass_over(&format!("{name} is not unpacked; tests/peers/unpack does it"));
        there && here(&["unshare"]) && (may_mount() || not_told("only root may put directories into place"))
    }

    /// Prepares a home: `logs` are files in it that tell what the server did.
    pub(crate) fn new(name: &str, logs: &'static [&'static str]) -> Self {
        let prefix = format!("wasmail-{name}");
        let home = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a directory can be made");
        // The server's own users must get through.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let apart = Self { home, port: free_port(), logs, server: None };
        for folder in ["etc/ssl/certs", "var/run", "var/mail", "var/tmp", "var/log", "var/spool", "maildir"] {
            fs::create_dir_all(apart.path(folder)).expect("the directory is ours");
        }
        apart.give("maildir", "nobody");
        for file in ["nsswitch.conf", "ld.so.cache", "ssl/openssl.cnf"] {
            fs::copy(Path::new("/etc").join(file), apart.path("etc").join(file)).expect("Debian has it");
        }
        let users: String =
            USERS.iter().map(|(name, id)| format!("{name}:x:{id}:{id}::/nonexistent:/bin/false\n")).collect();
        let groups: String = USERS.iter().map(|(name, id)| format!("{name}:x:{id}:\n")).collect();
        apart.write("etc/passwd", &format!("root:x:0:0::/root:/bin/sh\n{users}"));
        apart.write("etc/group", &format!("root:x:0:\nmail:x:8:\nnogroup:x:65533:\n{groups}"));
        apart.write("etc/hosts", "127.0.0.1 localhost\n");
        apart.write("etc/resolv.conf", "");
        apart
    }

    /// Starts a command that stays in the foreground, and waits until the server greets.
    pub(crate) fn start(&mut self, name: &str, args: &[&str]) {
        let log = fs::File::create(self.path("start.log")).expect("the directory is ours");
        let mut unshare: Command = command("unshare");
        unshare.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", PUT_IN_PLACE, "sh"]);
        unshare.arg(self.home.path()).arg(unpacked(name).expect("it is here")).args(args);
        let again = log.try_clone().expect("a file can be shared");
        unshare.current_dir("/").stdin(Stdio::null()).stdout(log).stderr(again);
        self.server = Some(Guard(unshare.spawn().expect("unshare runs")));
        let address = self.address();
        eventually(name, PATIENCE, || Client::connect(address).ok().filter(|(_, hello)| hello.code == 220));
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The root of its Maildirs, `<domain>/<local-part>` below it.
    pub(crate) fn maildirs(&self) -> PathBuf {
        self.path("maildir")
    }

    /// A file or directory of its home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file of its home.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the directory is ours");
    }

    /// Makes a file or directory one of these users'.
    pub(crate) fn give(&self, name: &str, user: &str) {
        let id = USERS.iter().find(|(known, _)| *known == user).expect("it is one of them").1;
        std::os::unix::fs::chown(self.path(name), Some(id), Some(id)).expect("we are root");
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        let logs = self.logs.iter().chain([&"start.log"]);
        logs.map(|log| String::from_utf8_lossy(&fs::read(self.path(log)).unwrap_or_default()).into_owned()).collect()
    }
}

impl Drop for Apart {
    #[allow(clippy::print_stderr, reason = "the log says why the story failed")]
    fn drop(&mut self) {
        self.server = None;
        if std::thread::panicking() {
            eprintln!("--- the other server's log ---\n{}", self.log());
        }
    }
}
