//! Mail that cannot be delivered comes back as a report that other programs read.

mod peers;
mod support;

use std::time::Duration;

use peers::eventually;
use peers::maildir::{self, wait_for};
use peers::postfix::{Postfix, Role};
use peers::programs::{command, here, run};
use support::Home;

const PATIENCE: Duration = Duration::from_secs(60);
/// Sends a message with DSN parameters.
const SEND: &str = r#"
import smtplib, sys
client = smtplib.SMTP(sys.argv[1], int(sys.argv[2]))
client.ehlo()
assert client.has_extn("dsn")
client.sendmail("a@here.example", ["nobody@example.test", "there@example.test"],
    "From: a@here.example\r\nSubject: hi\r\n\r\nhello\r\n".encode(),
    mail_options=["ENVID=QQ314159", "RET=FULL"],
    rcpt_options=["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;Some.Body@example.test"])
client.quit()
"#;
/// What Python's package email makes of a report.
const READ: &str = r#"
import sys, email, email.policy
report = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
assert report.get_content_type() == "multipart/report", report.get_content_type()
assert report["return-path"] == "<>" and report["auto-submitted"] == "auto-replied"
text, status, original = report.get_payload()
message, recipient = status.get_payload()
print(report.get_param("report-type"), len(report.defects))
print(message["original-envelope-id"], message["reporting-mta"])
print(recipient["original-recipient"], recipient["final-recipient"], recipient["action"], recipient["status"])
print(recipient["diagnostic-code"])
print(original.get_content_type(), original.get_payload(0)["from"] if original.is_multipart() else "")
"#;

#[test]
fn a_report_of_a_failure_is_read_by_others() {
    if !here(&["python3"]) || !Postfix::here() {
        return;
    }
    let postfix = Postfix::start(&Role::Deliver(&["there@example.test"]));
    let home = Home::new(&format!(
        "[dns]\nreverse = \"off\"\n\
         [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelaying = true\n\
         [[route]]\nname = \"there\"\nkind = \"smtp\"\nnext_hop = \"{}\"\ndomains = [\"example.test\"]\n",
        postfix.address()
    ));
    let server = home.start();
    let address = server.address();
    let mut python = command("python3");
    python.args(["-c", SEND, &address.ip().to_string(), &address.port().to_string()]);
    run(&mut python, b"", PATIENCE).well();
    let report = wait_for(&maildir::of(&server.maildirs(), "a@here.example"), 1, PATIENCE).remove(0);
    let read = run(command("python3").args(["-c", READ]).arg(&report.path), b"", PATIENCE).well().text();
    let lines: Vec<_> = read.lines().collect();
    assert_eq!(lines[0], "delivery-status 0", "{read}");
    assert_eq!(lines[1], "QQ314159 dns; mail.example.test", "{read}");
    assert_eq!(lines[2], "rfc822; Some.Body@example.test rfc822; nobody@example.test failed 5.1.1", "{read}");
    assert!(lines[3].starts_with("smtp; 550 5.1.1 "), "{read}");
    assert_eq!(lines[4], "message/rfc822 a@here.example", "{read}");
    eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
    wait_for(&maildir::of(&postfix.maildirs(), "there@example.test"), 1, PATIENCE);
}

#[test]
fn the_operator_searches_the_queue_and_gives_up_what_is_found() {
    if !here(&["swaks"]) {
        return;
    }
    // Nobody listens there.
    let home = Home::new(
        "[dns]\nreverse = \"off\"\n\
         [[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelaying = true\n\
         [[route]]\nname = \"there\"\nkind = \"smtp\"\nnext_hop = \"127.0.0.1:1\"\ndomains = [\"example.net\"]\n",
    );
    let server = home.start();
    let address = server.address();
    for from in ["a@here.example", "b@here.example"] {
        let mut swaks = command("swaks");
        swaks.args(["--server", &address.ip().to_string(), "--port", &address.port().to_string(), "--from", from]);
        run(swaks.args(["--to", "far@example.net", "--timeout", "60"]), b"", PATIENCE).well();
    }
    let queue = |args: &[&str]| {
        let output = run(&mut server.home().command(&[&["queue"], args].concat()), b"", PATIENCE).well();
        output.text()
    };
    eventually("both were tried", PATIENCE, || {
        queue(&["list", "--state", "deferred"]).ends_with("2 waiting.\n").then_some(())
    });
    let found = queue(&["list", "--from", "A@here", "--to", "@example.net>"]);
    assert!(found.contains("from <a@here.example>") && found.ends_with("1 waiting.\n"), "{found}");
    assert_eq!(queue(&["list", "--older-than", "1h"]), "Nothing waits.\n");
    assert!(queue(&["hold", "--from", "<b@here.example>"]).starts_with("1 to hold;"));
    eventually("it is held", PATIENCE, || queue(&["list", "--state", "held"]).contains("from <b@").then_some(()));
    assert!(queue(&["expire", "--state", "deferred"]).starts_with("1 to expire;"));
    let report = wait_for(&maildir::of(&server.maildirs(), "a@here.example"), 1, PATIENCE).remove(0);
    assert!(String::from_utf8_lossy(&report.raw).contains("Status: 5.4.7"));
    assert!(queue(&["remove", "--all"]).starts_with("1 to remove;"));
    eventually("the queue empties", PATIENCE, || server.queue_is_empty().then_some(()));
}
