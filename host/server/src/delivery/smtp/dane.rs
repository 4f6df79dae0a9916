//! DANE: certificates that the DNS names (RFC 6698, RFC 7672).

use std::sync::Arc;

use ring::digest::{SHA256, SHA512, digest};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use wasmail_services::dns::Tlsa;

/// DANE-TA: an authority of the server's own.
const AUTHORITY: u8 = 2;
/// DANE-EE: the server's own certificate; neither its names nor its dates matter (RFC 7672 §3.1.1).
const END_ENTITY: u8 = 3;

/// Whether a record can be used for mail (RFC 7672 §3.1).
pub(in crate::delivery) fn is_usable(record: &Tlsa) -> bool {
    let length = match record.matching_type {
        0 => !record.data.is_empty(),
        1 => record.data.len() == SHA256.output_len(),
        2 => record.data.len() == SHA512.output_len(),
        _ => false,
    };
    matches!(record.certificate_usage, AUTHORITY | END_ENTITY) && record.selector <= 1 && length
}

/// Whether a chain is what one of these records says; why not.
pub(super) fn verify(
    records: &[Tlsa],
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<(), String> {
    let (end_entity, between) = chain.split_first().ok_or("there is no certificate")?;
    let of_usage = |usage| records.iter().filter(move |record| record.certificate_usage == usage);
    if of_usage(END_ENTITY).any(|record| matches(record, end_entity)) {
        return Ok(());
    }
    let is_authority =
        |certificate: &&CertificateDer<'_>| of_usage(AUTHORITY).any(|record| matches(record, certificate));
    let Some(authority) = chain.iter().find(is_authority) else {
        return Err("it is none that the domain's TLSA records name".to_owned());
    };
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned()).map_err(|error| error.to_string())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    let verifier = verifier.map_err(|error| error.to_string())?;
    let verified = verifier.verify_server_cert(end_entity, between, name, &[], UnixTime::now());
    verified.map(drop).map_err(|error| error.to_string())
}

fn matches(record: &Tlsa, certificate: &CertificateDer<'_>) -> bool {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let selected = match (record.selector, &parsed) {
        (0, _) => certificate.as_ref(),
        (1, Ok((_, certificate))) => certificate.tbs_certificate.subject_pki.raw,
        _ => return false,
    };
    match record.matching_type {
        0 => selected == record.data,
        1 => digest(&SHA256, selected).as_ref() == record.data,
        2 => digest(&SHA512, selected).as_ref() == record.data,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};
    use rustls::crypto::ring::default_provider;

    /// A server's certificate, that of its authority, and the server's public key.
    fn certificates(name: &str) -> (Vec<CertificateDer<'static>>, Vec<u8>) {
        let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut of_authority = CertificateParams::default();
        of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = of_authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(of_authority, authority_key);
        let own = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        (vec![own.der().clone(), authority.der().clone()], key.subject_public_key_info())
    }

    fn record(certificate_usage: u8, selector: u8, matching_type: u8, data: &[u8]) -> Tlsa {
        Tlsa { certificate_usage, selector, matching_type, data: data.to_vec() }
    }

    fn is_good(record: Tlsa, chain: &[CertificateDer<'_>], name: &str) -> bool {
        assert!(is_usable(&record));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verify(&[record], chain, &name, &Arc::new(default_provider())).is_ok()
    }

    #[test]
    fn a_certificate_of_its_own_needs_no_good_name() {
        let (chain, key) = certificates("one.example.test");
        let sha256 = |octets: &[u8]| digest(&SHA256, octets).as_ref().to_vec();
        let sha512 = |octets: &[u8]| digest(&SHA512, octets).as_ref().to_vec();
        for good in [
            record(3, 0, 0, &chain[0]),
            record(3, 0, 1, &sha256(&chain[0])),
            record(3, 1, 0, &key),
            record(3, 1, 1, &sha256(&key)),
            record(3, 1, 2, &sha512(&key)),
        ] {
            assert!(is_good(good, &chain, "another.example.test"));
        }
        for bad in [record(3, 1, 1, &sha256(&chain[0])), record(3, 0, 1, &sha256(&chain[1]))] {
            assert!(!is_good(bad, &chain, "one.example.test"));
        }
    }

    #[test]
    fn a_certificate_by_the_authority_needs_a_good_name() {
        let (chain, _) = certificates("one.example.test");
        let by_authority = record(2, 0, 1, digest(&SHA256, &chain[1]).as_ref());
        assert!(is_good(by_authority.clone(), &chain, "one.example.test"));
        assert!(!is_good(by_authority.clone(), &chain, "another.example.test"));
        let (other, _) = certificates("one.example.test");
        assert!(!is_good(by_authority.clone(), &other, "one.example.test"));
        // The authority in the chain has not signed it.
        assert!(!is_good(by_authority, &[other[0].clone(), chain[1].clone()], "one.example.test"));
    }

    #[test]
    fn records_that_are_not_for_mail_are_no_use() {
        for odd in [
            record(1, 1, 1, &[0; 32]),
            record(0, 0, 1, &[0; 32]),
            record(3, 2, 1, &[0; 32]),
            record(3, 1, 1, &[0; 31]),
            record(3, 1, 3, &[0; 32]),
            record(3, 1, 0, &[]),
        ] {
            assert!(!is_usable(&odd), "{odd:?}");
        }
    }
}
