//! The configuration: read in layers, checked as a whole, every mistake with its place.

mod acme;
mod danger;
mod decode;
mod limits;
mod load;
mod mistake;
mod outbound;
mod place;
mod quotas;
#[cfg(test)]
mod reference_test;
mod settings;
mod validate;

use std::path::{Path, PathBuf};

use decode::Decode;

pub(crate) use danger::warn;
pub(crate) use decode::{Size, nearest};
pub(crate) use load::REFERENCE;
pub(crate) use mistake::{Mistakes, Severity};
pub(crate) use outbound::{Families, Mx, MxDomain, OutboundTls, Patience};
pub(crate) use place::{KeyPath, Sources};
pub(crate) use quotas::PluginKv;
pub(crate) use settings::{
    Auth, Certificate, Chunking, DeliveryKind, Instance, LineEndings, Listener, ListenerKind, ListenerTls, Log,
    LogFormat, MaildirLayout, Mechanism, OnFault, Plugin, ReverseDns, Route, Settings, TlsVersion,
};
pub(crate) use validate::{listener_limits, next_hop};

/// A configuration as far as it could be read.
pub(crate) struct Loaded {
    /// The settings; none when there are mistakes in reading them.
    pub(crate) settings: Option<Settings>,
    /// What was written where.
    pub(crate) sources: Sources,
    /// What is wrong.
    pub(crate) mistakes: Mistakes,
    /// What relative paths are counted from.
    pub(crate) base: PathBuf,
}

impl Loaded {
    /// Reads the layers and checks all that can be checked without a plugin.
    pub(crate) fn read(file: Option<&Path>, environment: &[(String, String)]) -> Self {
        let mut mistakes = Mistakes::default();
        let (sources, merged) = load::merge(file, environment, &mut mistakes);
        let root = KeyPath::default();
        let mut settings = merged.and_then(|merged| Settings::decode(&merged, &root, &mut mistakes));
        let base = load::base(file);
        if let Some(settings) = &mut settings {
            resolve(settings, &base);
            validate::validate(settings, &mut mistakes);
        }
        Self { settings, sources, mistakes, base }
    }

    /// Reads the layers with the environment of this process.
    pub(crate) fn read_here(file: Option<&Path>) -> Self {
        let environment: Vec<_> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::read(file, &environment)
    }

    /// Everything that is wrong, as text.
    pub(crate) fn report(&self) -> String {
        self.mistakes.report(&self.sources)
    }
}

/// The data directory counts from the configuration file, and what is kept in it from there.
fn resolve(settings: &mut Settings, base: &Path) {
    settings.server.data_dir = base.join(&settings.server.data_dir);
    settings.delivery.path = settings.server.data_dir.join(&settings.delivery.path);
    let of_tls = settings.tls.certificates.iter_mut().flat_map(|files| [&mut files.chain, &mut files.key]);
    let of_dkim = settings.dkim.iter_mut().map(|dkim| &mut dkim.key);
    let of_acme = settings.acme.roots.iter_mut().chain(&mut settings.acme.external_account);
    let of_api = settings.api.certificate.iter_mut().chain(&mut settings.api.key);
    let of_files = settings.tls.client_ca.iter_mut().chain(&mut settings.srs.secrets).chain(of_acme).chain(of_api);
    for path in of_tls.chain(of_dkim).chain(of_files) {
        *path = base.join(&*path);
    }
    if let Some(users) = &mut settings.auth.users {
        *users = settings.server.data_dir.join(&*users);
    }
    let credentials = settings.route.iter_mut().flat_map(|route| [&mut route.credentials, &mut route.authorization]);
    let credentials = credentials.filter_map(Option::as_mut);
    let delivery = &mut settings.delivery;
    for path in
        credentials.chain(&mut delivery.credentials).chain(&mut delivery.tls_ca).chain(&mut delivery.mx.trust_anchors)
    {
        *path = base.join(&*path);
    }
    for path in settings.route.iter_mut().filter_map(|route| route.path.as_mut()) {
        *path = settings.server.data_dir.join(&*path);
    }
}
