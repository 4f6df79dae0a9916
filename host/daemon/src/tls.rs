//! Certificates: the operator's, those from an ACME server, or one of our own making until there are any.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use wasmail_server::{AcmeConfig, AcmePace, Certificate, ExternalAccount, Secret, Tls, TlsConfig};

use crate::config::{self, KeyPath, ListenerTls, Mistakes, Settings};
use crate::{outbound, paths};

/// What listeners need for TLS; none when nobody wants any, or something is wrong. Without certificates of the operator's one is
/// made, signed by itself and kept, unless this is only a check.
pub(crate) fn load(settings: &Settings, make: bool, mistakes: &mut Mistakes) -> Option<Arc<Tls>> {
    if settings.listener.iter().all(|listener| listener.tls() == ListenerTls::Off) {
        return None;
    }
    if let Some(path) = &settings.acme.external_account
        && let Err(error) = external_account(path)
    {
        mistakes.add(&KeyPath::of(&["acme", "external_account"]), format!("{}: {error}", path.display()));
    }
    let certificates: Vec<_> = settings.tls.certificates.iter().map(certificate).collect();
    let mut fallback = None;
    if certificates.is_empty() {
        let own = own(settings);
        if let Err(error) = prepare(&own, &settings.server.hostname, make) {
            let what = format!("failed to make a certificate in {}: {error}", paths::tls(settings).display());
            mistakes.add_with_help(&KeyPath::of(&["tls"]), what, "name one in tls.certificates, or mend the directory");
            return None;
        }
        if !own.chain.exists() {
            return None;
        }
        fallback = Some(own);
    }
    let loaded = Tls::load(config(settings, certificates, fallback));
    loaded.map_err(|error| mistakes.add(&KeyPath::of(&["tls"]), error)).ok()
}

/// Certificates from an ACME server, where the operator wants them. Its files were read when the settings were checked.
pub(crate) fn acme(settings: &Settings) -> Option<AcmeConfig> {
    let acme = &settings.acme;
    acme.agreed.then(|| AcmeConfig {
        directory: acme.directory.clone(),
        contact: acme.contact.clone(),
        external_account: acme.external_account.as_deref().and_then(|path| external_account(path).ok()),
        names: acme.names(&settings.server.hostname),
        listen: acme.listen,
        roots: acme.roots.clone(),
        resolver: outbound::resolver(settings),
        dir: paths::acme(settings),
        keep_key: acme.keep_key,
        pace: AcmePace::default(),
    })
}

/// The key's identifier on the first line of a file, the key on the second.
fn external_account(path: &Path) -> io::Result<ExternalAccount> {
    let text = fs::read_to_string(path)?;
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let is_base64url = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_' | b'=');
    match lines[..] {
        [id, key] if !id.is_empty() && !key.is_empty() && key.bytes().all(is_base64url) => {
            Ok(ExternalAccount { id: id.to_owned(), key: Secret::new(key) })
        }
        _ => Err(io::Error::other("it has not two lines: the key's identifier, and the key in base64url")),
    }
}

fn certificate(files: &config::Certificate) -> Certificate {
    Certificate { chain: files.chain.clone(), key: files.key.clone() }
}

fn config(settings: &Settings, certificates: Vec<Certificate>, fallback: Option<Certificate>) -> TlsConfig {
    let tls = &settings.tls;
    TlsConfig {
        certificates,
        awaited: acme(settings).iter().flat_map(AcmeConfig::files).collect(),
        fallback,
        minimum: match tls.minimum {
            config::TlsVersion::V1_2 => wasmail_server::TlsVersion::V1_2,
            config::TlsVersion::V1_3 => wasmail_server::TlsVersion::V1_3,
        },
        client_ca: tls.client_ca.clone(),
        client_certificate_required: tls.client_certificate_required,
        handshake_timeout: tls.handshake_timeout,
    }
}

/// Where the certificate of our own making lies.
fn own(settings: &Settings) -> Certificate {
    let dir = paths::tls(settings);
    Certificate { chain: dir.join("self-signed.pem"), key: dir.join("self-signed.key") }
}

/// Makes it, if it is not there and may be made. It stays, so that whoever has pinned it goes on trusting it.
fn prepare(own: &Certificate, hostname: &str, make: bool) -> io::Result<()> {
    if !make || (own.chain.exists() && own.key.exists()) {
        return Ok(());
    }
    let (certificate, key) = make_certificate(hostname).map_err(io::Error::other)?;
    if let Some(dir) = own.chain.parent() {
        fs::create_dir_all(dir)?;
    }
    write(&own.key, &key, 0o600)?;
    write(&own.chain, &certificate, 0o644)?;
    tracing::warn!(certificate = %own.chain.display(), "made a certificate that is signed by itself");
    Ok(())
}

/// A certificate and its key, PEM.
fn make_certificate(hostname: &str) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(vec![hostname.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, hostname);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_account_is_two_lines() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let read = |text: &str| {
            fs::write(file.path(), text).expect("it can be written");
            external_account(file.path()).map(|account| account.id).map_err(|error| error.to_string())
        };
        assert_eq!(read("customer-1\nzWNDZM6e_Q-w==\n"), Ok("customer-1".to_owned()));
        for bad in ["", "customer-1\n", "customer-1\nno base64\n", "a\nb\nc\n", "\nb\n"] {
            assert!(read(bad).is_err_and(|error| error.contains("two lines")), "{bad:?}");
        }
    }
}
