//! How mail goes to other servers.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use wasmail_mail::Domain;

use super::decode::{choice, section};
use super::mistake::Mistakes;
use super::place::KeyPath;
use super::settings::{DeliveryKind, Route, Settings};

section! {
    /// Delivery to the servers that domains name in the DNS.
    Mx {
        /// Domains whose mail stays here.
        local_domains: Option<Vec<String>>,
        /// Which kind of address is tried, and which one first.
        families: Families,
        /// Whether mail to address literals is delivered.
        literals: bool,
        /// Whether mail may go to addresses of private networks.
        private: bool,
        /// Networks that it may go to, whatever they are.
        addresses: Vec<String>,
        /// Names and addresses that are ours, too.
        own: Vec<String>,
        /// Whether answers of the DNS are validated here.
        validate: bool,
        /// The keys that validation begins with, in place of those of the root zone.
        trust_anchors: Option<PathBuf>,
        /// Whether certificates are looked for in the DNS.
        dane: bool,
        /// Whether it is counted for reports what becomes of TLS.
        tls_reports: bool,
        /// Whether domains' policies by MTA-STS are looked for.
        mta_sts: bool,
        /// Port of the servers of policies.
        mta_sts_port: u16,
        /// Port of all servers.
        port: u16,
        /// Messages on their way at once, in all.
        concurrency: usize,
        /// Messages on their way at once to one domain.
        destination_concurrency: usize,
        /// Messages in a minute to one domain.
        destination_rate: Option<u32>,
        /// The longest that a domain is left alone where nobody was reached.
        suspend_longest: Duration,
        /// What holds for single domains.
        domain: Vec<MxDomain> = Vec::new(),
    }
}

section! {
    /// What holds for a single domain.
    MxDomain {
        /// Its name; with a dot in front, all below it.
        name: String,
        /// In place of `delivery.tls`.
        tls: Option<OutboundTls>,
        /// In place of `delivery.mx.destination_concurrency`.
        concurrency: Option<usize>,
        /// In place of `delivery.mx.destination_rate`.
        rate: Option<u32>,
    }
}

section! {
    /// How long another server may take for each step.
    Patience {
        /// To greet us.
        greeting: Duration,
        /// To answer a command before DATA.
        command: Duration,
        /// For a TLS handshake.
        handshake: Duration,
        /// To answer DATA.
        data: Duration,
        /// To take a piece of content.
        content: Duration,
        /// To answer the final dot.
        final_dot: Duration,
    }
}

choice! {
    /// How safe connections to other servers must be.
    OutboundTls {
        /// In the clear.
        Off = "off",
        /// TLS where there is any.
        Opportunistic = "opportunistic",
        /// TLS with a certificate that is good.
        Required = "required",
    }
}

choice! {
    /// Which kind of address is tried, and which one first.
    Families {
        /// IPv4 before IPv6.
        Ipv4First = "ipv4-first",
        /// IPv6 before IPv4.
        Ipv6First = "ipv6-first",
        /// IPv4 alone.
        Ipv4 = "ipv4",
        /// IPv6 alone.
        Ipv6 = "ipv6",
    }
}

impl Patience {
    fn all(&self) -> [(&'static str, Duration); 6] {
        [
            ("greeting", self.greeting),
            ("command", self.command),
            ("handshake", self.handshake),
            ("data", self.data),
            ("content", self.content),
            ("final_dot", self.final_dot),
        ]
    }
}

impl Mx {
    /// The networks; those that are none were reported when the settings were read.
    pub(crate) fn networks(&self) -> Vec<IpNet> {
        self.addresses.iter().filter_map(|net| net.parse().ok()).collect()
    }
}

/// Checks what types alone cannot say.
pub(super) fn validate(settings: &Settings, mistakes: &mut Mistakes) {
    let (mx, at) = (&settings.delivery.mx, KeyPath::of(&["delivery", "mx"]));
    for (key, _) in [("port", mx.port), ("mta_sts_port", mx.mta_sts_port)].into_iter().filter(|(_, port)| *port == 0) {
        mistakes.add(&at.key(key), "must be 1 at least");
    }
    super::validate::networks(&mx.addresses, &at.key("addresses"), mistakes);
    for (position, own) in mx.own.iter().enumerate() {
        if own.parse::<IpAddr>().is_err() && Domain::parse(own).is_err() {
            mistakes.add(&at.key("own").index(position), format!("`{own}` is neither a host name nor an IP address"));
        }
    }
    domains(mx, &at, mistakes);
    let delivery = &settings.delivery;
    for (key, time) in delivery.patience.all() {
        super::validate::nonzero_time(time, &KeyPath::of(&["delivery", "patience", key]), mistakes);
    }
    for (key, source, ipv4) in
        [("source_ipv4", delivery.source_ipv4, true), ("source_ipv6", delivery.source_ipv6, false)]
    {
        if source.is_some_and(|source| source.is_ipv4() != ipv4) {
            mistakes.add(&KeyPath::of(&["delivery", key]), "is an address of the other family");
        }
    }
    for (position, domain) in mx.local_domains.iter().flatten().enumerate() {
        if Domain::parse(domain).is_err() {
            mistakes.add(&at.key("local_domains").index(position), format!("`{domain}` is no domain"));
        }
    }
    if settings.delivery.kind == DeliveryKind::Mx && mx.local_domains.is_none() {
        let accepted: Vec<_> = accepted_domains(settings).map(|(_, domain)| format!("{domain:?}")).collect();
        let help = match accepted.is_empty() {
            true => {
                "name the domains whose mail stays here, or write local_domains = [] if all of it goes out".to_owned()
            }
            false => format!("the plugins accept mail for local_domains = [{}]", accepted.join(", ")),
        };
        mistakes.add_with_help(&at.key("local_domains"), "missing; delivery.kind = \"mx\" needs it", help);
    }
}

/// Checks what a route of these kinds needs, and the domains whose mail goes by it.
pub(super) fn route(settings: &Settings, route: &Route, at: &KeyPath, mistakes: &mut Mistakes) {
    match (route.kind, &route.url) {
        (DeliveryKind::Http, None) => {
            let help = "name the service that takes our mail, such as url = \"https://example.org/mail\"";
            mistakes.add_with_help(&at.key("url"), format!("missing; {at}.kind = \"http\" needs it"), help);
        }
        (_, Some(url)) => {
            if let Err(why) = wasmail_services::http::check_url(url) {
                mistakes.add(&at.key("url"), format!("`{url}` is no URL of a service: {why}"));
            }
        }
        _ => {}
    }
    for (position, domain) in route.domains.iter().enumerate() {
        let at = at.key("domains").index(position);
        if Domain::parse(domain.strip_prefix('.').unwrap_or(domain)).is_err() {
            mistakes.add(&at, format!("`{domain}` is no domain, nor one with a dot in front"));
        }
        let is_it = |other: &String| other.eq_ignore_ascii_case(domain);
        let routes = settings.route.iter().flat_map(|route| &route.domains).filter(|other| is_it(other)).count();
        if routes > 1 {
            mistakes.add(&at, format!("mail for {domain} cannot go by two routes"));
        }
        let local = settings.delivery.mx.local_domains.iter().flatten();
        if settings.delivery.kind == DeliveryKind::Mx && local.into_iter().any(is_it) {
            mistakes.add(&at, format!("mail for {domain} stays here by delivery.mx.local_domains"));
        }
    }
}

fn domains(mx: &Mx, at: &KeyPath, mistakes: &mut Mistakes) {
    let numbers = [
        ("concurrency", Some(mx.concurrency as u64)),
        ("destination_concurrency", Some(mx.destination_concurrency as u64)),
        ("destination_rate", mx.destination_rate.map(u64::from)),
    ];
    for (key, _) in numbers.into_iter().filter(|(_, number)| *number == Some(0)) {
        mistakes.add(&at.key(key), "must be 1 at least");
    }
    let mut names = HashSet::new();
    for (position, domain) in mx.domain.iter().enumerate() {
        let at = at.key("domain").index(position);
        let name = domain.name.strip_prefix('.').unwrap_or(&domain.name);
        if Domain::parse(name).is_err() {
            mistakes.add(&at.key("name"), format!("`{}` is no domain, nor one with a dot in front", domain.name));
        }
        if !names.insert(domain.name.to_ascii_lowercase()) {
            mistakes.add(&at.key("name"), format!("the domain `{}` stands here twice", domain.name));
        }
        let numbers = [("concurrency", domain.concurrency.map(|n| n as u64)), ("rate", domain.rate.map(u64::from))];
        for (key, _) in numbers.into_iter().filter(|(_, number)| *number == Some(0)) {
            mistakes.add(&at.key(key), "must be 1 at least");
        }
    }
}

/// Warns of domains whose mail is accepted here and would be sent to where the DNS says: back to here.
pub(super) fn warn(settings: &Settings, mistakes: &mut Mistakes) {
    let (DeliveryKind::Mx, Some(local)) = (settings.delivery.kind, &settings.delivery.mx.local_domains) else { return };
    for (plugin, domain) in accepted_domains(settings) {
        if !local.iter().any(|known| known.eq_ignore_ascii_case(domain)) {
            let at = KeyPath::of(&["plugin"]).index(plugin).key("config").key("domains");
            let what = format!("mail for {domain} is accepted, and goes to where the DNS says");
            mistakes.warn(&at, what, "add it to delivery.mx.local_domains if its mail stays here");
        }
    }
}

/// The domains that `builtin:local-domains` accepts mail for, each with the plugin's position.
fn accepted_domains(settings: &Settings) -> impl Iterator<Item = (usize, &str)> {
    let accepts = settings.plugin.iter().enumerate();
    let accepts = accepts.filter(|(_, plugin)| plugin.enabled && plugin.module == "builtin:local-domains");
    accepts.flat_map(|(index, plugin)| {
        let domains = plugin.config.get("domains").and_then(|domains| domains.as_array()).into_iter().flatten();
        domains.filter_map(move |domain| Some((index, domain.as_str()?)))
    })
}
