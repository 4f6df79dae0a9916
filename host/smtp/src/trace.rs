//! Trace fields: `Received` (RFC 5321 §4.4) and `Authentication-Results` (RFC 8601).

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use wasmail_mail::{Connection, Field, HeaderSection, HelloVerb, MethodResult, Transaction};

use crate::{Iprev, SessionConfig};

const AUTHENTICATION_RESULTS: &str = "Authentication-Results";
/// Characters of a value in a result: addresses have 254, and what is longer would not fit a line.
const VALUE_MAX: usize = 320;

/// What the host has found out about where a message comes from.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known<'a> {
    pub(crate) iprev: Option<Iprev>,
    /// What plugins have asked for, each method in its order.
    pub(crate) methods: &'a [MethodResult],
}

/// The fields that go above the header section, each with its CRLF: `Authentication-Results`, then `Received`, so that
/// whoever trusts our `Received` knows that what stands above it is ours too (RFC 8601 §5).
pub(crate) fn fields(
    config: &SessionConfig,
    connection: &Connection,
    known: Known<'_>,
    transaction: &Transaction,
    wall: SystemTime,
) -> Vec<u8> {
    let results = results(config, connection, known, transaction.smtputf8);
    let received = received(config, connection, transaction, wall);
    let mut octets = Vec::new();
    for (name, value) in [(AUTHENTICATION_RESULTS, results), ("Received", received)] {
        // Every part was checked when it came in and none has 998 octets; a host name from the configuration that
        // cannot stand in a field costs the field, not the message.
        if let Ok(field) = Field::new(name, &value) {
            octets.extend_from_slice(field.raw());
        }
    }
    octets
}

fn received(config: &SessionConfig, connection: &Connection, transaction: &Transaction, wall: SystemTime) -> String {
    let hello = connection.hello.as_ref().map_or("unknown", |hello| hello.host.as_str());
    let mut value = format!("from {hello} (");
    if let Some(info) = &connection.remote.info {
        let _ = write!(value, "{info} ");
    }
    let _ = write!(value, "{}) by {} ({})", literal(connection.remote.ip), config.hostname, config.software);
    let _ = write!(value, " with {}", protocol(connection, transaction.smtputf8));
    // RFC 8314 §4.3.
    if let Some(tls) = connection.tls.as_ref().filter(|tls| !tls.cipher.is_empty()) {
        let _ = write!(value, " tls {}", tls.cipher);
    }
    let _ = write!(value, " id {}", transaction.uuid);
    // With several recipients the field would tell each of the others (RFC 5321 §7.2).
    if let [recipient] = transaction.recipients.as_slice() {
        let _ = write!(value, " for {}", recipient.path);
    }
    let _ = write!(value, "; {}", date(wall));
    value
}

/// An address literal (RFC 5321 §4.1.3).
fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// The protocol by its registered name (RFC 3848, RFC 6531 §4.3).
fn protocol(connection: &Connection, smtputf8: bool) -> String {
    let verb = connection.hello.as_ref().map_or(HelloVerb::Helo, |hello| hello.verb);
    let base = match (verb, smtputf8) {
        (HelloVerb::Helo, _) => return "SMTP".to_owned(),
        (HelloVerb::Ehlo, true) => "UTF8SMTP",
        (HelloVerb::Ehlo, false) => "ESMTP",
        (HelloVerb::Lhlo, true) => "UTF8LMTP",
        (HelloVerb::Lhlo, false) => "LMTP",
    };
    let tls = if connection.tls.is_some() { "S" } else { "" };
    let auth = if connection.auth.is_some() { "A" } else { "" };
    format!("{base}{tls}{auth}")
}

/// The fields that a message lacks which a user hands in (RFC 6409 §8).
pub(crate) fn missing(header: &HeaderSection, uuid: &str, hostname: &str, wall: SystemTime) -> Vec<u8> {
    let mut fields = String::new();
    if header.named("Date").next().is_none() {
        let _ = write!(fields, "Date: {}\r\n", date(wall));
    }
    if header.named("Message-ID").next().is_none() {
        let _ = write!(fields, "Message-ID: <{uuid}@{hostname}>\r\n");
    }
    fields.into_bytes()
}

/// A date and time in UTC (RFC 5322 §3.3).
pub(crate) fn date(wall: SystemTime) -> String {
    let time = Timestamp::try_from(wall).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
    // The years of a clock that can be set fit the format.
    jiff::fmt::rfc2822::to_string(&time).unwrap_or_default()
}

/// The value of `Authentication-Results`: what we know ourselves, else `none` (RFC 8601 §2.2).
fn results(config: &SessionConfig, connection: &Connection, known: Known<'_>, smtputf8: bool) -> String {
    let mut value = config.hostname.clone();
    let Known { iprev, methods } = known;
    if let Some(iprev) = iprev {
        let ip = pvalue(&connection.remote.ip.to_string(), smtputf8);
        let _ = write!(value, "; iprev={} policy.iprev={ip}", iprev_result(iprev));
    }
    if let Some(auth) = &connection.auth {
        let _ = write!(value, "; auth=pass smtp.auth={}", pvalue(&auth.identity, smtputf8));
    }
    for told in methods {
        method(told, smtputf8, &mut value);
    }
    if iprev.is_none() && connection.auth.is_none() && methods.is_empty() {
        value.push_str("; none");
    }
    value
}

/// Appends one resinfo (RFC 8601 §2.2).
fn method(told: &MethodResult, smtputf8: bool, value: &mut String) {
    let _ = write!(value, "; {}={}", told.method, told.result);
    if let Some(reason) = told.reason {
        let _ = write!(value, " reason=\"{reason}\"");
    }
    for (property, of_stranger) in &told.properties {
        let _ = write!(value, " {property}={}", pvalue(of_stranger, smtputf8));
    }
}

fn iprev_result(iprev: Iprev) -> &'static str {
    match iprev {
        Iprev::Pass => "pass",
        Iprev::Fail => "fail",
        Iprev::TempError => "temperror",
        Iprev::PermError => "permerror",
    }
}

/// A value, in quotes unless it is a token with perhaps an `@` (RFC 8601 §2.2).
///
/// What does not belong into a field, which is 8-bit text without SMTPUTF8, too, becomes a question mark.
fn pvalue(text: &str, smtputf8: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_@+".contains(c);
    if !text.is_empty() && text.len() <= VALUE_MAX && text.chars().all(plain) {
        return text.to_owned();
    }
    let escaped: String = text
        .chars()
        .take(VALUE_MAX)
        .map(|c| if c.is_control() || !(c.is_ascii() || smtputf8) { '?' } else { c })
        .flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] })
        .collect();
    format!("\"{escaped}\"")
}

/// Removes the fields that claim to be our own results (RFC 8601 §5), and those of which nobody can tell whose they
/// are.
pub(crate) fn remove_forged(header: &mut HeaderSection, hostname: &str) {
    header.remove_where(|field| is_forged(field, hostname));
}

/// Whether there is any that [`remove_forged`] removes.
pub(crate) fn has_forged(header: &HeaderSection, hostname: &str) -> bool {
    header.fields().iter().any(|field| is_forged(field, hostname))
}

fn is_forged(field: &Field, hostname: &str) -> bool {
    field.is(AUTHENTICATION_RESULTS)
        && authserv_id(&field.value()).is_none_or(|id| id.trim_end_matches('.').eq_ignore_ascii_case(hostname))
}

/// The first word of the field that stands outside comments (RFC 8601 §2.2), quotes taken off.
fn authserv_id(value: &str) -> Option<String> {
    let rest = skip_comments(value)?;
    let id: String = match rest.strip_prefix('"') {
        Some(quoted) => quoted[..quoted.find('"')?].replace('\\', ""),
        None => rest.chars().take_while(|c| !c.is_whitespace() && !matches!(c, ';' | '(')).collect(),
    };
    (!id.is_empty()).then_some(id)
}

/// Skips white space and comments, which nest (RFC 5322 §3.2.2); none if one does not close.
fn skip_comments(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if depth > 0 => escaped = true,
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            c if depth > 0 || c.is_whitespace() => {}
            _ => return Some(&text[at..]),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{config, connection};
    use std::time::Duration;
    use wasmail_mail::{Auth, ForwardPath, Hello, Recipient, ReversePath, Tls};

    fn transaction(recipients: &[&str]) -> Transaction {
        let mut transaction = Transaction::new("u.1".into(), ReversePath::Null, false);
        transaction.recipients = recipients
            .iter()
            .map(|path| Recipient { path: ForwardPath::parse(path).unwrap(), parameters: Vec::new() })
            .collect();
        transaction
    }

    fn wall() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_371_396)
    }

    fn greeted() -> Connection {
        let mut connection = connection();
        connection.hello = Some(Hello { verb: HelloVerb::Ehlo, host: "client.example".into() });
        connection
    }

    #[test]
    fn received_names_both_ends_and_the_only_recipient() {
        let mut connection = greeted();
        connection.remote.info = Some("host.example".into());
        assert_eq!(
            received(&config(), &connection, &transaction(&["<b@example.test>"]), wall()),
            "from client.example (host.example [192.0.2.1]) by mx.example.test (wasmail) with ESMTP id u.1 \
             for <b@example.test>; Sun, 22 Nov 2026 18:16:36 +0000"
        );
        let many = received(&config(), &connection, &transaction(&["<b@example.test>", "<c@example.test>"]), wall());
        assert!(!many.contains(" for "), "{many}");
    }

    #[test]
    fn the_protocol_has_its_registered_name() {
        let mut connection = greeted();
        assert_eq!(protocol(&connection, false), "ESMTP");
        assert_eq!(protocol(&connection, true), "UTF8SMTP");
        connection.tls = Some(Tls {
            version: "TLSv1.3".into(),
            cipher: "x".into(),
            sni: None,
            peer_certificate: None,
            names: Vec::new(),
            exporter: None,
        });
        connection.auth = Some(Auth { identity: "a b".into(), mechanism: "PLAIN".into() });
        assert_eq!(protocol(&connection, false), "ESMTPSA");
        assert_eq!(protocol(&connection, true), "UTF8SMTPSA");
        connection.hello = Some(Hello { verb: HelloVerb::Helo, host: "c".into() });
        assert_eq!(protocol(&connection, false), "SMTP");
    }

    #[test]
    fn results_tell_what_we_know() {
        let mut connection = greeted();
        assert_eq!(results(&config(), &connection, Known::default(), false), "mx.example.test; none");
        connection.auth = Some(Auth { identity: "a \"b".into(), mechanism: "PLAIN".into() });
        assert_eq!(
            results(&config(), &connection, Known { iprev: Some(Iprev::Pass), methods: &[] }, false),
            "mx.example.test; iprev=pass policy.iprev=192.0.2.1; auth=pass smtp.auth=\"a \\\"b\""
        );
    }

    #[test]
    fn what_plugins_asked_for_is_told_and_strangers_texts_cannot_break_out() {
        let told = |value: &str| MethodResult {
            method: "dkim",
            result: "permerror",
            reason: Some("there is no key"),
            properties: vec![("header.d", "a.example".into()), ("header.i", value.into())],
        };
        let of = |value: &str, smtputf8| {
            let known = Known { iprev: None, methods: &[told(value)] };
            let value = results(&config(), &greeted(), known, smtputf8);
            let start = "mx.example.test; dkim=permerror reason=\"there is no key\" header.d=a.example header.i=";
            value.strip_prefix(start).expect("it begins so").to_owned()
        };
        assert_eq!(of("@a.example", false), "@a.example");
        assert_eq!(of("a; spf=pass \"x\\\r\n", false), "\"a; spf=pass \\\"x\\\\??\"");
        assert_eq!((of("ü@a", false), of("ü@a", true)), ("\"?@a\"".to_owned(), "\"ü@a\"".to_owned()));
        assert_eq!(of(&"a".repeat(5_000), false).len(), VALUE_MAX + 2);
        assert!(Field::new("X", &of(&"a".repeat(5_000), false)).is_ok());
    }

    #[test]
    fn forged_results_are_removed_in_any_guise() {
        for (value, stays) in [
            ("mx.example.test; spf=pass", false),
            ("MX.Example.TEST 1; spf=pass", false),
            ("(a (nested) \\) comment) mx.example.test; spf=pass", false),
            ("\"mx.example.test\"; spf=pass", false),
            ("mx.example.test.; spf=pass", false),
            ("mx.example.test(x); spf=pass", false),
            ("(never closed mx.example.test; spf=pass", false),
            ("", false),
            ("other.example; spf=pass", true),
            ("mx.example.test.evil.example; spf=pass", true),
        ] {
            let mut header = HeaderSection::default();
            header.push_line(b"authentication-RESULTS:\r\n");
            header.push_line(format!("\t{value}\r\n").as_bytes());
            header.push_line(b"Subject: mx.example.test\r\n");
            remove_forged(&mut header, "mx.example.test");
            assert_eq!(header.fields().len(), 1 + usize::from(stays), "{value}");
        }
    }
}
