//! The configuration.

use std::collections::BTreeMap;

use wasmail_guest::prelude::*;

/// Longest text of a refusal, in octets: with the codes it has to fit a reply line of 512.
const TEXT_MAX: usize = 450;

/// The configuration.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Clients: networks, addresses, and names by reverse DNS. They are hung up on unless `refusal` says otherwise.
    pub connect: Lists,
    /// The arguments of HELO and EHLO.
    pub helo: Lists,
    /// Senders: `user@example.org`, `example.org`, `*.example.org` for what lies below, `<>` for the null path.
    pub mail: Lists,
    /// Recipients, written as senders are.
    pub rcpt: Lists,
    /// Addresses whose mail goes to another address. Needs the grant `edit-recipients`; list this plugin before the one
    /// that accepts recipients.
    pub redirect: BTreeMap<String, String>,
    /// Addresses whose mail is accepted and thrown away. Needs the grants `edit-recipients` and `take-messages`.
    pub discard: Vec<String>,
    /// Plugins that are not asked about clients that `connect.allow` lists.
    pub skip_for_allowed: Vec<String>,
}

/// Who is allowed and who is refused. Who is on both lists is allowed; a name stands for itself, `*.name` for all that
/// lies below it.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Lists {
    /// Who is not refused. Nobody is accepted by it: the plugins that follow are asked.
    pub allow: Vec<String>,
    /// Who is refused.
    pub deny: Vec<String>,
    /// How they are refused.
    pub refusal: Option<Refusal>,
    /// What they are told.
    pub text: Option<String>,
}

impl Config {
    /// Finds what the types do not rule out.
    pub(crate) fn check(&self) -> Result<(), String> {
        let lists = [("connect", &self.connect), ("helo", &self.helo), ("mail", &self.mail), ("rcpt", &self.rcpt)];
        for (hook, lists) in lists {
            check_text(hook, lists.text.as_deref().unwrap_or_default())?;
        }
        for (from, to) in &self.redirect {
            check_address("redirect", from)?;
            check_address(&format!("redirect.{from}"), to)?;
        }
        self.discard.iter().enumerate().try_for_each(|(at, address)| check_address(&format!("discard[{at}]"), address))
    }
}

fn check_text(hook: &str, text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) || text.len() > TEXT_MAX {
        return Err(format!("{hook}.text: expected one line of at most {TEXT_MAX} octets"));
    }
    Ok(())
}

fn check_address(key: &str, address: &str) -> Result<(), String> {
    let good = address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if good && !address.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Ok(());
    }
    Err(format!("{key}: `{address}` is no address such as user@example.test"))
}
