//! An authority of a story's own, and certificates by it.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Certificate {
    /// The certificate, and those between it and the authority's, without that.
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    /// One that nobody knows yet.
    pub(crate) fn new() -> Self {
        Self(CertifiedIssuer::self_signed(params("the story's authority"), key()).expect("a certificate can be made"))
    }

    /// One that it vouches for.
    pub(crate) fn below(&self) -> Self {
        let made = CertifiedIssuer::signed_by(params("an authority between"), key(), &self.0);
        Self(made.expect("a certificate can be made"))
    }

    /// Its own certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names and addresses.
    pub(crate) fn certify(&self, names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = key();
        let mut params = CertificateParams::new(names).expect("they are names");
        params.is_ca = IsCa::ExplicitNoCa;
        let made = params.signed_by(&key, &self.0).expect("a certificate can be made");
        Certificate { chain: made.pem(), key: key.serialize_pem() }
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is randomness")
}
