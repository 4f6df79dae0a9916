//! A private Postfix: its own configuration, queue and log in a temporary directory, one port on loopback.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::programs::{Guard, command, here, pass_over, run};
use super::{client::Client, eventually, free_port};

/// A Postfix takes about a second to start and a little more to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where this Postfix sends what it has accepted.
pub(crate) enum Role {
    /// To a server on this machine, as a sending MTA does.
    RelayTo(SocketAddr),
    /// Into its own Maildirs, as the last server on the way does; for these addresses at `example.test` and no others.
    Deliver(&'static [&'static str]),
}

/// A Postfix of this story's own. It is stopped when dropped.
pub(crate) struct Postfix {
    home: TempDir,
    port: u16,
    master: Option<Guard>,
}

impl Postfix {
    /// Whether a story with Postfix may begin.
    pub(crate) fn here() -> bool {
        here(&["postfix", "postconf", "sendmail"])
            && (rustix::process::geteuid().is_root() || pass_over("Postfix's master starts only as root"))
    }

    /// Writes a configuration and starts.
    pub(crate) fn start(role: &Role) -> Self {
        Self::start_with(role, "")
    }

    /// Likewise, with more lines of `main.cf`.
    pub(crate) fn start_with(role: &Role, more: &str) -> Self {
        let home = tempfile::Builder::new().prefix("wasmail-postfix").tempdir().expect("a directory can be made");
        // Postfix's own users must get through.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let mut postfix = Self { home, port: free_port(), master: None };
        postfix.lay_out(role, more);
        postfix.resume();
        postfix
    }

    /// Starts again after a [`Postfix::stop`], on the same port and with the same queue.
    pub(crate) fn resume(&mut self) {
        let log = fs::File::create(self.home.path().join("start.log")).expect("the directory is ours");
        let mut postfix = self.tool("postfix");
        // In the foreground the master is our child, and goes when we say so.
        let again = log.try_clone().expect("a file can be shared");
        postfix.arg("start-fg").stdin(Stdio::null()).stdout(log).stderr(again);
        self.master = Some(Guard(postfix.spawn().expect("Postfix starts")));
        let address = self.address();
        eventually("Postfix greets", PATIENCE, || Client::connect(address).ok().filter(|(_, hello)| hello.code == 220));
    }

    /// Stops and waits for the end; what is in the queue stays there.
    pub(crate) fn stop(&mut self) {
        let Some(mut master) = self.master.take() else { return };
        // Not `postfix stop`, which waits a second before it looks whether the master has gone; and the child is a shell
        // that waits for the master.
        let pid = fs::read_to_string(self.queue().join("pid/master.pid")).ok();
        let pid = pid.and_then(|pid| pid.trim().parse().ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have gone by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        eventually("Postfix ends", PATIENCE, || master.0.try_wait().expect("it is our child"));
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The root of its Maildirs, `<domain>/<local-part>` below it.
    pub(crate) fn maildirs(&self) -> PathBuf {
        self.home.path().join("maildir")
    }

    /// Gives a message to its `sendmail`.
    pub(crate) fn submit(&self, reverse_path: &str, recipients: &[&str], content: &[u8]) {
        let mut sendmail = command("sendmail");
        sendmail.arg("-C").arg(self.home.path().join("etc")).args(["-i", "-f", reverse_path, "--"]).args(recipients);
        run(&mut sendmail, content, PATIENCE).well();
    }

    /// Tries at once what waits for another attempt.
    pub(crate) fn flush(&self) {
        run(self.tool("postfix").arg("flush"), b"", PATIENCE).well();
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("maillog")).unwrap_or_default()
    }

    /// Messages that it has accepted and neither delivered nor returned.
    pub(crate) fn pending(&self) -> usize {
        ["maildrop", "incoming", "active", "deferred"].iter().map(|queue| files(&self.queue().join(queue))).sum()
    }

    fn queue(&self) -> PathBuf {
        self.home.path().join("queue")
    }

    fn tool(&self, name: &str) -> Command {
        let mut tool = command(name);
        tool.arg("-c").arg(self.home.path().join("etc"));
        tool
    }

    fn lay_out(&self, role: &Role, more: &str) {
        for folder in ["etc", "queue", "data", "maildir"] {
            fs::create_dir(self.home.path().join(folder)).expect("the directory is ours");
        }
        let (postfix, nobody) = (owner("postfix"), owner("nobody"));
        chown(&self.home.path().join("data"), postfix);
        chown(&self.home.path().join("maildir"), nobody);
        let main = each_once(&(main_cf(self.home.path(), role, nobody) + more));
        fs::write(self.home.path().join("etc/main.cf"), main).expect("the directory is ours");
        fs::write(self.home.path().join("etc/master.cf"), master_cf(self.port)).expect("the directory is ours");
    }
}

impl Drop for Postfix {
    #[allow(clippy::print_stderr, reason = "the log says why the story failed")]
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let start = fs::read_to_string(self.home.path().join("start.log")).unwrap_or_default();
            eprintln!("--- Postfix's log ---\n{}{start}", self.log());
        }
    }
}

/// User and group.
type Owner = (u32, u32);

fn owner(name: &str) -> Owner {
    let id = |flag: &str| {
        let found = run(command("id").args([flag, name]), b"", PATIENCE).well().text();
        found.trim().parse().expect("id prints a number")
    };
    (id("-u"), id("-g"))
}

fn chown(path: &Path, (user, group): Owner) {
    std::os::unix::fs::chown(path, Some(user), Some(group)).expect("we are root");
}

fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// The lines without those that a later one replaces. Postfix warns of each as often as it reads the file, and waits for ever when its
/// master warns more than the socket of its log takes before anybody reads there.
fn each_once(main: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let lines: Vec<_> = main.lines().collect();
    let last = |at: usize| lines[at + 1..].iter().all(|later| key(later) != key(lines[at]));
    (0..lines.len()).filter(|at| last(*at)).map(|at| format!("{}\n", lines[at])).collect()
}

fn main_cf(home: &Path, role: &Role, (user, group): Owner) -> String {
    let home = home.display();
    let role = match role {
        Role::RelayTo(next_hop) => format!("relayhost = [{}]:{}\n", next_hop.ip(), next_hop.port()),
        Role::Deliver(addresses) => format!(
            "virtual_mailbox_domains = example.test\nvirtual_mailbox_maps = inline:{{ {} }}\n\
             virtual_mailbox_base = {home}/maildir\nvirtual_uid_maps = static:{user}\n\
             virtual_gid_maps = static:{group}\ndefault_transport = error:nowhere else\n",
            addresses.iter().map(|address| mailbox(address)).collect::<Vec<_>>().join(", ")
        ),
    };
    format!(
        "compatibility_level = 3.6\nqueue_directory = {home}/queue\ndata_directory = {home}/data\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = postfix.example\nmyorigin = example.test\n\
         mydestination =\nmynetworks = 127.0.0.0/8\nalias_maps =\nalias_database =\nlocal_recipient_maps =\n\
         smtputf8_enable = yes\nsmtp_host_lookup = native\nsmtp_dns_support_level = disabled\n\
         smtp_tls_security_level = none\nmessage_size_limit = 104857600\nmailbox_size_limit = 0\n\
         virtual_mailbox_limit = 0\nminimal_backoff_time = 1s\nmaximal_backoff_time = 2s\nqueue_run_delay = 1s\n\
         transport_retry_time = 1s\nsmtpd_peername_lookup = no\nsmtpd_recipient_restrictions = permit_mynetworks, reject\n\
         maillog_file = {home}/maillog\nmaillog_file_prefixes = {home}\n{role}"
    )
}

/// A line of the map from addresses to Maildirs.
fn mailbox(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').expect("an address has a domain");
    format!("{{ {address} = {domain}/{local}/ }}")
}

/// Debian's services that receiving, relaying and delivering need, without chroot.
fn master_cf(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd\n\
         pickup unix n - n 1 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
         rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\nverify unix - - n - 1 verify\nflush unix n - n 1000? 0 flush\n\
         proxymap unix - - n - - proxymap\nproxywrite unix - - n - 1 proxymap\nsmtp unix - - n - - smtp\n\
         relay unix - - n - - smtp\nshowq unix n - n - - showq\nerror unix - - n - - error\n\
         retry unix - - n - - error\ndiscard unix - - n - - discard\nvirtual unix - n n - - virtual\n\
         anvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\nscache unix - - n - 1 scache\npostlog unix-dgram n - n - 1 postlogd\n"
    )
}
