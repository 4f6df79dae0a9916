//! The tokio host: listeners, connections, DNS and delivery.
//!
//! A [`Server`] drives a sans-IO session for each client, keeps accepted messages in the spool, and carries them to a
//! Maildir, to a next hop, or to where the DNS says. Certificates may come from an ACME server. An [`Injector`] takes what plugins send. It knows no configuration file and no wasm: the daemon gives it values and chains.

mod acme;
mod body;
mod config;
mod connection;
mod delivery;
mod dns;
mod error;
mod inject;
mod limits;
mod listener;
mod log;
mod metrics;
mod proxy;
mod server;
mod signing;
mod stop;
mod tls;
mod users;
mod wire;

pub use acme::{AcmeConfig, AcmePace, AcmeRetry, ExternalAccount};
pub use config::{
    ClientConfig, ConnectionLimits, DeliveryConfig, Destination, DestinationConfig, DnsConfig, ExchangersConfig,
    LaneConfig, ListenerConfig, ListenerTls, LocalConfig, MaildirConfig, MaildirLayout, MxConfig, NextHopConfig, Pace,
    ReportsConfig, ReverseDns, RouteConfig, Secret, Security, ServerConfig, SpoolConfig, StsConfig, WebhookConfig,
};
pub use delivery::{Order, order};
pub use error::StartError;
pub use inject::{InjectError, Injector};
pub use metrics::Metrics;
pub use server::{Server, Stopped};
pub use signing::{DkimKey, DkimKeyError};
pub use tls::{Certificate, Tls, TlsConfig, TlsError, TlsVersion};
pub use users::{UserFile, Users, UsersError};
pub use wasmail_authentication::{Signer, SigningKey};
pub use wasmail_queue::exchanges::Families;
pub use wasmail_smtp::client::{Credentials, Patience};
pub use wire::Address;
