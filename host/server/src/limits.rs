//! How many clients there are, in all and from each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::ConnectionLimits;

/// Counts the connections.
#[derive(Debug)]
pub(crate) struct Census {
    limits: ConnectionLimits,
    total: AtomicUsize,
    by_net: Mutex<HashMap<IpAddr, usize>>,
    emptied: Notify,
}

/// Which limit stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    Total,
    Address,
}

impl Census {
    pub(crate) fn new(limits: ConnectionLimits) -> Arc<Self> {
        let (total, by_net, emptied) = (AtomicUsize::new(0), Mutex::default(), Notify::new());
        Arc::new(Self { limits, total, by_net, emptied })
    }

    /// Lets a client in, for as long as it keeps the place.
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr) -> Result<Place, Crowded> {
        let mut place = self.admit_proxy()?;
        place.belongs_to(ip)?;
        Ok(place)
    }

    /// Connections at this moment.
    pub(crate) fn len(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Ends when nobody is there.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Lets a proxy in, which counts as whoever it speaks for, once that is known.
    pub(crate) fn admit_proxy(self: &Arc<Self>) -> Result<Place, Crowded> {
        // As above, so that nobody comes between the look and the count.
        let _by_net = self.by_net.lock();
        if self.total.load(Ordering::Relaxed) >= self.limits.total {
            return Err(Crowded::Total);
        }
        self.total.fetch_add(1, Ordering::Relaxed);
        Ok(Place { census: Arc::clone(self), net: None })
    }

    fn leave(&self, net: Option<IpAddr>) {
        let mut by_net = self.by_net.lock();
        if let Some(net) = net
            && let Some(here) = by_net.get_mut(&net)
        {
            *here -= 1;
            if *here == 0 {
                by_net.remove(&net);
            }
        }
        if self.total.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.emptied.notify_waiters();
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 customer has at least.
fn net(ip: IpAddr) -> IpAddr {
    match wasmail_mail::canonical(ip) {
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        ip => ip,
    }
}

/// A client's place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    census: Arc<Census>,
    /// None of a proxy that has not said yet whom it speaks for.
    net: Option<IpAddr>,
}

impl Place {
    /// The place is one of this address from now on.
    pub(crate) fn belongs_to(&mut self, ip: IpAddr) -> Result<(), Crowded> {
        let net = net(ip);
        let mut by_net = self.census.by_net.lock();
        let here = by_net.get(&net).copied().unwrap_or_default();
        if here >= self.census.limits.per_address {
            return Err(Crowded::Address);
        }
        by_net.insert(net, here + 1);
        self.net = Some(net);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.census.leave(self.net);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_when_its_client_has_gone() {
        let census = Census::new(ConnectionLimits { total: 3, per_address: 2 });
        let first = census.admit(ip("192.0.2.1")).unwrap();
        let _second = census.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(census.admit(ip("192.0.2.1")).unwrap_err(), Crowded::Address);
        let _third = census.admit(ip("192.0.2.2")).unwrap();
        assert_eq!(census.admit(ip("192.0.2.3")).unwrap_err(), Crowded::Total);
        drop(first);
        assert!(census.admit(ip("192.0.2.1")).is_ok());
        assert_eq!(census.by_net.lock().len(), 2);
    }

    #[test]
    fn who_comes_by_a_proxy_counts_as_himself() {
        let census = Census::new(ConnectionLimits { total: 3, per_address: 1 });
        let mut places = [census.admit_proxy().unwrap(), census.admit_proxy().unwrap(), census.admit_proxy().unwrap()];
        assert_eq!(census.admit_proxy().unwrap_err(), Crowded::Total);
        places[0].belongs_to(ip("192.0.2.1")).unwrap();
        assert_eq!(places[1].belongs_to(ip("192.0.2.1")), Err(Crowded::Address));
        places[1].belongs_to(ip("192.0.2.2")).unwrap();
        drop(places);
        assert_eq!((census.len(), census.by_net.lock().len()), (0, 0));
    }

    #[test]
    fn one_customers_ipv6_addresses_count_as_one() {
        let census = Census::new(ConnectionLimits { total: 9, per_address: 1 });
        let _place = census.admit(ip("2001:db8:0:1::1")).unwrap();
        assert_eq!(census.admit(ip("2001:db8:0:1:ffff::2")).unwrap_err(), Crowded::Address);
        assert!(census.admit(ip("2001:db8:0:2::1")).is_ok());
    }
}
