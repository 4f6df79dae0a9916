//! Programs of the same machine come by a socket in the file system.

mod peers;
mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use peers::maildir::{self, wait_for};
use peers::programs::{command, here, run};
use support::Home;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a port, and a socket in this folder for LMTP.
fn home(socket: &Path) -> Home {
    Home::new(&format!(
        "[dns]\nreverse = \"off\"\n\
         [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
         [[listener]]\nname = \"lmtp\"\nkind = \"lmtp\"\naddress = \"unix:{}\"\nsocket_mode = \"0600\"\n\
         [[plugin]]\nname = \"local-domains\"\nmodule = \"builtin:local-domains\"\ngrants = [\"accept-recipients\"]\n\
         config = {{ domains = [\"example.test\"] }}\n",
        socket.display()
    ))
}

fn deliver(socket: &Path) -> String {
    let mut swaks = command("swaks");
    swaks.args(["--socket"]).arg(socket);
    swaks.args(["--protocol", "LMTP", "--from", "a@example.org", "--to", "b@example.test,c@elsewhere.test"]);
    run(&mut swaks, b"", PATIENCE).text()
}

#[test]
fn mail_comes_by_a_socket_in_the_file_system() {
    if !here(&["swaks"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory can be made");
    let socket = dir.path().join("lmtp");
    let server = home(&socket).start();
    let file = fs::metadata(&socket).expect("it is there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    let said = deliver(&socket);
    assert!(said.contains("250 2.1.5") && said.contains("<c@elsewhere.test>"), "{said}");
    let mail = wait_for(&maildir::of(&server.maildirs(), "b@example.test"), 1, PATIENCE).remove(0);
    assert!(mail.trace().contains("127.0.0.1"), "{}", mail.trace());
    // Nobody else takes a socket that is in use.
    let second = home(&socket);
    let refused = second.command(&["serve"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("failed to listen on unix:"), "{said}");
    deliver(&socket);
    // One that a killed server left behind is nobody's.
    let again = server.kill();
    assert!(socket.exists());
    let server = again.start();
    deliver(&socket);
    wait_for(&maildir::of(&server.maildirs(), "b@example.test"), 3, PATIENCE);
    server.stop();
    assert!(!socket.exists());
}
