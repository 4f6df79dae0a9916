//! Delivery to a server that the operator names.

use std::net::SocketAddr;

use tokio::net::lookup_host;
use wasmail_queue::Outcome;
use wasmail_spool::Message;

use super::attempt::Delivered;
use super::smtp::{Address, Carriage, Place, Smtp};
use crate::{NextHopConfig, Security, StartError};

/// Addresses of a name that are tried in one attempt.
const ADDRESSES_MAX: usize = 8;

/// A server that takes our mail.
pub(crate) struct NextHop {
    host: String,
    port: u16,
    security: Security,
    smtp: Smtp,
}

impl NextHop {
    pub(crate) fn new(config: NextHopConfig) -> Result<Self, StartError> {
        let host = config.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let smtp = Smtp::new(config.client).map_err(StartError::Tls)?;
        Ok(Self { host, port: config.port, security: config.security, smtp })
    }

    /// Delivers to these recipients, by position.
    pub(crate) async fn carry(&self, message: &Message, recipients: &[usize]) -> Vec<Delivered> {
        match self.places().await {
            Ok(places) => self.smtp.carry(&places, message, recipients, Carriage::default()).await,
            Err(why) => Delivered::all(recipients, Outcome::Deferred, &why),
        }
    }

    async fn places(&self) -> Result<Vec<Place>, String> {
        if self.host.starts_with('/') {
            // Nobody listens on the way.
            let (address, security) = (Address::Unix(self.host.clone().into()), Security::Off);
            return Ok(vec![Place { host: "localhost".to_owned(), address, security, dane: None }]);
        }
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let found = found.map_err(|error| format!("4.4.3 failed to look up {}: {error}", self.host))?;
        let place = |address: SocketAddr| {
            let address = Address::Tcp(address);
            Place { host: self.host.clone(), address, security: self.security, dane: None }
        };
        Ok(found.take(ADDRESSES_MAX).map(place).collect())
    }
}
