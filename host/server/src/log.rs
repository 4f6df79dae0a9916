//! One line a connection, one line a message. What strangers said is escaped, so that no line can be forged.

use std::fmt::{self, Display, Write};
use std::io;
use std::time::Duration;

use wasmail_mail::{Connection, Recipient};
use wasmail_policy::{Context, Results, Trail};
use wasmail_smtp::{Ended, Fate};

/// Recipients that a line names; the count says how many there were.
const RECIPIENTS_SHOWN: usize = 3;

/// Characters of one plugin's results that a line shows; there may be 16 KiB.
const SUMMARY_MAX: usize = 256;

/// Tells the fate of a message, or of a transaction that became none.
pub(crate) fn message(connection: &Connection, ended: &Ended, took: Duration) {
    let facts = &ended.transaction.facts;
    tracing::info!(
        target: "wasmail::message",
        uuid = %facts.uuid,
        tenant = ended.transaction.tenant().map(|tenant| &**tenant),
        remote = %Remote(connection),
        helo = %Helo(connection),
        from = %Escaped(&facts.reverse_path.to_string()),
        to = %Recipients(&facts.recipients),
        recipients = facts.recipients.len(),
        size = facts.size,
        verdict = verdict(&ended.fate),
        queue_id = queue_id(&ended.fate),
        reply = %Escaped(ended.reply.trim_end()),
        plugins = %Steps(&ended.transaction.trail),
        results = %Summary(&ended.transaction.results),
        duration_us = micros(took),
        "message",
    );
}

/// Tells that a client and we did not come to TLS. What the client sent in its stead may be anything.
pub(crate) fn no_tls(facts: &Connection, listener: &str, error: &io::Error) {
    let error = error.to_string();
    tracing::info!(
        target: "wasmail::connection",
        uuid = %facts.uuid,
        listener,
        remote = %Remote(facts),
        error = %Escaped(&error),
        "no TLS",
    );
}

/// Tells the fate of a connection.
pub(crate) fn connection(context: &Context, listener: &str) {
    let facts = &context.connection;
    let counters = &facts.counters;
    let took = facts.started.elapsed().unwrap_or_default();
    tracing::info!(
        target: "wasmail::connection",
        uuid = %facts.uuid,
        listener,
        remote = %Remote(facts),
        helo = %Helo(facts),
        tls = %Tls(facts),
        transactions = counters.transactions,
        accepted = counters.messages.accepted,
        deferred = counters.messages.deferred,
        rejected = counters.messages.rejected,
        errors = counters.errors,
        octets = counters.octets,
        early_talker = counters.early_talker,
        closed_by = if facts.remote.closed { "client" } else { "server" },
        last_reply = %Escaped(facts.last_response.trim_end()),
        plugins = %Steps(&context.trail),
        results = %Summary(&context.results),
        duration_us = micros(took),
        "connection",
    );
}

/// Version and cipher suite, or `-`.
struct Tls<'a>(&'a Connection);

impl fmt::Display for Tls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.tls {
            Some(tls) => write!(f, "{} {}", tls.version, tls.cipher),
            None => f.write_str("-"),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn verdict(fate: &Fate) -> &'static str {
    match fate {
        Fate::Queued(_) => "queued",
        Fate::Taken => "taken",
        Fate::Deferred => "deferred",
        Fate::Rejected => "rejected",
        Fate::Abandoned => "abandoned",
    }
}

fn queue_id(fate: &Fate) -> Option<&str> {
    if let Fate::Queued(id) = fate { Some(id) } else { None }
}

/// `mx.example.org[192.0.2.1]:4711`, as Postfix writes it.
struct Remote<'a>(&'a Connection);

impl Display for Remote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let remote = &self.0.remote;
        write!(f, "{}[{}]:{}", Escaped(remote.host.as_deref().unwrap_or("")), remote.ip, remote.port)
    }
}

struct Helo<'a>(&'a Connection);

impl Display for Helo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hello.as_ref().map_or(Ok(()), |hello| Escaped(&hello.host).fmt(f))
    }
}

struct Recipients<'a>(&'a [Recipient]);

impl Display for Recipients<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, recipient) in self.0.iter().take(RECIPIENTS_SHOWN).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}", Escaped(&recipient.path.to_string()))?;
        }
        if self.0.len() > RECIPIENTS_SHOWN { f.write_str(",...") } else { Ok(()) }
    }
}

/// Who was asked where, what they said and how long it took: `access@rcpt=accept/12us`.
struct Steps<'a>(&'a Trail);

impl Display for Steps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.steps().iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            let (plugin, hook, verdict) = (&step.plugin, step.hook, step.verdict);
            let fault = if step.fault { "!" } else { "" };
            let tenant = step.tenant.as_deref().map(|tenant| format!("{tenant}/")).unwrap_or_default();
            write!(f, "{space}{tenant}{plugin}@{hook}={verdict}{fault}/{}us", step.elapsed.as_micros())?;
        }
        if self.0.dropped() > 0 { write!(f, " +{}", self.0.dropped()) } else { Ok(()) }
    }
}

/// What the plugins found, each in a few words: `[karma: fail: bare-ip; score: -2]`.
struct Summary<'a>(&'a Results);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (plugin, results)) in self.0.iter().enumerate() {
            let (space, line) = (if at > 0 { " " } else { "" }, results.summary());
            let end = line.char_indices().nth(SUMMARY_MAX).map_or(line.len(), |(end, _)| end);
            let cut = if end < line.len() { "..." } else { "" };
            write!(f, "{space}[{plugin}: {}{cut}]", Escaped(&line[..end]))?;
        }
        Ok(())
    }
}

/// Text of a stranger's: control characters are shown as what they are.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmail_policy::ResultList;

    #[test]
    fn a_stranger_cannot_forge_a_line() {
        assert_eq!(Escaped("a\r\nb\x1b[31m\u{2028}ü").to_string(), "a\\r\\nb\\u{1b}[31m\\u{2028}ü");
    }

    #[test]
    fn a_line_says_what_plugins_found_and_cannot_be_forged_or_filled_by_them() {
        let mut results = Results::default();
        results.add("dnsbl", ResultList::Fail, "a\nb".into()).unwrap();
        results.add("karma", ResultList::Msg, "ü".repeat(1_000)).unwrap();
        let line = Summary(&results).to_string();
        assert!(line.starts_with("[dnsbl: fail: a\\nb] [karma: msg: üüü"), "{line}");
        assert!(line.ends_with("üü...]") && line.chars().count() < 300, "{line}");
        assert_eq!(Summary(&Results::default()).to_string(), "");
    }

    #[test]
    fn a_line_names_the_first_recipients() {
        let to = |n| Recipient {
            path: wasmail_mail::ForwardPath::parse(&format!("<{n}@example.org>")).unwrap(),
            parameters: Vec::new(),
        };
        let many: Vec<_> = (0..5).map(to).collect();
        assert_eq!(Recipients(&many).to_string(), "<0@example.org>,<1@example.org>,<2@example.org>,...");
        assert_eq!(Recipients(&many[..1]).to_string(), "<0@example.org>");
    }
}
