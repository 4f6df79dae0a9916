//! Clients that nobody here wrote authenticate with the built binary, where a guest vouches for them.

mod peers;
mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use peers::maildir::{self, wait_for};
use peers::programs::{command, here, run};
use support::{Home, Server};

/// For a client to finish, and for a message to be delivered after it.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "tanstaaftanstaaf";

/// A listener whose plugin knows one user.
fn config(grants: &str) -> String {
    format!(
        "[dns]\nreverse = \"off\"\n[log]\nlevel = \"debug\"\n[auth]\nwithout_tls = true\nfailure_delay = \"10ms\"\n\
         [[listener]]\nname = \"submission\"\naddress = \"127.0.0.1:0\"\nauth = true\n\
         [[plugin]]\nname = \"users\"\nmodule = {:?}\nconfig = {{ auth = \"knows tim {PASSWORD}\" }}\n\
         grants = [\"accept-recipients\", \"take-messages\", \"overturn-denials\"{grants}]\n",
        support::says()
    )
}

fn server() -> Server {
    Home::new(&config(", \"credentials\"")).start()
}

fn swaks(address: SocketAddr, mechanism: &str, password: &str) -> Command {
    let mut swaks = command("swaks");
    swaks.args(["--server", &address.ip().to_string(), "--port", &address.port().to_string(), "--timeout", "60"]);
    swaks.args(["--ehlo", "client.example", "--from", "tim@example.test", "--to", "far@elsewhere.example"]);
    swaks.args(["--auth", mechanism, "--auth-user", "tim", "--auth-password", password]);
    swaks
}

#[test]
fn who_is_known_may_send_to_anywhere_and_the_trace_says_who_it_was() {
    if !here(&["swaks"]) {
        return;
    }
    let server = server();
    let inbox = maildir::of(&server.maildirs(), "far@elsewhere.example");
    for (sent, mechanism) in ["PLAIN", "LOGIN"].into_iter().enumerate() {
        let talk = run(&mut swaks(server.address(), mechanism, PASSWORD), b"", PATIENCE).well();
        assert!(talk.text().contains("<-  235 2.7.0 "), "{}", talk.text());
        let trace = wait_for(&inbox, sent + 1, PATIENCE)[sent].trace().replace("\r\n ", " ");
        assert!(trace.contains(" with ESMTPA id ") && trace.contains("auth=pass smtp.auth=tim"), "{trace}");
    }
}

#[test]
fn who_is_not_known_sends_nothing_and_no_log_line_has_a_password() {
    if !here(&["swaks"]) {
        return;
    }
    let server = server();
    for mechanism in ["PLAIN", "LOGIN"] {
        let talk = run(&mut swaks(server.address(), mechanism, "guessedwrongly"), b"", PATIENCE);
        assert_eq!(talk.status.code(), Some(28), "swaks says: authentication failed\n{}", talk.text());
        assert!(talk.text().contains("<** 535 5.7.8 "), "{}", talk.text());
        run(&mut swaks(server.address(), mechanism, PASSWORD), b"", PATIENCE).well();
    }
    wait_for(&server.maildirs(), 2, PATIENCE);
    let log = server.log();
    assert!(log.contains("auth"), "the log says that somebody tried:\n{log}");
    // In the clear, or as they go over the wire.
    for secret in [PASSWORD, "guessedwrongly", "dGFuc3RhYWZ0YW5zdGFhZg", "AHRpbQB0YW5zd", "Z3Vlc3NlZHdyb25nbHk"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[test]
fn smtplib_logs_in() {
    if !here(&["python3"]) {
        return;
    }
    let server = server();
    let script = "import smtplib, sys\n\
                  c = smtplib.SMTP(sys.argv[1], int(sys.argv[2]))\n\
                  try: c.login('tim', 'wrong')\n\
                  except smtplib.SMTPAuthenticationError as e: print(e.smtp_code)\n\
                  print(c.login('tim', sys.argv[3])[0])\n\
                  c.sendmail('tim@example.test', ['far@elsewhere.example'], 'Subject: x\\n\\nhello\\n')\n\
                  c.quit()\n";
    let mut python = command("python3");
    let address = server.address();
    python.args(["-c", script, &address.ip().to_string(), &address.port().to_string(), PASSWORD]);
    let said = run(&mut python, b"", PATIENCE).well();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "535\n235\n");
    wait_for(&maildir::of(&server.maildirs(), "far@elsewhere.example"), 1, PATIENCE);
}

/// A user of the file, without any plugin that knows about users.
#[test]
fn users_of_the_file_are_known_as_soon_as_they_are_added() {
    if !here(&["swaks"]) {
        return;
    }
    let config = "[dns]\nreverse = \"off\"\n[auth]\nusers = \"users\"\nfailure_delay = \"10ms\"\n[[listener]]\nname = \"submission\"\n\
                  address = \"127.0.0.1:0\"\nauth = true\n";
    let server = Home::new(config).start();
    let user = |args: &[&str], input: &str| {
        run(&mut server.home().command(&[&["user"], args].concat()), input.as_bytes(), PATIENCE)
    };
    let mut stranger = swaks(server.address(), "PLAIN", PASSWORD);
    assert_eq!(run(stranger.arg("--tls"), b"", PATIENCE).status.code(), Some(28));
    assert!(user(&["add", "tim"], &format!("{PASSWORD}\n")).well().text().contains("tim may authenticate."));
    assert_eq!(user(&["list"], "").well().text().trim(), "tim");
    // Not in the clear.
    let clear = run(&mut swaks(server.address(), "PLAIN", PASSWORD), b"", PATIENCE);
    assert_eq!(clear.status.code(), Some(28), "{}", clear.text());
    for mechanism in ["PLAIN", "LOGIN"] {
        run(swaks(server.address(), mechanism, PASSWORD).arg("--tls"), b"", PATIENCE).well();
        let wrong = run(swaks(server.address(), mechanism, "guessedwrongly").arg("--tls"), b"", PATIENCE);
        assert_eq!(wrong.status.code(), Some(28), "{}", wrong.text());
    }
    let trace = wait_for(&maildir::of(&server.maildirs(), "far@elsewhere.example"), 2, PATIENCE)[0].trace();
    assert!(trace.replace("\r\n ", " ").contains(" with ESMTPSA tls "), "{trace}");
    for (args, input, why) in [
        (["remove", "tom"], "", "there is no user `tom`"),
        (["add", "a b"], "x\n", "no good name"),
        (["add", "tom"], "\n", "a password has 1 to 255 octets"),
    ] {
        let said = user(&args, input);
        assert!(!said.status.success() && said.stderr.contains(why), "{}", said.stderr);
    }
    assert!(user(&["remove", "tim"], "").well().text().contains("tim may authenticate no more."));
    assert_eq!(run(swaks(server.address(), "PLAIN", PASSWORD).arg("--tls"), b"", PATIENCE).status.code(), Some(28));
}

#[test]
fn a_listener_where_nobody_vouches_is_a_mistake() {
    let home = Home::new(&config(""));
    let output = home.command(&["check"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    for part in ["listener[0].auth: nobody here vouches for clients", "grants = [\"credentials\"]"] {
        assert!(!output.status.success() && said.contains(part), "{part} is not in {said}");
    }
    let home = Home::new(
        &config(", \"credentials\"")
            .replace("without_tls = true\n", "")
            .replace("auth = true", "auth = true\ntls = \"off\""),
    );
    let output = home.command(&["check"]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("listener[0].auth: AUTH is offered under TLS alone"), "{said}");
}
