//! Holds the dialogues of a plugin.

use std::path::Path;

use serde_json::Value;
use wasmail_dialog::{Dialog, Setting};
use wasmail_smtp::LineEndings;

use crate::Kit;

impl Kit {
    /// Holds every dialogue in the `*.txt` files of a directory, relative to the plugin's own.
    ///
    /// A dialogue with lines `@ plugin NAME JSON` has a chain of just these, in this order, each with the grants that its
    /// manifest asks for; one without them has the kit's own chain. A line without JSON stands for the configuration
    /// that was given to [`Kit::config`]. `@ messages N` and `@ header FIELD` say what must have come of it.
    ///
    /// # Panics
    /// When a dialogue goes otherwise than it is written, a file is not of the format, or there is no dialogue at all.
    pub fn run_dialogs(&self, dir: impl AsRef<Path>) {
        let held = self.try_dialogs(dir).unwrap_or_else(|error| panic!("{error}"));
        let failures: Vec<&str> = held.iter().filter_map(|held| held.as_ref().err()).map(String::as_str).collect();
        assert!(failures.is_empty(), "{} of {} failed\n{}", failures.len(), held.len(), failures.join("\n"));
    }

    /// The same as [`Kit::run_dialogs`] without a panic: what became of each dialogue, in order.
    ///
    /// # Errors
    /// When a file is not of the format, or there is no dialogue at all.
    pub fn try_dialogs(&self, dir: impl AsRef<Path>) -> Result<Vec<Result<(), String>>, String> {
        let dir = self.path(dir.as_ref());
        let dialogs = Dialog::read_all(&dir).map_err(|error| error.to_string())?;
        if dialogs.is_empty() {
            return Err(format!("there is no dialogue in {}", dir.display()));
        }
        Ok(dialogs.iter().map(|dialog| self.hold(dialog)).collect())
    }

    /// Holds the dialogues of a text.
    ///
    /// # Panics
    /// As [`Kit::run_dialogs`].
    pub fn run_text(&self, text: &str) {
        let dialogs = Dialog::parse(Path::new("(text)"), text).unwrap_or_else(|error| panic!("{error}"));
        let failures: Vec<String> = dialogs.iter().filter_map(|dialog| self.hold(dialog).err()).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    fn hold(&self, dialog: &Dialog) -> Result<(), String> {
        let mut kit = self.clone();
        let mut plugins = Vec::new();
        for setting in dialog.settings() {
            kit.apply(setting, &mut plugins)
                .map_err(|why| format!("{}:{}: {}: {why}", dialog.file().display(), setting.line, setting.key))?;
        }
        let plugins = (!plugins.is_empty()).then_some(&plugins[..]);
        let mut session = kit.try_connect(plugins).map_err(|why| format!("{dialog}: {why}"))?;
        dialog.hold(&mut session).map_err(|failure| failure.to_string())?;
        let messages = session.messages();
        let lacks = |line: &&str| !messages.iter().any(|message| has_line(&message.header, line));
        let wanted = dialog.settings().iter().filter(|setting| setting.key == "header");
        if let Some(line) = wanted.map(|setting| setting.value.as_str()).find(lacks) {
            let headers: Vec<_> = messages.iter().map(|message| String::from_utf8_lossy(&message.header)).collect();
            return Err(format!("{dialog}: no message has the field {line:?}:\n{}", headers.join("\n")));
        }
        let messages = messages.len().to_string();
        match dialog.setting("messages") {
            Some(expected) if expected != messages => {
                Err(format!("{dialog}: {messages} messages, expected {expected}"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a setting true.
    fn apply(&mut self, setting: &Setting, plugins: &mut Vec<(String, Value)>) -> Result<(), String> {
        let client = &mut self.client;
        match setting.key.as_str() {
            "messages" | "header" => {}
            "plugin" => plugins.push(plugin(&setting.value)?),
            "dns" => self.world.add_record(&setting.value)?,
            "secret" => self.world.add_secret(&setting.value)?,
            "geo" => self.world.add_place(&setting.value)?,
            "tcp" => self.world.add_service(&setting.value)?,
            "http" => self.world.add_response(&setting.value)?,
            "relaying" => client.relaying = setting.value.parse().map_err(|_| "true or false")?,
            "line-endings" if setting.value == "strict" => client.line_endings = LineEndings::Strict,
            "line-endings" if setting.value == "normalise" => client.line_endings = LineEndings::Normalise,
            "remote" => client.ip = setting.value.parse().map_err(|_| "no IP address")?,
            key => match key.strip_prefix("limits.") {
                Some(limit) => self.limit(limit, &setting.value)?,
                None => return Err("unknown setting".to_owned()),
            },
        }
        Ok(())
    }

    fn limit(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number: u32 = value.parse().map_err(|_| "no number")?;
        let limits = &mut self.client.limits;
        match name {
            "command_line" => limits.command_line = number as usize,
            "path" => limits.path = number as usize,
            "text_line" => limits.text_line = number as usize,
            "recipients" => limits.recipients = number as usize,
            "message_size" => limits.message_size = number.into(),
            "header_size" => limits.header_size = number as usize,
            "header_fields" => limits.header_fields = number as usize,
            "received_hops" => limits.received_hops = number as usize,
            "commands_without_progress" => limits.commands_without_progress = number,
            "bad_commands" => limits.bad_commands = number,
            "drain" => limits.drain = number.into(),
            _ => return Err("unknown limit".to_owned()),
        }
        Ok(())
    }
}

/// Whether a line of the header section is this one.
fn has_line(header: &[u8], line: &str) -> bool {
    header.split(|octet| *octet == b'\n').any(|found| found.trim_ascii_end() == line.as_bytes())
}

/// Reads `NAME JSON`, or `NAME` alone.
fn plugin(text: &str) -> Result<(String, Value), String> {
    let (name, json) = text.split_once(' ').unwrap_or((text, "null"));
    let config = serde_json::from_str(json).map_err(|error| format!("the configuration is no JSON: {error}"))?;
    Ok((name.to_owned(), config))
}
