//! Certificates from Pebble, a real ACME server, which finds names by NSD: all on loopback.

#[path = "support/authority.rs"]
mod authority;
#[path = "support/nsd.rs"]
mod nsd;
#[path = "support/pebble.rs"]
mod pebble;
mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nsd::Nsd;
use parking_lot::Mutex;
use pebble::{CUSTOMER, Manner, Pebble};
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use support::{Client, Home, Running, Wanted, until};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use wasmail_queue::Backoff;
use wasmail_server::{AcmeConfig, AcmePace, Certificate, ExternalAccount, Secret, Tls, TlsConfig, TlsVersion};
use x509_parser::extensions::ParsedExtension;

/// Nobody answers at `silent`.
const ZONE: &str = "mx A 127.0.0.80\nother A 127.0.0.80\nsilent A 127.0.0.81\nblocked A 127.0.0.80\n";
/// A renewal within a test: these certificates are to be renewed when they are eight seconds old.
const SHORT: Manner = Manner { validity: 12, bad_nonces: 25, for_customers: false };

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What is logged on this thread, which runs all of a test, for as long as the guard lives.
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn has(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock()).contains(text)
    }
}

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A house with a name server and an ACME server next door.
struct Street {
    nsd: Nsd,
    pebble: Pebble,
    home: Home,
    pace: AcmePace,
}

impl Street {
    async fn new(manner: Manner) -> Self {
        let nsd = Nsd::start(ZONE).await;
        let pebble = Pebble::start(&nsd, manner);
        let backoff =
            Backoff { first: Duration::from_millis(50), max: Duration::from_millis(50), factor: 1.0, jitter: 0.0 };
        Self { nsd, pebble, home: Home::new(), pace: AcmePace { least: Duration::ZERO, backoff } }
    }

    fn config(&self, names: &[&str]) -> AcmeConfig {
        AcmeConfig {
            directory: self.pebble.directory(),
            contact: vec!["mailto:postmaster@example.test".into()],
            external_account: None,
            names: vec![names.iter().map(|name| (*name).to_owned()).collect()],
            listen: self.pebble.challenges,
            roots: Some(self.pebble.roots()),
            resolver: self.nsd.resolver(),
            dir: self.home.path().join("acme"),
            keep_key: false,
            pace: self.pace.clone(),
        }
    }

    /// Starts a server that wants a certificate for these names.
    fn start(&self, names: &[&str]) -> Running {
        self.start_with(self.config(names))
    }

    fn start_with(&self, config: AcmeConfig) -> Running {
        let tls = Tls::load(TlsConfig {
            certificates: Vec::new(),
            awaited: config.files(),
            fallback: Some(self.fallback()),
            minimum: TlsVersion::V1_2,
            client_ca: None,
            client_certificate_required: false,
            handshake_timeout: TlsConfig::HANDSHAKE_TIMEOUT,
        });
        self.home.start(Wanted { tls: Some(tls.unwrap()), acme: Some(config), ..Wanted::default() })
    }

    /// A certificate that is signed by itself, as the daemon makes it.
    fn fallback(&self) -> Certificate {
        let files = ["own.pem", "own.key"].map(|name| self.home.path().join(name));
        if !files[0].exists() {
            let made = rcgen::generate_simple_self_signed(vec!["mx.example.test".to_owned()]).unwrap();
            fs::write(&files[0], made.cert.pem()).unwrap();
            fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
        }
        let [chain, key] = files;
        Certificate { chain, key }
    }

    async fn roots(&self) -> Arc<RootCertStore> {
        self.pebble.issued_root(&self.nsd).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.config(&["mx.example.test"]).files()[0].with_file_name(name)
    }

    /// What is kept of the account.
    fn account(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.file("account.json")).unwrap()).unwrap()
    }

    /// What is kept of the attempts.
    fn attempts(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.file("mx.example.test.attempts")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// How many attempts have failed since the last success.
    fn failures(&self) -> u64 {
        self.attempts()["failures"].as_u64().unwrap_or_default()
    }
}

/// A client under TLS.
type Session = BufReader<TlsStream<TcpStream>>;

/// Comes to TLS by STARTTLS, if the server's certificate is good by these roots.
async fn secure(server: &Running, name: &str, roots: &Arc<RootCertStore>) -> Result<Session, std::io::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(Arc::clone(roots)).with_no_client_auth();
    let mut client = server.connect().await;
    client.hello().await;
    client.ask("STARTTLS", "220").await;
    let Client { stream, .. } = client;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    Ok(BufReader::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

/// The certificate that a server shows, once it is good.
async fn certificate(server: &Running, name: &str, roots: &Arc<RootCertStore>) -> Vec<u8> {
    let look = async {
        loop {
            match secure(server, name, roots).await {
                Ok(session) => return shown(&session),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(support::PATIENCE, look).await.expect("a good certificate comes")
}

fn shown(session: &Session) -> Vec<u8> {
    session.get_ref().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The public key of a certificate.
fn key(certificate: &[u8]) -> Vec<u8> {
    x509_parser::parse_x509_certificate(certificate).unwrap().1.public_key().raw.to_vec()
}

async fn noop(session: &mut Session) {
    session.write_all(b"NOOP\r\n").await.unwrap();
    let mut reply = String::new();
    session.read_line(&mut reply).await.unwrap();
    assert!(reply.starts_with("250"), "{reply}");
}

fn is_told() -> bool {
    nsd::here(&["pebble", "nsd"])
}

#[tokio::test]
async fn the_first_certificate_comes_and_a_restart_does_not_ask_again() {
    if !is_told() {
        return;
    }
    let mut street = Street::new(Manner { bad_nonces: 25, ..Manner::default() }).await;
    let roots = street.roots().await;
    let server = street.start(&["mx.example.test", "other.example.test"]);
    let first = certificate(&server, "mx.example.test", &roots).await;
    assert_eq!(certificate(&server, "other.example.test", &roots).await, first);
    until(|| street.failures() == 0).await;
    for file in ["mx.example.test.pem", "mx.example.test.attempts", "account.json"] {
        assert_eq!(fs::metadata(street.file(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    server.stop().await;
    // Nobody could give it another one.
    street.pebble.end();
    let server = street.start(&["mx.example.test"]);
    let session = secure(&server, "mx.example.test", &roots).await.expect("it has a certificate from the start");
    assert_eq!(shown(&session), first);
    let attempts = fs::read(street.file("mx.example.test.attempts")).unwrap();
    server.stop().await;
    assert_eq!(fs::read(street.file("mx.example.test.attempts")).unwrap(), attempts);
}

#[tokio::test]
async fn a_renewal_is_shown_without_a_restart_and_disturbs_nobody() {
    if !is_told() {
        return;
    }
    let street = Street::new(SHORT).await;
    let roots = street.roots().await;
    let server = street.start(&["mx.example.test"]);
    let first = certificate(&server, "mx.example.test", &roots).await;
    let mut session = secure(&server, "mx.example.test", &roots).await.unwrap();
    let account = street.account();
    let renewed = async {
        while certificate(&server, "mx.example.test", &roots).await == first {
            noop(&mut session).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(support::PATIENCE, renewed).await.expect("it is renewed");
    // Who came under the old one goes on.
    noop(&mut session).await;
    assert_eq!(street.account(), account);
    assert_ne!(key(&certificate(&server, "mx.example.test", &roots).await), key(&first));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_down_leaves_the_old_certificate_and_the_log_says_so() {
    if !is_told() {
        return;
    }
    let (log, _guard) = Log::begin();
    let mut street = Street::new(SHORT).await;
    let roots = street.roots().await;
    let server = street.start(&["mx.example.test"]);
    let first = certificate(&server, "mx.example.test", &roots).await;
    until(|| street.failures() == 0).await;
    street.pebble.end();
    until(|| log.has("failed to get a certificate; the old one stays in force")).await;
    until(|| street.failures() > 2).await;
    let file = fs::read(street.file("mx.example.test.pem")).unwrap();
    assert!(log.has("failed to connect"), "{}", String::from_utf8_lossy(&log.0.lock()));
    // It is back, and has forgotten the account, which is made again by the key that is kept.
    let key = street.account()["credentials"]["key_pkcs8"].clone();
    street.pebble.replace();
    let roots = street.roots().await;
    assert_ne!(certificate(&server, "mx.example.test", &roots).await, first);
    assert_ne!(fs::read(street.file("mx.example.test.pem")).unwrap(), file);
    assert_eq!(street.account()["credentials"]["key_pkcs8"], key);
    assert!(log.has("the account was made again"));
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_refuses_is_told_in_the_log_and_mail_comes_all_the_same() {
    if !is_told() {
        return;
    }
    let (log, _guard) = Log::begin();
    let street = Street::new(Manner::default()).await;
    for (name, why) in [("silent.example.test", "silent.example.test was not validated"), ("blocked.example.test", "")]
    {
        let server = street.start(&[name]);
        until(|| log.has("failed to get a certificate; the server goes on without it")).await;
        until(|| log.has(&format!("names=\"{name}\" failures=2"))).await;
        assert!(log.has(why), "{why}: {}", String::from_utf8_lossy(&log.0.lock()));
        let mut client = server.connect().await;
        client.hello().await;
        client.send(&["b@example.org"], "A: b\r\n\r\nhi\r\n", "250").await;
        assert!(!street.file(&format!("{name}.pem")).exists());
        server.stop().await;
    }
    assert!(log.has("olicy forbids") || log.has("rejectedIdentifier"), "{}", String::from_utf8_lossy(&log.0.lock()));
}

#[tokio::test]
async fn what_could_not_be_kept_is_not_asked_for() {
    if !is_told() {
        return;
    }
    let (log, _guard) = Log::begin();
    let street = Street::new(Manner::default()).await;
    let place = street.home.path().join("acme");
    fs::write(&place, "in the way").unwrap();
    let server = street.start(&["mx.example.test"]);
    until(|| log.has("failures=3")).await;
    assert!(
        log.has("failed to get a certificate; the server goes on without it") && log.has("mx.example.test.attempts")
    );
    assert!(!log.has("made an account"));
    // As soon as there is a place for it, it comes.
    fs::remove_file(&place).unwrap();
    certificate(&server, "mx.example.test", &street.roots().await).await;
    server.stop().await;
}

#[tokio::test]
async fn after_a_failure_it_waits_also_over_a_restart_until_the_operator_wants_it_now() {
    if !is_told() {
        return;
    }
    let (log, _guard) = Log::begin();
    let mut street = Street::new(Manner::default()).await;
    street.pace = AcmePace { least: Duration::ZERO, ..AcmePace::default() };
    street.pebble.end();
    let server = street.start(&["mx.example.test"]);
    until(|| street.failures() == 1 && log.has("failed to get a certificate")).await;
    server.stop().await;
    street.pebble.replace();
    let roots = street.roots().await;
    let server = street.start(&["mx.example.test"]);
    // It knows what happened before it was started, and asks nobody.
    until(|| log.has("no certificate is there, and the last attempts failed")).await;
    assert_eq!(street.failures(), 1);
    assert!(secure(&server, "mx.example.test", &roots).await.is_err());
    server.acme.as_ref().unwrap().now();
    certificate(&server, "mx.example.test", &roots).await;
    until(|| street.failures() == 0).await;
    server.stop().await;
}

#[tokio::test]
async fn another_name_needs_another_certificate_and_another_contact_is_told() {
    if !is_told() {
        return;
    }
    let street = Street::new(Manner::default()).await;
    let roots = street.roots().await;
    let server = street.start(&["mx.example.test"]);
    let first = certificate(&server, "mx.example.test", &roots).await;
    server.stop().await;
    let mut config = street.config(&["mx.example.test", "other.example.test"]);
    config.contact = vec!["mailto:hostmaster@example.test".into()];
    config.keep_key = true;
    let account = street.account();
    let server = street.start_with(config);
    // Until it comes the old one is shown.
    let second = certificate(&server, "other.example.test", &roots).await;
    assert_ne!(second, first);
    assert_eq!(key(&second), key(&first));
    assert_eq!(street.account()["contact"][0], "mailto:hostmaster@example.test");
    assert_eq!(street.account()["credentials"], account["credentials"]);
    server.stop().await;
}

#[tokio::test]
async fn a_server_for_customers_wants_to_know_whose_account_it_is() {
    if !is_told() {
        return;
    }
    let (log, _guard) = Log::begin();
    let street = Street::new(Manner { for_customers: true, ..Manner::default() }).await;
    let roots = street.roots().await;
    let server = street.start(&["mx.example.test"]);
    until(|| log.has("externalAccountRequired")).await;
    server.stop().await;
    let mut config = street.config(&["mx.example.test"]);
    config.external_account = Some(ExternalAccount { id: CUSTOMER.0.into(), key: Secret::new(CUSTOMER.1) });
    let server = street.start_with(config);
    certificate(&server, "mx.example.test", &roots).await;
    server.stop().await;
}

/// An ACME server that says when to renew (RFC 9773), and is then too busy. Pebble, as Debian has it, never says.
struct Busy {
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Busy {
    async fn start(pebble: &Pebble, window: &str) -> Self {
        let (tls, socket) = (TlsAcceptor::from(pebble.tls()), TcpListener::bind(pebble.address).await.unwrap());
        let (asked, window, base) =
            (Arc::<Mutex<Vec<_>>>::default(), window.to_owned(), format!("https://{}", pebble.address));
        let list = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let Ok(mut stream) = tls.accept(stream).await else { continue };
                let mut head = vec![0; 16 << 10];
                let len = stream.read(&mut head).await.unwrap();
                let line = String::from_utf8_lossy(&head[..len]).lines().next().unwrap_or_default().to_owned();
                let answer = match line.split(' ').nth(1).unwrap_or_default() {
                    "/dir" => ok(&format!(
                        "{{\"newNonce\":\"{base}/nonce\",\"newAccount\":\"{base}/account\",\
                         \"newOrder\":\"{base}/order\",\"renewalInfo\":\"{base}/renewal\"}}"
                    )),
                    path if path.starts_with("/renewal/") => ok(&window),
                    _ => "HTTP/1.1 503 Busy\r\nRetry-After: 7200\r\nContent-Length: 0\r\n\r\n".to_owned(),
                };
                list.lock().push(line);
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { asked, task }
    }

    fn was_asked(&self, begin: &str) -> bool {
        self.asked.lock().iter().any(|line| line.starts_with(begin))
    }
}

fn ok(json: &str) -> String {
    let length = json.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRetry-After: 21600\r\nContent-Length: {length}\r\n\r\n{json}"
    )
}

/// By what a server of ACME knows a certificate (RFC 9773 §4.1).
fn certificate_id(certificate: &[u8]) -> String {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    let issuer = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(issuer) => issuer.key_identifier.as_ref(),
        _ => None,
    });
    let encode = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
    format!("{}.{}", encode(issuer.unwrap().0), encode(parsed.raw_serial()))
}

#[tokio::test]
async fn a_server_that_wants_it_renewed_is_heeded_and_so_is_one_that_is_busy() {
    if !is_told() {
        return;
    }
    let (log, _guard) = Log::begin();
    let mut street = Street::new(Manner::default()).await;
    let roots = street.roots().await;
    let server = street.start(&["mx.example.test"]);
    let first = certificate(&server, "mx.example.test", &roots).await;
    until(|| street.failures() == 0).await;
    server.stop().await;
    street.pebble.end();
    // It has been revoked, perhaps: the window is over.
    let window = "{\"suggestedWindow\":{\"start\":\"2025-01-02T04:00:00Z\",\"end\":\"2025-01-03T04:00:00Z\"},\
                  \"explanationURL\":\"https://ca.example/why\"}";
    let busy = Busy::start(&street.pebble, window).await;
    let server = street.start(&["mx.example.test"]);
    until(|| busy.was_asked(&format!("GET /renewal/{} ", certificate_id(&first)))).await;
    until(|| log.has("the server suggests when to renew")).await;
    assert!(log.has("renewal=2025-01-0") && log.has("explanation=https://ca.example/why"));
    until(|| log.has("failed to get a certificate; the old one stays in force")).await;
    assert!(busy.was_asked("HEAD /nonce ") && log.has("/nonce: the status is 503"));
    until(|| street.attempts()["wanted_after"].is_u64()).await;
    let attempts = street.attempts();
    assert_eq!(attempts["failures"], 1);
    let wait = attempts["wanted_after"].as_u64().unwrap() - attempts["last"].as_u64().unwrap();
    assert!((7195..=7260).contains(&wait), "{wait}");
    server.stop().await;
    busy.task.abort();
}
