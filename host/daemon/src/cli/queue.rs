//! `wasmail queue`: what waits for delivery, read from the spool beside a server that may be running.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use miette::{Diagnostic, IntoDiagnostic};
use serde_json::{Value, json};
use thiserror::Error;
use wasmail_mail::ForwardPath;
use wasmail_server::Order;
use wasmail_spool::{Inspection, Message, RecipientState, SpoolId};

use super::check::report;
use super::{ConfigArgs, QueueCommand, QueueFilter, QueueListArgs, QueueOrderArgs, QueueShowArgs, QueueState};
use crate::config::Loaded;
use crate::out::{plain, say};
use crate::paths;

#[derive(Debug, Error, Diagnostic)]
enum QueueError {
    #[error("the spool {path} cannot be read: {source}")]
    #[diagnostic(help("run this as the user that runs the server, or name its configuration with --config"))]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("there is no route `{name}`")]
    #[diagnostic(help("the routes of the configuration are: {known}"))]
    NoRoute { name: String, known: String },
    #[error("the order cannot be left in {path}: {source}")]
    #[diagnostic(help("run this as the user that runs the server, or name its configuration with --config"))]
    NoOrder { path: PathBuf, source: std::io::Error },
    #[error("no message {id} waits in the spool {path}")]
    #[diagnostic(help("it may have been delivered meanwhile; `wasmail queue list` shows what waits"))]
    NoMessage { id: SpoolId, path: PathBuf },
}

/// Runs one of the commands.
pub(crate) fn run(command: &QueueCommand) -> miette::Result<()> {
    match command {
        QueueCommand::List(args) => list(args),
        QueueCommand::Show(args) => show(args),
        QueueCommand::Release(args) => give(&Order::Release, args),
        QueueCommand::Retry(args) => give(&Order::Retry, args),
        QueueCommand::Hold(args) => give(&Order::Hold, args),
        QueueCommand::Route(args) => give(&Order::Route(args.by.clone()), &args.which),
        QueueCommand::Expire(args) => give(&Order::Expire, args),
        QueueCommand::Remove(args) => give(&Order::Remove, args),
    }
}

fn list(args: &QueueListArgs) -> miette::Result<()> {
    let Some((_, spool)) = open(&args.config)? else {
        if !args.json {
            say!("Nothing waits.");
        }
        return Ok(());
    };
    let mut count = 0;
    for message in found(&spool, &args.filter) {
        count += 1;
        let message = message?;
        say!("{}", if args.json { as_json(&message).to_string() } else { as_text(&message) });
    }
    if !args.json {
        say!("{}", if count == 0 { "Nothing waits.".into() } else { format!("{count} waiting.") });
    }
    Ok(())
}

/// The messages that are meant, in order.
fn found<'s>(spool: &'s Inspection, filter: &'s QueueFilter) -> impl Iterator<Item = miette::Result<Message>> + 's {
    spool.messages().into_iter().filter_map(|recovered| match spool.message(recovered.id) {
        Ok(message) => is_meant(&message, filter).then_some(Ok(message)),
        // It was finished since we looked.
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => Some(Err(error).into_diagnostic()),
    })
}

fn is_meant(message: &Message, filter: &QueueFilter) -> bool {
    let has = |text: String, part: &String| text.to_lowercase().contains(&part.to_lowercase());
    let envelope = message.envelope();
    let is_in = |state: &RecipientState, wanted: QueueState| match wanted {
        QueueState::Pending => matches!(state, RecipientState::Pending),
        QueueState::Deferred => matches!(state, RecipientState::Deferred(_)),
        QueueState::Held => matches!(state, RecipientState::Held { .. }),
        QueueState::Failed => matches!(state, RecipientState::Failed { .. }),
    };
    let old = message.accepted_at().elapsed().unwrap_or_default();
    filter.from.as_ref().is_none_or(|part| has(envelope.reverse_path.to_string(), part))
        && filter.to.as_ref().is_none_or(|part| envelope.recipients.iter().any(|to| has(to.path.to_string(), part)))
        && filter.older_than.is_none_or(|age| old >= age)
        && filter.state.is_none_or(|wanted| message.recipients().iter().any(|state| is_in(state, wanted)))
}

fn show(args: &QueueShowArgs) -> miette::Result<()> {
    let id: SpoolId = args.id.parse().into_diagnostic()?;
    let (path, spool) = match open(&args.config)? {
        Some(opened) => opened,
        None => return Err(QueueError::NoMessage { id, path: PathBuf::new() }.into()),
    };
    let message = spool.message(id).map_err(|source| match source.kind() {
        ErrorKind::NotFound => QueueError::NoMessage { id, path },
        _ => QueueError::Unreadable { path, source },
    })?;
    let header = String::from_utf8_lossy(message.header()).replace("\r\n", "\n");
    if args.json {
        let mut value = as_json(&message);
        value["header"] = Value::String(header);
        say!("{value}");
    } else {
        say!("{}\n\n{}", as_text(&message), plain(header.trim_end()));
    }
    Ok(())
}

/// Leaves orders for the server, which may be running or be started later.
fn give(order: &Order, args: &QueueOrderArgs) -> miette::Result<()> {
    let named = args.ids.iter().map(|id| id.parse::<SpoolId>()).collect::<Result<Vec<_>, _>>().into_diagnostic()?;
    let loaded = Loaded::read_here(args.config.config.as_deref());
    report(&loaded)?;
    let settings = loaded.settings.as_ref().expect("settings without mistakes are there");
    if let Order::Route(Some(name)) = order
        && !settings.route.iter().any(|route| route.name == *name)
    {
        let known: Vec<_> = settings.route.iter().map(|route| route.name.as_str()).collect();
        return Err(QueueError::NoRoute { name: name.clone(), known: known.join(", ") }.into());
    }
    let opened = open(&args.config)?;
    let waiting = opened.iter().flat_map(|(_, spool)| spool.messages()).map(|message| message.id);
    let waiting: HashSet<_> = waiting.collect();
    if let Some(id) = named.iter().copied().find(|id| !waiting.contains(id)) {
        return Err(QueueError::NoMessage { id, path: paths::spool(settings) }.into());
    }
    let mut ids = Vec::new();
    for message in opened.iter().flat_map(|(_, spool)| found(spool, &args.filter)) {
        let id = message?.id();
        if named.is_empty() || named.contains(&id) {
            ids.push(id);
        }
    }
    let dir = paths::orders(settings);
    for id in &ids {
        wasmail_server::order(&dir, order, *id).map_err(|source| QueueError::NoOrder { path: dir.clone(), source })?;
    }
    say!("{} to {}; a running server does it within two seconds, another when it starts.", ids.len(), order.name());
    Ok(())
}

/// The spool of the configured data directory; none when there has never been a server.
fn open(args: &ConfigArgs) -> miette::Result<Option<(PathBuf, Inspection)>> {
    let loaded = Loaded::read_here(args.config.as_deref());
    report(&loaded)?;
    let settings = loaded.settings.as_ref().expect("settings without mistakes are there");
    let path = paths::spool(settings);
    if !path.exists() {
        return Ok(None);
    }
    match Inspection::open(&path) {
        Ok(spool) => Ok(Some((path, spool))),
        Err(source) => Err(QueueError::Unreadable { path, source }.into()),
    }
}

fn as_text(message: &Message) -> String {
    let age = rounded(message.accepted_at().elapsed().unwrap_or_default());
    let envelope = message.envelope();
    let route = envelope.handling.route.as_deref().map(|route| format!("  by {}", plain(route))).unwrap_or_default();
    let head = format!("{}  {age} old  {} octets  from {}{route}", message.id(), size(message), envelope.reverse_path);
    let states = envelope.recipients.iter().zip(message.recipients());
    let lines = states.map(|(recipient, state)| format!("\n    to {}: {}", recipient.path, plain(&state_text(state))));
    head + &lines.collect::<String>()
}

pub(crate) fn as_json(message: &Message) -> Value {
    let envelope = message.envelope();
    let states = envelope.recipients.iter().zip(message.recipients());
    json!({
        "id": message.id().to_string(),
        "transaction": envelope.uuid,
        "accepted": seconds(message.accepted_at()),
        "size": size(message),
        "from": envelope.reverse_path.to_string(),
        "route": envelope.handling.route,
        "tenant": envelope.handling.tenant,
        "recipients": states.map(|(recipient, state)| state_json(&recipient.path, state)).collect::<Vec<_>>(),
    })
}

fn state_text(state: &RecipientState) -> String {
    match state {
        RecipientState::Pending => "not tried yet".into(),
        RecipientState::Delivered => "delivered".into(),
        RecipientState::Held { reason } => format!("held: {}", one_line(reason)),
        RecipientState::Failed { reply } => format!("given up: {}", one_line(reply)),
        RecipientState::Bounced { reply } => format!("given up, its sender knows: {}", one_line(reply)),
        RecipientState::Deferred(deferral) => {
            let wait = deferral.next_attempt.duration_since(SystemTime::now()).unwrap_or_default();
            if deferral.attempts == 0 {
                return format!("first tried in {}: {}", rounded(wait), one_line(&deferral.reply));
            }
            let times = if deferral.attempts == 1 { "once".into() } else { format!("{} times", deferral.attempts) };
            format!("tried {times}, next in {}: {}", rounded(wait), one_line(&deferral.reply))
        }
    }
}

fn state_json(path: &ForwardPath, state: &RecipientState) -> Value {
    let to = path.to_string();
    match state {
        RecipientState::Pending => json!({ "to": to, "state": "pending" }),
        RecipientState::Delivered => json!({ "to": to, "state": "delivered" }),
        RecipientState::Held { reason } => json!({ "to": to, "state": "held", "reason": reason }),
        RecipientState::Failed { reply } => json!({ "to": to, "state": "failed", "reply": reply }),
        RecipientState::Bounced { reply } => json!({ "to": to, "state": "bounced", "reply": reply }),
        RecipientState::Deferred(deferral) => json!({
            "to": to, "state": "deferred", "attempts": deferral.attempts,
            "next_attempt": seconds(deferral.next_attempt), "reply": deferral.reply,
        }),
    }
}

/// Octets of the whole message.
fn size(message: &Message) -> u64 {
    message.header().len() as u64 + message.body().len()
}

fn one_line(reply: &str) -> String {
    reply.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rounded(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
