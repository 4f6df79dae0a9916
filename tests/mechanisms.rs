//! Ways to authenticate other than by showing a password: SCRAM with GNU SASL, certificates and tokens with Python.

mod peers;
mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peers::maildir::{self, wait_for};
use peers::programs::{Finished, command, here, run};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use support::{Home, Server};

/// For a client to finish, and for a message to be delivered after it.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "p\u{e4}ssword";

fn config(mechanisms: &str, more: &str) -> String {
    format!(
        "[dns]\nreverse = \"off\"\n[auth]\nmechanisms = {mechanisms}\nfailure_delay = \"10ms\"\n{more}\
         [[listener]]\nname = \"submission\"\naddress = \"127.0.0.1:0\"\nkind = \"submission\"\n"
    )
}

/// What GNU SASL's client says of a server.
fn gsasl(address: SocketAddr, mechanism: &str, password: &str, ca: Option<&Path>) -> Finished {
    let mut gsasl = command("gsasl");
    gsasl.args(["--client", "--smtp", "--connect", &address.to_string(), "--mechanism", mechanism]);
    gsasl.args(["--authentication-id", "tim", "--authorization-id", "", "--password", password]);
    match ca {
        Some(ca) => gsasl.arg("--starttls").arg("--x509-ca-file").arg(ca),
        None => gsasl.arg("--no-starttls"),
    };
    run(&mut gsasl, b"", PATIENCE)
}

#[test]
fn a_password_is_proved_without_being_shown() {
    if !here(&["gsasl"]) {
        return;
    }
    let mechanisms = "[\"SCRAM-SHA-256-PLUS\", \"SCRAM-SHA-256\", \"PLAIN\"]";
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate can be made");
    let dir = tempfile::tempdir().expect("a directory can be made");
    let (chain, key) =
        (pem(dir.path(), "chain.pem", &made.cert.pem()), pem(dir.path(), "key.pem", &made.signing_key.serialize_pem()));
    let more = format!(
        "users = \"users\"\nwithout_tls = true\n[tls]\ncertificates = [{{ chain = {chain:?}, key = {key:?} }}]\n"
    );
    let server = Home::new(&config(mechanisms, &more)).start();
    let mut add = server.home().command(&["user", "add", "tim"]);
    run(&mut add, format!("{PASSWORD}\n").as_bytes(), PATIENCE).well();
    let kept = fs::read_to_string(server.data().join("users")).expect("it was written");
    assert!(kept.contains("\tSCRAM-SHA-256$100000:"), "{kept}");
    let ca = chain;
    for (mechanism, ca) in [
        ("SCRAM-SHA-256", None),
        // Under TLS this client insists on the binding, as it should where that is offered.
        ("SCRAM-SHA-256-PLUS", Some(ca.as_path())),
        ("PLAIN", Some(ca.as_path())),
    ] {
        let right = gsasl(server.address(), mechanism, PASSWORD, ca);
        assert!(right.status.success(), "{mechanism} {ca:?}: {}\n{}", right.text(), right.stderr);
        let wrong = gsasl(server.address(), mechanism, "guessedwrongly", ca);
        assert!(!wrong.status.success(), "{mechanism} {ca:?}: {}", wrong.text());
    }
    // Without TLS there is nothing to be bound to.
    assert!(!gsasl(server.address(), "SCRAM-SHA-256-PLUS", PASSWORD, None).status.success());
}

#[test]
fn users_without_a_verifier_are_counted_and_scram_needs_the_file() {
    let home = Home::new(&config("[\"PLAIN\"]", "users = \"users\"\n"));
    run(&mut home.command(&["user", "add", "tim"]), b"x\n", PATIENCE).well();
    fs::write(home.config(), config("[\"SCRAM-SHA-256\"]", "users = \"users\"\n")).expect("it can be written");
    let said = run(&mut home.command(&["check"]), b"", PATIENCE).well().stderr;
    assert!(said.contains("users who cannot authenticate by SCRAM: 1"), "{said}");
    fs::write(home.config(), config("[\"SCRAM-SHA-256\", \"EXTERNAL\"]", "")).expect("it can be written");
    let said = run(&mut home.command(&["check"]), b"", PATIENCE).stderr;
    for part in
        ["auth.users: missing; auth.mechanisms has SCRAM", "tls.client_ca: missing; auth.mechanisms has \"EXTERNAL\""]
    {
        assert!(said.contains(part), "{part}\n{said}");
    }
}

/// Logs in by a mechanism of which smtplib knows nothing, and sends a message.
const PYTHON: &str = r#"
import smtplib, ssl, sys
host, port, mechanism, response, *certificate = sys.argv[1:]
context = ssl._create_unverified_context()
if certificate:
    context.load_cert_chain(*certificate)
client = smtplib.SMTP(host, int(port))
client.starttls(context=context)
client.ehlo()
print(client.esmtp_features.get("auth", "").strip())
said = [None]
def answer(challenge=None):
    if challenge:
        said.append(challenge)
    return "\x01" if challenge else response
try:
    print(client.auth(mechanism, answer)[0])
    client.sendmail("tim@example.test", ["far@elsewhere.example"], "From: tim@example.test\nSubject: x\n\nhello\n")
except smtplib.SMTPAuthenticationError as error:
    print(said[-1], error.smtp_code)
client.quit()
"#;

fn python(server: &Server, mechanism: &str, response: &str, certificate: &[&Path]) -> String {
    let address = server.address();
    let mut python = command("python3");
    python.args(["-c", PYTHON, &address.ip().to_string(), &address.port().to_string(), mechanism, response]);
    run(python.args(certificate), b"", PATIENCE).well().text()
}

fn pem(dir: &Path, name: &str, text: &str) -> PathBuf {
    fs::write(dir.join(name), text).expect("it can be written");
    dir.join(name)
}

#[test]
fn a_certificate_says_who_its_holder_is() {
    if !here(&["python3"]) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory can be made");
    let key = || KeyPair::generate().expect("there is randomness");
    let mut of_issuer = CertificateParams::default();
    of_issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(of_issuer, key()).expect("it can be signed");
    let ca = pem(dir.path(), "ca.pem", &issuer.pem());
    let issue = |name: &str, addresses: &[&str]| {
        let (mut params, key) = (CertificateParams::default(), key());
        params.distinguished_name.push(DnType::CommonName, name);
        let address = |address: &&str| SanType::Rfc822Name((*address).try_into().expect("it is ASCII"));
        params.subject_alt_names = addresses.iter().map(address).collect();
        let certificate = params.signed_by(&key, &issuer).expect("it can be signed");
        let file = |ending: &str| format!("{name}.{ending}");
        [pem(dir.path(), &file("pem"), &certificate.pem()), pem(dir.path(), &file("key"), &key.serialize_pem())]
    };
    let more = format!("[tls]\nclient_ca = {ca:?}\n");
    let server = Home::new(&config("[\"EXTERNAL\"]", &more)).start();
    let inbox = maildir::of(&server.maildirs(), "far@elsewhere.example");
    let (tim, eva) = (issue("tim", &[]), issue("Eva", &["eva@example.test", "office@example.test"]));
    let external = |of: &[PathBuf; 2], name: &str| python(&server, "EXTERNAL", name, &[&of[0], &of[1]]);
    for (number, (of, name, known_as)) in
        [(&tim, "", "tim"), (&eva, "", "eva@example.test"), (&eva, "office@example.test", "office@example.test")]
            .into_iter()
            .enumerate()
    {
        assert_eq!(external(of, name), "EXTERNAL\n235\n", "{known_as}");
        let traces: String = wait_for(&inbox, number + 1, PATIENCE).iter().map(|mail| mail.trace()).collect();
        assert!(traces.contains(&format!("smtp.auth={known_as}")), "{traces}");
    }
    assert_eq!(external(&eva, "tim"), "EXTERNAL\nNone 535\n");
    // Who shows none is not offered it.
    let said = run(
        command("python3").args(["-c", PYTHON, "127.0.0.1", &server.address().port().to_string(), "EXTERNAL", ""]),
        b"",
        PATIENCE,
    );
    assert!(said.text().starts_with('\n') && said.text().contains("504"), "{}{}", said.text(), said.stderr);
}

#[test]
fn a_guest_judges_tokens() {
    if !here(&["python3"]) {
        return;
    }
    let module = support::says();
    let plugin = format!(
        "[[plugin]]\nname = \"tokens\"\nmodule = {module:?}\nconfig = {{ auth = \"knows tim ya29.vF9dft4\" }}\n\
         grants = [\"accept-recipients\", \"take-messages\", \"overturn-denials\", \"credentials\"]\n"
    );
    let server = Home::new(&(config("[\"OAUTHBEARER\", \"XOAUTH2\"]", "") + &plugin)).start();
    let inbox = maildir::of(&server.maildirs(), "far@elsewhere.example");
    let offered = "OAUTHBEARER XOAUTH2";
    for (number, (mechanism, before)) in
        [("OAUTHBEARER", "n,a=tim,\u{1}host=x"), ("XOAUTH2", "user=tim")].into_iter().enumerate()
    {
        let with =
            |token: &str| python(&server, mechanism, &format!("{before}\u{1}auth=Bearer {token}\u{1}\u{1}"), &[]);
        assert_eq!(with("ya29.vF9dft4"), format!("{offered}\n235\n"));
        assert!(wait_for(&inbox, number + 1, PATIENCE)[number].trace().contains("smtp.auth=tim"));
        let refused = with("ya29.guessed");
        assert!(refused.contains("status") && refused.ends_with(" 535\n"), "{refused}");
    }
    let log = server.log();
    assert!(!log.contains("vF9dft4") && !log.contains("guessed"), "{log}");
}
