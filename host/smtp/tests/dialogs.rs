//! Holds the dialogues of `tests/dialogs` with a session in memory.
//!
//! Policy is what `local-domains` does with the domain `example.test`, in native code; `@ relaying true` sets the
//! connection's relaying, as the plugin `relay` does for a listed client; `@ says` is what `tests/says` does.

mod common;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use common::{Native, bind, block_on, connection, local_domains, now};
use wasmail_dialog::{Dialog, Peer, Setting};
use wasmail_mail::{Connection, Remote};
use wasmail_policy::{Chain, Credentials, Hook, Mutation, Outcome, Question, ReplyText, Secret, Verdict};
use wasmail_smtp::{AuthConfig, Chunking, Kind, LineEndings, Mechanism, Rehearsal, SessionConfig};

/// A session at the other end; nothing is ever late.
struct Memory {
    rehearsal: Rehearsal,
    answer: Vec<u8>,
}

impl Peer for Memory {
    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.rehearsal.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.answer.extend(block_on(self.rehearsal.send(octets)));
        Ok(())
    }

    fn secure(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        if self.answer.is_empty() && !self.rehearsal.is_closed() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server waits for more"));
        }
        Ok(std::mem::take(&mut self.answer))
    }
}

/// Makes the settings of a dialogue true.
fn apply(setting: &Setting, config: &mut SessionConfig, connection: &mut Connection) -> Result<(), String> {
    let number = || setting.value.parse::<usize>().map_err(|error| error.to_string());
    let limits = &mut config.limits;
    match setting.key.as_str() {
        "messages" | "says" => {}
        "kind" => {
            config.kind = match setting.value.as_str() {
                "submission" => Kind::Submission,
                "lmtp" => Kind::Lmtp,
                _ => return Err("submission or lmtp".to_owned()),
            }
        }
        "chunking" => {
            config.chunking = match setting.value.as_str() {
                "text" => Chunking::Text,
                "binary" => Chunking::Binary,
                _ => return Err("text or binary".to_owned()),
            }
        }
        "starttls" => config.starttls = setting.value.parse().map_err(|_| "true or false")?,
        "auth" => {
            config.auth = Some(AuthConfig { without_tls: setting.value == "without-tls", ..AuthConfig::default() })
        }
        "mechanisms" => {
            let auth = config.auth.as_mut().ok_or("auth comes first")?;
            let known = setting.value.split(' ').map(Mechanism::parse);
            auth.mechanisms = known.collect::<Option<_>>().ok_or("an unknown mechanism")?;
        }
        "xclient" if setting.value == "true" => {}
        "relaying" => connection.relaying = setting.value.parse().map_err(|_| "true or false")?,
        "line-endings" if setting.value == "normalise" => config.line_endings = LineEndings::Normalise,
        "remote" => {
            let ip = setting.value.parse().map_err(|_| "no address")?;
            connection.remote = Remote::new(ip, 40_000);
        }
        "limits.command_line" => limits.command_line = number()?,
        "limits.path" => limits.path = number()?,
        "limits.text_line" => limits.text_line = number()?,
        "limits.recipients" => limits.recipients = number()?,
        "limits.message_size" => limits.message_size = number()? as u64,
        "limits.header_size" => limits.header_size = number()?,
        "limits.header_fields" => limits.header_fields = number()?,
        "limits.received_hops" => limits.received_hops = number()?,
        "limits.commands_without_progress" => limits.commands_without_progress = number()? as u32,
        "limits.bad_commands" => limits.bad_commands = number()? as u32,
        "limits.drain" => limits.drain = number()? as u64,
        _ => return Err("unknown setting".to_owned()),
    }
    Ok(())
}

/// The policy that a dialogue wants.
fn chain(dialog: &Dialog) -> Result<Arc<Chain>, String> {
    let (mut says, mut known) = (HashMap::new(), None);
    for setting in dialog.settings().iter().filter(|setting| setting.key == "says") {
        let (hook, saying) = setting.value.split_once(' ').ok_or("says: a hook, then what to say")?;
        if let Some(user) = saying.strip_prefix("knows ") {
            known = Some(user.to_owned());
            continue;
        }
        let hook = Hook::ALL.into_iter().find(|other| other.name() == hook).ok_or(format!("says: no hook {hook}"))?;
        says.insert(hook, outcome(hook, saying)?);
    }
    let answer = move |question: &Question<'_>| match question.credentials() {
        Some((_, Some(Credentials { user, secret: Secret::Password(shown) | Secret::Token(shown), .. })))
            if known == Some(format!("{user} {shown}")) =>
        {
            Outcome { verdict: Verdict::Accept(None), mutations: Vec::new() }
        }
        _ => says.get(&question.hook).cloned().unwrap_or_else(Outcome::next),
    };
    Ok(Arc::new(Chain::new(vec![bind("says", Native(&Hook::ALL, answer)), local_domains()])))
}

fn outcome(hook: Hook, saying: &str) -> Result<Outcome, String> {
    if hook == Hook::Capabilities {
        return Ok(Outcome { mutations: vec![Mutation::AddCapability(saying.to_owned())], ..Outcome::next() });
    }
    let (verdict, line) = saying.split_once(' ').map_or((saying, None), |(verdict, line)| (verdict, Some(line)));
    let text = line.map(|line| ReplyText { lines: vec![line.to_owned()], ..ReplyText::default() });
    let verdict = match verdict {
        "next" => Verdict::Next,
        "accept" | "overturn" => Verdict::Accept(text),
        "read-as" => Verdict::ReadAs(line.unwrap_or_default().to_owned()),
        "deny" => Verdict::Deny(text),
        "deny-soft" => Verdict::DenySoft(text),
        "deny-disconnect" => Verdict::DenyDisconnect(text),
        "deny-soft-disconnect" => Verdict::DenySoftDisconnect(text),
        "disconnect" => Verdict::Disconnect,
        other => return Err(format!("says: no verdict {other}")),
    };
    Ok(Outcome { verdict, mutations: Vec::new() })
}

fn hold(dialog: &Dialog) -> Result<(), String> {
    let mut config = common::config();
    let mut connection = connection();
    for setting in dialog.settings() {
        apply(setting, &mut config, &mut connection)
            .map_err(|why| format!("{}:{}: {}: {why}", dialog.file().display(), setting.line, setting.key))?;
    }
    let mut rehearsal = Rehearsal::new(config, chain(dialog)?, connection, now());
    if dialog.setting("xclient") == Some("true") {
        rehearsal.session_mut().trust_peer();
    }
    let answer = block_on(rehearsal.greeting());
    let mut peer = Memory { rehearsal, answer };
    dialog.hold(&mut peer).map_err(|failure| failure.to_string())?;
    let messages = peer.rehearsal.messages().len().to_string();
    match dialog.setting("messages") {
        Some(expected) if expected != messages => Err(format!("{dialog}: {messages} messages, expected {expected}")),
        _ => Ok(()),
    }
}

#[test]
fn every_dialogue_goes_as_it_is_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/dialogs").canonicalize().unwrap();
    let dialogs = Dialog::read_all(&directory).unwrap();
    assert!(dialogs.len() > 100, "only {} dialogues were found", dialogs.len());
    let failures: Vec<String> = dialogs.iter().filter_map(|dialog| hold(dialog).err()).collect();
    assert!(failures.is_empty(), "{} of {} failed\n{}", failures.len(), dialogs.len(), failures.join("\n"));
}
