//! What is allowed and may still be a mistake.

use ipnet::IpNet;
use serde_json::Value;

use super::limits::Limits;
use super::mistake::Mistakes;
use super::place::KeyPath;
use super::settings::{DeliveryKind, LineEndings, Listener, ListenerTls, Plugin, Settings};
use super::validate::listener_limits;

/// Widest networks that are let pass without a word: a /8 is the largest that anybody owns.
const WIDEST: (u8, u8) = (8, 19);

/// Warns of what is dangerous.
pub(crate) fn warn(settings: &Settings, mistakes: &mut Mistakes) {
    for (index, plugin) in settings.plugin.iter().enumerate().filter(|(_, plugin)| plugin.enabled) {
        open_relay(plugin, &KeyPath::of(&["plugin"]).index(index), mistakes);
    }
    below_standard(&settings.limits, &KeyPath::of(&["limits"]), |_| true, mistakes);
    for (index, listener) in settings.listener.iter().enumerate() {
        let at = KeyPath::of(&["listener"]).index(index);
        normalising(listener, &at, mistakes);
        relaying(listener, &at, mistakes);
        passwords_in_the_clear(settings, listener, &at, mistakes);
        let own = |key: &str| listener.limits.as_ref().is_some_and(|own| own.contains_key(key));
        if let Some(limits) = listener_limits(settings, index, mistakes) {
            below_standard(&limits, &at.key("limits"), own, mistakes);
        }
    }
    nobody_accepts(settings, mistakes);
    durability(settings, mistakes);
    super::outbound::warn(settings, mistakes);
}

/// A plugin that may set relaying and whose configuration names nearly the whole Internet.
fn open_relay(plugin: &Plugin, at: &KeyPath, mistakes: &mut Mistakes) {
    if !plugin.grants.iter().any(|grant| grant == "relaying") {
        return;
    }
    let config = Value::Object(plugin.config.clone());
    texts(&config, &at.key("config"), &mut |at, text| {
        let Ok(net) = text.parse::<IpNet>() else { return };
        let widest = if net.addr().is_ipv4() { WIDEST.0 } else { WIDEST.1 };
        if net.prefix_len() < widest {
            let what = format!("{net} may relay: strangers can send mail to anywhere through this server");
            mistakes.warn(at, what, "list only networks whose users are yours");
        }
    });
}

/// Calls with every text below a value and its place.
fn texts(value: &Value, at: &KeyPath, found: &mut impl FnMut(&KeyPath, &str)) {
    match value {
        Value::String(text) => found(at, text),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| texts(value, &at.index(index), found)),
        Value::Object(table) => table.iter().for_each(|(key, value)| texts(value, &at.key(key), found)),
        _ => {}
    }
}

/// Limits below what every server must take (RFC 5321 §4.5.3.1), of the keys that are set at this place.
fn below_standard(limits: &Limits, at: &KeyPath, is_set: impl Fn(&str) -> bool, mistakes: &mut Mistakes) {
    let least = [
        ("command_line", limits.command_line.0, 512, "§4.5.3.1.4"),
        ("path", limits.path.0, 256, "§4.5.3.1.3"),
        ("text_line", limits.text_line.0, 1_000, "§4.5.3.1.6"),
        ("message_size", limits.message_size.0, 64 * 1024, "§4.5.3.1.7"),
        ("recipients", limits.recipients as u64, 100, "§4.5.3.1.8"),
    ];
    for (key, value, least, section) in least.into_iter().filter(|(key, value, least, _)| is_set(key) && value < least)
    {
        let what = format!("{value} is less than every server must take: good mail is refused");
        mistakes.warn(&at.key(key), what, format!("RFC 5321 {section} asks for {least} at least"));
    }
}

fn normalising(listener: &Listener, at: &KeyPath, mistakes: &mut Mistakes) {
    if listener.line_endings == LineEndings::Normalise && !listener.address.is_loopback() {
        let what = "line endings are normalised for clients from elsewhere";
        let help = "keep \"strict\" unless the clients are your own devices that cannot write CRLF";
        mistakes.warn(&at.key("line_endings"), what, help);
    }
}

fn relaying(listener: &Listener, at: &KeyPath, mistakes: &mut Mistakes) {
    if listener.relaying && !listener.address.is_loopback() {
        let what = format!("whoever reaches {} can send mail to anywhere through this server", listener.address);
        mistakes.warn(&at.key("relaying"), what, "let `builtin:relay` say who may, or listen where no stranger comes");
    }
}

fn passwords_in_the_clear(settings: &Settings, listener: &Listener, at: &KeyPath, mistakes: &mut Mistakes) {
    let in_the_clear = settings.auth.without_tls && listener.tls() != ListenerTls::Implicit;
    if listener.auth() && in_the_clear && !listener.address.is_loopback() {
        let what = format!("passwords come to {} in the clear", listener.address);
        mistakes.warn(&at.key("auth"), what, "listen where nobody can read them on the way");
    }
}

/// Without a plugin that may accept recipients or set relaying, every RCPT is refused.
fn nobody_accepts(settings: &Settings, mistakes: &mut Mistakes) {
    let accepts =
        |plugin: &Plugin| plugin.grants.iter().any(|grant| grant == "accept-recipients" || grant == "relaying");
    let relaying = settings.listener.iter().any(|listener| listener.relaying);
    if !relaying && !settings.plugin.iter().any(|plugin| plugin.enabled && accepts(plugin)) {
        let what = "no plugin may accept recipients: all mail is refused with 550";
        let help = "add `builtin:local-domains` with grants = [\"accept-recipients\"]";
        mistakes.warn(&KeyPath::of(&["plugin"]), what, help);
    }
}

fn durability(settings: &Settings, mistakes: &mut Mistakes) {
    if !settings.spool.sync {
        let what = "250 does not wait for the disk: a power cut loses acknowledged mail";
        mistakes.warn(&KeyPath::of(&["spool", "sync"]), what, "set it to true, except for measurements");
    }
    if settings.delivery.kind == DeliveryKind::Discard {
        let what = "accepted mail is thrown away";
        mistakes.warn(
            &KeyPath::of(&["delivery", "kind"]),
            what,
            "set \"maildir\", \"smtp\" or \"mx\", except for measurements",
        );
    }
    if matches!(settings.delivery.kind, DeliveryKind::Maildir | DeliveryKind::Mx) && !settings.delivery.sync {
        let what = "delivery does not wait for the disk: a power cut loses delivered mail";
        mistakes.warn(&KeyPath::of(&["delivery", "sync"]), what, "set it to true, except for measurements");
    }
}
