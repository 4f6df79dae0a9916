//! Certificates: the operator's, or one of our own making until there are any.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use wasmail_server::{Certificate, Tls, TlsConfig};

use crate::config::{self, KeyPath, ListenerTls, Mistakes, Settings};
use crate::paths;

/// What listeners need for TLS; none when nobody wants any, or something is wrong. Without certificates of the operator's one is
/// made, signed by itself and kept, unless this is only a check.
pub(crate) fn load(settings: &Settings, make: bool, mistakes: &mut Mistakes) -> Option<Arc<Tls>> {
    if settings.listener.iter().all(|listener| listener.tls() == ListenerTls::Off) {
        return None;
    }
    let mut certificates: Vec<_> = settings.tls.certificates.iter().map(certificate).collect();
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
        certificates.push(own);
    }
    let loaded = Tls::load(config(settings, certificates));
    loaded.map_err(|error| mistakes.add(&KeyPath::of(&["tls"]), error)).ok()
}

fn certificate(files: &config::Certificate) -> Certificate {
    Certificate { chain: files.chain.clone(), key: files.key.clone() }
}

fn config(settings: &Settings, certificates: Vec<Certificate>) -> TlsConfig {
    let tls = &settings.tls;
    TlsConfig {
        certificates,
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
