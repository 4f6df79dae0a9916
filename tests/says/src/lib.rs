//! A guest that answers at each hook what it is told to: with it, dialogues hold the server through WIT at every hook.
//!
//! It exports all hooks. Where nothing is said about one, it has no opinion; that it was asked is in its results.

use std::collections::HashMap;
use std::io::Read;

use serde::Deserialize;
use wasmail_guest::{
    AuthAttempt, Banner, Changes, CommandOutcome, ConnectOutcome, Connection, Denial, DenyOutcome, Failure, Fate,
    Message, ObjectingOutcome, Outcome, Part, Plugin, Recipient, Refusal, ReplyingOutcome, Scope, Transaction, geo,
    http, mail_auth, plugin, public_suffix, secret, tcp,
};

/// What to say at which hook, by the hook's name: a verdict's name, and perhaps a text after a space.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Says(HashMap<String, String>);

/// What is to be said at one hook.
enum Saying<'a> {
    Next,
    Accept(Option<&'a str>),
    Refuse(Refusal, Option<&'a str>),
    ReadAs(&'a str),
}

impl Says {
    fn at(&self, hook: &str) -> Saying<'_> {
        let Some(saying) = self.0.get(hook) else { return Saying::Next };
        let (verdict, text) =
            saying.split_once(' ').map_or((saying.as_str(), None), |(verdict, text)| (verdict, Some(text)));
        match verdict {
            "next" => Saying::Next,
            "accept" | "overturn" => Saying::Accept(text),
            "read-as" => Saying::ReadAs(text.unwrap_or_default()),
            "deny" => Saying::Refuse(Refusal::Deny, text),
            "deny-soft" => Saying::Refuse(Refusal::DenySoft, text),
            "deny-disconnect" => Saying::Refuse(Refusal::DenyDisconnect, text),
            "deny-soft-disconnect" => Saying::Refuse(Refusal::DenySoftDisconnect, text),
            "disconnect" => Saying::Refuse(Refusal::Disconnect, text),
            // A trap: the text says why.
            other => panic!("told to say {other}"),
        }
    }

    /// At hooks that decide nothing: a note for the next message's header, and what the hook alone can do.
    fn changes(&self, hook: &str) -> Changes {
        let changes = Changes::none().msg(Scope::Connection, hook);
        match self.0.get(hook) {
            Some(line) if hook == "capabilities" => changes.add_capability(line.as_str()),
            _ => changes,
        }
    }
}

/// Status and body of what is at a URL, or why there is none.
fn fetched(url: &str) -> String {
    match http::get(url).fetch() {
        Ok(response) => format!("{} {}", response.status, String::from_utf8_lossy(&response.body)),
        Err(failure) => format!("{failure:?}"),
    }
}

/// The code of a text by a secret, and whether it is verified.
fn code(name: &str) -> String {
    let verified = |code: &[u8]| secret::verify_hmac_sha256(name, b"Hi There", code);
    match secret::hmac_sha256(name, b"Hi There") {
        Ok(code) => {
            let hex: String = code.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("{hex} {:?}", verified(&code))
        }
        Err(failure) => format!("{failure:?}"),
    }
}

/// Country, city and AS of an address.
fn placed(address: &str) -> String {
    match geo::lookup(address) {
        Ok(Some(place)) => format!("{:?} {:?} {:?}", place.country_code(), place.city, place.as_organization),
        other => format!("{other:?}"),
    }
}

/// What a service answers to a line: `ENDPOINT TEXT`.
fn answered(words: &str) -> String {
    let (endpoint, text) = words.split_once(' ').unwrap_or_default();
    let answer = tcp::connect(endpoint).and_then(|service| {
        service.send(format!("{text}\n"))?;
        service.receive_until(b"\n", 1_000)
    });
    answer.map_or_else(|failure| format!("{failure:?}"), |line| String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Sends the message to a service twice: as the host has it, and as it is read here.
fn sent_twice(endpoint: &str, m: &Message) -> Result<(), Failure> {
    let service = tcp::connect(endpoint)?;
    let sent = service.send_message(m, tcp::Content::Message, tcp::Framing::None)?;
    service.finish()?;
    service.receive_all(100)?;
    let service = tcp::connect(endpoint)?;
    let fields = (0..).map_while(|at| m.raw_field(at));
    service.send(fields.collect::<Vec<_>>().concat())?;
    service.send("\r\n")?;
    let mut body = Vec::new();
    m.body().read_to_end(&mut body).expect("the message can be read");
    service.send(&body)?;
    service.finish()?;
    service.receive_all(100)?;
    assert_eq!(sent, m.size(), "the size that it is said to have");
    Ok(())
}

/// What is said of the client by the domains of its greeting and its reverse-path.
fn spf() -> String {
    match mail_auth::spf() {
        Ok(spf) => {
            format!("{} {} {:?}", spf.helo.verdict.as_str(), spf.mail_from.verdict.as_str(), spf.mail_from.explanation)
        }
        Err(failure) => format!("{failure:?}"),
    }
}

/// What is said of a message, by each method.
fn origin() -> String {
    let told = || {
        let signature = |told: &mail_auth::DkimResult| {
            format!("{} {:?} {:?}", told.verdict.as_str(), told.algorithm.as_deref().unwrap_or("?"), told.key_bits)
        };
        let signatures: Vec<_> = mail_auth::dkim()?.iter().map(signature).collect();
        let (dmarc, arc) = (mail_auth::dmarc()?, mail_auth::arc()?);
        let of_dmarc = (dmarc.verdict.as_str(), dmarc.disposition.as_str(), dmarc.organisational_domain);
        let dmarc = format!("{} {} {:?}", of_dmarc.0, of_dmarc.1, of_dmarc.2);
        Ok::<_, Failure>(format!("{}; {dmarc}; {} {}", signatures.join(", "), arc.verdict.as_str(), arc.instance))
    };
    told().unwrap_or_else(|failure| format!("{failure:?}"))
}

/// An outcome that may accept without a text.
macro_rules! answer {
    ($self:ident, $hook:literal, $outcome:ident, $accept:expr) => {
        match $self.at($hook) {
            Saying::Next | Saying::ReadAs(_) => $outcome::next(),
            Saying::Accept(text) => $accept(text),
            // Without lines the host's own text is heard.
            Saying::Refuse(refusal, text) => $outcome::refuse(refusal, text.unwrap_or_default()),
        }
        .msg(Scope::Connection, $hook)
    };
}

#[plugin(name = "says", needs = ["accept-recipients", "take-messages", "overturn-denials"])]
impl Plugin for Says {
    type Config = Self;

    fn connect_init(&self, _: &Connection) -> Changes {
        self.changes("connect-init")
    }

    fn lookup_rdns(&self, _: &Connection) -> Outcome {
        answer!(self, "lookup-rdns", Outcome, |_| Outcome::accept())
    }

    fn connect(&self, _: &Connection) -> ConnectOutcome {
        answer!(self, "connect", ConnectOutcome, |text: Option<&str>| {
            text.map_or_else(ConnectOutcome::accept, ConnectOutcome::accept_with)
        })
    }

    fn helo(&self, _: &Connection) -> Outcome {
        answer!(self, "helo", Outcome, |_| Outcome::accept())
    }

    fn ehlo(&self, _: &Connection) -> Outcome {
        answer!(self, "ehlo", Outcome, |_| Outcome::accept())
    }

    fn capabilities(&self, _: &Connection) -> Changes {
        self.changes("capabilities")
    }

    /// `knows USER PASSWORD` vouches for this user alone.
    fn auth(&self, _: &Connection, a: &AuthAttempt) -> ReplyingOutcome {
        if let Some(known) = self.0.get("auth").and_then(|saying| saying.strip_prefix("knows ")) {
            let shown = a.password().or(a.token()).map(|(user, secret)| format!("{user} {secret}"));
            return if shown.as_deref() == Some(known) { ReplyingOutcome::accept() } else { ReplyingOutcome::next() };
        }
        answer!(self, "auth", ReplyingOutcome, replying).msg(Scope::Connection, a.mechanism.as_str())
    }

    fn unrecognized_command(&self, _: &Connection) -> CommandOutcome {
        if let Saying::ReadAs(line) = self.at("unrecognized-command") {
            return CommandOutcome::read_as(line);
        }
        answer!(self, "unrecognized-command", CommandOutcome, |text: Option<&str>| {
            text.map_or_else(CommandOutcome::accept, CommandOutcome::accept_with)
        })
    }

    /// `fetch URL` replies with what is there, `hmac SECRET` with a code, `suffix NAME` with its registrable domain,
    /// `geo ADDRESS` with its country, city and AS, `tcp ENDPOINT TEXT` with a service's answer.
    fn noop(&self, _: &Connection) -> ReplyingOutcome {
        let asked = self.0.get("noop").and_then(|saying| saying.split_once(' '));
        match asked {
            Some(("fetch", url)) => return replying(Some(&fetched(url))),
            Some(("tcp", words)) => return replying(Some(&answered(words))),
            Some(("geo", address)) => return replying(Some(&placed(address))),
            Some(("hmac", name)) => return replying(Some(&code(name))),
            Some(("ask", "spf")) => return replying(Some(&spf())),
            Some(("suffix", name)) => return replying(Some(&format!("{:?}", public_suffix::registrable_domain(name)))),
            _ => {}
        }
        answer!(self, "noop", ReplyingOutcome, replying)
    }

    fn rset(&self, _: &Connection) -> Changes {
        self.changes("rset")
    }

    fn vrfy(&self, _: &Connection, argument: &str) -> ReplyingOutcome {
        answer!(self, "vrfy", ReplyingOutcome, replying).msg(Scope::Connection, argument)
    }

    fn quit(&self, _: &Connection) -> Changes {
        self.changes("quit")
    }

    fn mail(&self, _: &Connection, _: &Transaction) -> ReplyingOutcome {
        if self.0.get("mail").is_some_and(|saying| saying == "ask spf") {
            return ReplyingOutcome::deny(spf());
        }
        answer!(self, "mail", ReplyingOutcome, replying)
    }

    fn rcpt(&self, _: &Connection, _: &Transaction, _: &Recipient) -> ReplyingOutcome {
        answer!(self, "rcpt", ReplyingOutcome, replying)
    }

    fn rcpt_ok(&self, _: &Connection, _: &Transaction, _: &Recipient) -> ObjectingOutcome {
        answer!(self, "rcpt-ok", ObjectingOutcome, |_| ObjectingOutcome::next())
    }

    fn data(&self, _: &Connection, _: &Transaction) -> Outcome {
        answer!(self, "data", Outcome, |_| Outcome::accept())
    }

    fn max_data_exceeded(&self, _: &Connection, _: &Transaction) -> ObjectingOutcome {
        answer!(self, "max-data-exceeded", ObjectingOutcome, |_| ObjectingOutcome::next())
    }

    fn part(&self, _: &Connection, _: &Transaction, _: &Message, p: &Part) -> Outcome {
        answer!(self, "part", Outcome, |_| Outcome::accept()).msg(Scope::Connection, p.media_type.name.as_str())
    }

    fn data_post(&self, _: &Connection, _: &Transaction, m: &Message) -> Outcome {
        if self.0.get("data-post").is_some_and(|saying| saying == "edit") {
            return edit(m);
        }
        // What is done with a message that is accepted.
        let (doing, with) = self.0.get("data-post").and_then(|saying| saying.split_once(' ')).unwrap_or_default();
        match doing {
            "ask" if with == "origin" => return Outcome::deny(origin()),
            // So that the host tells what it has found out.
            "ask" => return Outcome::next().msg(Scope::Transaction, origin()),
            "quarantine" => return Outcome::next().quarantine(with),
            "tcp" => {
                return sent_twice(with, m).map_or_else(|why| Outcome::deny(format!("{why:?}")), |()| Outcome::next());
            }
            "route" => return Outcome::next().set_route(with),
            "sender" => return Outcome::next().set_reverse_path(with),
            "to" => return Outcome::next().rewrite_recipient_with(0, with, &["NOTIFY=NEVER"]),
            _ => {}
        }
        answer!(self, "data-post", Outcome, |_| Outcome::accept())
    }

    fn queue(&self, _: &Connection, _: &Transaction, _: &Message) -> ReplyingOutcome {
        answer!(self, "queue", ReplyingOutcome, replying)
    }

    fn queue_outbound(&self, _: &Connection, _: &Transaction, _: &Message) -> ReplyingOutcome {
        answer!(self, "queue-outbound", ReplyingOutcome, replying)
    }

    fn queue_ok(&self, _: &Connection, _: &Transaction, _: &str) -> Changes {
        self.changes("queue-ok")
    }

    fn deny(&self, _: &Connection, _: Option<&Transaction>, d: &Denial) -> DenyOutcome {
        let outcome = match self.at("deny") {
            Saying::Accept(Some(text)) => DenyOutcome::overturn_with(text),
            Saying::Accept(None) => DenyOutcome::overturn(),
            _ => DenyOutcome::next(),
        };
        outcome.msg(Scope::Connection, format!("deny {} {}", d.plugin, d.hook))
    }

    fn reset_transaction(&self, _: &Connection, _: &Transaction, how: Fate) -> Changes {
        self.changes("reset-transaction").msg(Scope::Connection, format!("{how:?}"))
    }

    fn disconnect(&self, _: &Connection) {}
}

/// Tells what it has read of the message's parts and From field, puts a banner into the text, removes programs, and puts
/// a note in the place of other files.
fn edit(m: &Message) -> Outcome {
    let from = m.addresses_of("from").into_iter().filter_map(|address| address.name);
    let mut outcome =
        from.fold(Outcome::next(), |outcome, name| outcome.add_header("X-From", name.escape_default().to_string()));
    let parts = m.structure().expect("the message can be read").parts;
    for part in parts.iter().filter(|part| part.is_attachment()) {
        let mut content = Vec::new();
        m.content(part).read_to_end(&mut content).expect("the part can be read");
        let kind = part.detected_type.as_deref().unwrap_or("unknown");
        let name = part.name.as_deref().unwrap_or_default();
        outcome = outcome.add_header("X-Part", format!("{} {kind} {}", name.escape_default(), content.len()));
        outcome = match kind {
            "application/vnd.microsoft.portable-executable" => outcome.remove_part(part),
            _ => outcome.replace_part(part, "text/plain; charset=utf-8", format!("{name} was here")),
        };
    }
    outcome.add_banner(Banner { text: Some("-- \nseen".to_owned()), html: Some("<p>seen</p>".to_owned()) })
}

fn replying(text: Option<&str>) -> ReplyingOutcome {
    text.map_or_else(ReplyingOutcome::accept, ReplyingOutcome::accept_with)
}
