//! What lies where in the data directory.

use std::path::PathBuf;

use crate::config::Settings;

/// Accepted messages until they are delivered.
pub(crate) fn spool(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("spool")
}

/// The operator's orders about single messages.
pub(crate) fn orders(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("orders")
}

/// Compiled plugins.
pub(crate) fn cache(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("cache")
}

/// The certificate of our own making.
pub(crate) fn tls(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("tls")
}

/// Account and certificates from ACME servers.
pub(crate) fn acme(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("acme")
}

/// Policies of other domains, by MTA-STS.
pub(crate) fn mta_sts(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("mta-sts")
}

/// What became of TLS with other servers.
pub(crate) fn tls_reports(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("tls-reports")
}

/// Tenants and what they own.
pub(crate) fn tenants(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("tenants")
}

/// The operator's first token of the API.
pub(crate) fn api_token(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("api.token")
}

/// What plugins keep.
pub(crate) fn kv(settings: &Settings) -> PathBuf {
    settings.server.data_dir.join("kv.redb")
}

/// The spool's settings as the spool takes them.
pub(crate) fn spool_options(settings: &Settings) -> wasmail_spool::Options {
    use wasmail_spool::Durability;
    let spool = &settings.spool;
    wasmail_spool::Options {
        durability: if spool.sync { Durability::Synced } else { Durability::Unsynced },
        segment_size: spool.segment_size.0,
        inline_max: spool.inline_max.len(),
        messages_max: spool.messages_max,
        min_free: spool.min_free.0,
    }
}
