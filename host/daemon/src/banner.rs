//! What is printed at the start: where it listens, who judges, where mail goes, and how to try it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use wasmail_server::Address;

use crate::config::{DeliveryKind, MaildirLayout, Settings};
use crate::out::plain;
use crate::paths;
use crate::plugins::{LoadedPlugin, Plugins};
use crate::wiring::SOFTWARE;

/// The last line of it, for whoever waits until the server listens.
const READY: &str = "ready";

/// Where else somebody listens.
#[derive(Default)]
pub(crate) struct Extra {
    /// For challenges of an ACME server.
    pub(crate) acme: Option<SocketAddr>,
    /// For the API.
    pub(crate) api: Option<SocketAddr>,
}

/// The banner, several lines.
pub(crate) fn text(
    settings: &Settings,
    plugins: &Plugins,
    addresses: &[Address],
    extra: &Extra,
    file: Option<&Path>,
) -> String {
    let mut text = format!("{SOFTWARE}, {}\n\n", source(file));
    for (listener, address) in settings.listener.iter().zip(addresses) {
        let _ = writeln!(text, "listening on {address} ({})", listener.name);
    }
    if let Some(address) = extra.api {
        let scheme = if settings.api.certificate.is_some() { "https" } else { "http" };
        let _ = writeln!(
            text,
            "the API answers on {scheme}://{address}/v1, a token is in {}",
            absolute(&paths::api_token(settings))
        );
    }
    if let Some(address) = extra.acme {
        let names = settings.acme.names(&settings.server.hostname);
        let firsts: Vec<_> = names.iter().filter_map(|names| names.first()).map(String::as_str).collect();
        let directory = plain(&settings.acme.directory);
        let _ = writeln!(text, "certificates for {} come from {directory}", firsts.join(", "));
        let _ = writeln!(text, "its challenges are answered on {address}");
    }
    text.push_str(&plugin_lines(plugins.loaded()));
    let _ = writeln!(text, "mail goes {}", destination(settings));
    let _ = writeln!(text, "data are in {}", absolute(&settings.server.data_dir));
    if let Some(line) = try_line(settings, addresses) {
        let _ = writeln!(text, "\ntry it:\n  {line}\n");
    }
    text + READY
}

fn source(file: Option<&Path>) -> String {
    match file {
        Some(path) => format!("configured by {}", path.display()),
        None => "with its embedded configuration (`wasmail config reference` prints it)".to_owned(),
    }
}

/// One line for each plugin, in columns, in the order in which they are asked.
fn plugin_lines(plugins: &[LoadedPlugin]) -> String {
    if plugins.is_empty() {
        return "no plugins: all recipients are refused\n".to_owned();
    }
    let rows: Vec<_> = plugins.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2].map(width);
    let mut text = "plugins, in the order in which they are asked:\n".to_owned();
    for [name, version, hash, hooks] in &rows {
        let [w0, w1, w2] = widths;
        let _ = writeln!(text, "  {name:w0$}  {version:w1$}  {hash:w2$}  {hooks}");
    }
    text
}

fn row(plugin: &LoadedPlugin) -> [String; 4] {
    let info = plugin.info();
    let hooks = info.hook_names();
    let hash = format!("sha256:{}", &info.sha256[..12]);
    [plugin.name.to_string(), plain(&info.manifest.version), hash, hooks.join(" ")]
}

fn destination(settings: &Settings) -> String {
    let delivery = &settings.delivery;
    match delivery.kind {
        DeliveryKind::Maildir if delivery.layout == MaildirLayout::PerRecipient => {
            format!("to Maildirs: {}/<domain>/<local-part>", absolute(&delivery.path))
        }
        DeliveryKind::Maildir => format!("to the Maildir {}", absolute(&delivery.path)),
        DeliveryKind::Smtp => format!("by SMTP to {}", delivery.next_hop.as_deref().unwrap_or_default()),
        DeliveryKind::Lmtp => format!("by LMTP to {}", delivery.next_hop.as_deref().unwrap_or_default()),
        // Routes alone have it.
        DeliveryKind::Http => "by HTTP".to_owned(),
        DeliveryKind::Mx => {
            let local = delivery.mx.local_domains.as_deref().unwrap_or_default().join(", ");
            match local.as_str() {
                "" => "to where the DNS says".to_owned(),
                local => format!("to Maildirs in {} for {local}, else to where the DNS says", absolute(&delivery.path)),
            }
        }
        DeliveryKind::Discard => "nowhere: it is thrown away".to_owned(),
    }
}

fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.display().to_string()
}

/// A command that sends one message to the first listener, for a domain that is ours if we can tell one.
fn try_line(settings: &Settings, addresses: &[Address]) -> Option<String> {
    let local = settings.plugin.iter().find(|plugin| plugin.enabled && plugin.module == "builtin:local-domains")?;
    let domain = local.config.get("domains")?.as_array()?.first()?.as_str()?;
    let address = reachable(addresses.iter().find_map(Address::tcp)?);
    Some(format!("swaks --server {address} --from you@example.org --to somebody@{}", plain(domain)))
}

/// The address itself, or loopback where any address will do.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
