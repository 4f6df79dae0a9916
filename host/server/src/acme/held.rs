//! A certificate that there is.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use instant_acme::CertificateIdentifier;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, Der, ServerName};
use x509_parser::extensions::ParsedExtension;
use x509_parser::parse_x509_certificate;

use super::schedule::Validity;
use crate::tls::{self, Certificate};

/// What is to be known of a certificate to renew it.
pub(super) struct Held {
    pub(super) validity: Validity,
    /// What the ACME server knows it by (RFC 9773 §4.1).
    pub(super) id: Option<CertificateIdentifier<'static>>,
}

impl Held {
    /// Reads a certificate that is good for these names; why it is not, otherwise.
    pub(super) fn read(file: &Path, names: &[String]) -> Result<Self, String> {
        let files = Certificate { chain: file.to_owned(), key: file.to_owned() };
        let certified = tls::certified(&files, &ring::default_provider()).map_err(|error| error.to_string())?;
        let is_for =
            |name: &&String| ServerName::try_from(name.as_str()).is_ok_and(|name| tls::is_for(&certified, &name));
        if let Some(name) = names.iter().find(|name| !is_for(name)) {
            return Err(format!("{}: it is not for {name}", file.display()));
        }
        Self::parse(&certified.cert[0]).ok_or_else(|| format!("{}: it is no X.509 certificate", file.display()))
    }

    fn parse(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        let moment = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let validity = certificate.validity();
        let validity =
            Validity { from: moment(validity.not_before.timestamp()), until: moment(validity.not_after.timestamp()) };
        let issuer = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(issuer) => issuer.key_identifier.as_ref(),
            _ => None,
        });
        let serial = certificate.tbs_certificate.raw_serial();
        let id = issuer.map(|issuer| CertificateIdentifier::new(Der::from_slice(issuer.0), Der::from_slice(serial)));
        Some(Self { validity, id: id.map(CertificateIdentifier::into_owned) })
    }
}
