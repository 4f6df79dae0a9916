//! `wasmail user`: the file of users who may authenticate.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;

use miette::{Diagnostic, IntoDiagnostic};
use thiserror::Error;
use wasmail_server::{UserFile, UsersError};

use super::check::report;
use super::{ConfigArgs, UserArgs, UserCommand};
use crate::config::{Loaded, Settings};
use crate::out::{say, say_error};

/// Octets that are read of a password; more is none.
const PASSWORD_MAX: u64 = 1_024;
/// Longest password that a client can show (RFC 4616 section 2).
const SHOWN_MAX: usize = 255;

#[derive(Debug, Error, Diagnostic)]
enum UserError {
    #[error("{0}")]
    #[diagnostic(help("run this as the user that runs the server"))]
    File(UsersError),
    #[error("{0}")]
    Contents(UsersError),
    #[error("no file of users is configured")]
    #[diagnostic(help("set `users = \"users\"` in [auth], and `auth = true` in a [[listener]]"))]
    NoFile,
    #[error("there is no user `{0}`")]
    #[diagnostic(help("`wasmail user list` shows all of them"))]
    NoUser(String),
    #[error("a password has 1 to {SHOWN_MAX} octets in one line, and no control characters")]
    #[diagnostic(help("write it to standard input: `wasmail user add NAME < file`"))]
    Password,
}

impl UserError {
    fn of(error: UsersError) -> Self {
        if matches!(error, UsersError::Io { .. }) { Self::File(error) } else { Self::Contents(error) }
    }
}

/// Runs one of the commands.
pub(crate) fn run(command: &UserCommand) -> miette::Result<()> {
    match command {
        UserCommand::Add(args) => add(args),
        UserCommand::Remove(args) => remove(args),
        UserCommand::List(args) => list(args),
    }
}

fn add(args: &UserArgs) -> miette::Result<()> {
    let (path, mut file, settings) = open(&args.config)?;
    let password = password()?;
    let is_new = file.set(&args.name, &password, settings.auth.offers_scram()).map_err(UserError::of)?;
    file.write(&path).map_err(UserError::of)?;
    match is_new {
        true => say!("{} may authenticate.", args.name),
        false => say!("{} has a new password.", args.name),
    }
    Ok(())
}

fn remove(args: &UserArgs) -> miette::Result<()> {
    let (path, mut file, _) = open(&args.config)?;
    if !file.remove(&args.name) {
        return Err(UserError::NoUser(args.name.clone()).into());
    }
    file.write(&path).map_err(UserError::of)?;
    say!("{} may authenticate no more.", args.name);
    Ok(())
}

fn list(args: &ConfigArgs) -> miette::Result<()> {
    let (_, file, _) = open(args)?;
    file.names().for_each(|name| say!("{name}"));
    Ok(())
}

fn open(args: &ConfigArgs) -> miette::Result<(PathBuf, UserFile, Settings)> {
    let loaded = Loaded::read_here(args.config.as_deref());
    report(&loaded)?;
    let settings = loaded.settings.expect("settings without mistakes are there");
    let path = settings.auth.users.clone().ok_or(UserError::NoFile)?;
    let file = UserFile::read(&path).map_err(UserError::of)?;
    Ok((path, file, settings))
}

/// The first line of standard input.
fn password() -> miette::Result<String> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        say_error!("password (it is shown as you type):");
    }
    let mut line = String::new();
    stdin.lock().take(PASSWORD_MAX).read_line(&mut line).into_diagnostic()?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() || password.len() > SHOWN_MAX || password.chars().any(char::is_control) {
        return Err(UserError::Password.into());
    }
    Ok(password.to_owned())
}
