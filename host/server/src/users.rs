//! Users who may authenticate: a file with a line for each, of name, password hash, and perhaps a verifier for SCRAM.
//!
//! ```text
//! # comment
//! tim<TAB>$argon2id$v=19$m=19456,t=2,p=1$...
//! eva<TAB>$argon2id$v=19$m=19456,t=2,p=1$...<TAB>SCRAM-SHA-256$100000:...$...:...
//! ```

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmail_smtp::ScramVerifier;

/// Longest name, in octets, as RFC 4616 §2 has it.
const NAME_MAX: usize = 255;
/// Users of a file: each takes some 150 octets.
const USERS_MAX: usize = 100_000;

/// What is wrong with a file of users.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A line is none.
    #[error("{path}:{line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More users than a file may have.
    #[error("{path}: more than {USERS_MAX} users")]
    TooMany {
        /// The file.
        path: PathBuf,
    },
    /// A password cannot be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(#[from] argon2::Error),
    /// A name that cannot stand in the file.
    #[error("`{}` is no good name: use 1 to {NAME_MAX} octets without white space and control characters, and no # at the beginning", .0.escape_debug())]
    Name(String),
}

/// The users of a file, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFile {
    users: BTreeMap<String, User>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    hash: String,
    scram: Option<ScramVerifier>,
}

impl UserFile {
    /// Reads a file; one that is not there has no users.
    ///
    /// # Errors
    /// When it cannot be read, or a line is none.
    pub fn read(path: &Path) -> Result<Self, UsersError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(UsersError::Io { path: path.to_owned(), source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, UsersError> {
        let mut users = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = |why| UsersError::Line { path: path.to_owned(), line: at + 1, why };
            let (name, rest) = line.split_once('\t').ok_or_else(|| wrong("expected a name, a tab, a hash"))?;
            let (hash, verifier) = rest.split_once('\t').map_or((rest, None), |(hash, rest)| (hash, Some(rest)));
            if !is_name(name) {
                return Err(wrong("the name is none"));
            }
            if !is_hash(hash) {
                return Err(wrong("the hash is none of argon2"));
            }
            let scram = verifier
                .map(|text| ScramVerifier::parse(text).ok_or_else(|| wrong("the verifier is none of SCRAM-SHA-256")));
            let user = User { hash: hash.to_owned(), scram: scram.transpose()? };
            if users.insert(name.to_owned(), user).is_some() {
                return Err(wrong("the name stands there twice"));
            }
            if users.len() > USERS_MAX {
                return Err(UsersError::TooMany { path: path.to_owned() });
            }
        }
        Ok(Self { users })
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// Those who have no verifier, and so cannot authenticate by SCRAM.
    pub fn without_scram(&self) -> impl Iterator<Item = &str> {
        self.users.iter().filter(|(_, user)| user.scram.is_none()).map(|(name, _)| name.as_str())
    }

    /// Gives a user a password, with a verifier if SCRAM is spoken; whether the user is new.
    ///
    /// # Errors
    /// When the name cannot stand in the file.
    pub fn set(&mut self, name: &str, password: &str, scram: bool) -> Result<bool, UsersError> {
        if !is_name(name) {
            return Err(UsersError::Name(name.to_owned()));
        }
        let user = User { hash: hash(password)?, scram: scram.then(|| verifier(password)) };
        Ok(self.users.insert(name.to_owned(), user).is_none())
    }

    /// Forgets a user; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.users.remove(name).is_some()
    }

    /// Writes the file, whole or not at all. Only its owner may read it. The directory is made if it is missing, since users may be
    /// added before the first start.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), UsersError> {
        let lines = self.users.iter().map(|(name, user)| match &user.scram {
            Some(scram) => format!("{name}\t{}\t{scram}\n", user.hash),
            None => format!("{name}\t{}\n", user.hash),
        });
        let text = "# Users: a name, a tab, a hash, and for SCRAM a tab and a verifier. `wasmail user` writes it.\n"
            .to_owned()
            + &lines.collect::<String>();
        replace(path, &text).map_err(|source| UsersError::Io { path: path.to_owned(), source })
    }
}

/// The hash of a password with a salt of its own, in the PHC string format.
fn hash(password: &str) -> Result<String, UsersError> {
    // What OWASP recommends of argon2id: 19 MiB, two passes, one lane.
    let config = argon2::Config {
        variant: argon2::Variant::Argon2id,
        mem_cost: 19 * 1024,
        time_cost: 2,
        lanes: 1,
        ..argon2::Config::default()
    };
    // 122 random bits; 16 octets are what RFC 9106 recommends.
    let salt = uuid::Uuid::new_v4();
    Ok(argon2::hash_encoded(password.as_bytes(), salt.as_bytes(), &config)?)
}

/// What SCRAM keeps of a password, with a salt of its own.
fn verifier(password: &str) -> ScramVerifier {
    // Clients prepare it like this (RFC 5802 section 2.2); what cannot be prepared they send as it is.
    let prepared = stringprep::saslprep(password).unwrap_or(password.into());
    ScramVerifier::new(&prepared, uuid::Uuid::new_v4().as_bytes(), ScramVerifier::ITERATIONS)
}

/// Whether it looks as argon2 writes them: variant, version, costs, salt, hash. To verify all of a large file would take hours.
fn is_hash(hash: &str) -> bool {
    hash.starts_with("$argon2") && hash.split('$').count() == 6
}

fn is_name(name: &str) -> bool {
    let good = |character: char| !character.is_control() && !character.is_whitespace();
    (1..=NAME_MAX).contains(&name.len()) && !name.starts_with('#') && name.chars().all(good)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// What is to be said of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgment {
    /// It is the user's.
    Right,
    /// It is not the user's.
    Wrong,
    /// There is no such user here.
    Unknown,
}

/// The users of a file, which is read anew when it changes.
pub struct Users {
    path: PathBuf,
    known: Mutex<Known>,
    /// Hashing takes some 20 ms of a core and 19 MiB: at most so many at once.
    places: Semaphore,
}

struct Known {
    file: Arc<UserFile>,
    /// When the file was changed last, as far as we have seen.
    changed: Option<SystemTime>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Users {
    /// Reads the file; one that is not there yet has no users.
    ///
    /// # Errors
    /// When it cannot be read, or a line is none.
    pub fn load(path: &Path) -> Result<Arc<Self>, UsersError> {
        let changed = changed(path);
        let known = Mutex::new(Known { file: Arc::new(UserFile::read(path)?), changed });
        // Half of the cores: guessing must not take all of them.
        let places = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        Ok(Arc::new(Self { path: path.to_owned(), known, places: Semaphore::new(places) }))
    }

    /// Judges a password, beside the runtime's workers. For who is unknown it takes as long, so that time does not tell
    /// who is there.
    pub(crate) async fn judge(&self, user: &str, password: &str) -> Judgment {
        let file = self.current();
        let hash = file.users.get(user).map(|user| user.hash.clone());
        let (known, hash) = (hash.is_some(), hash.unwrap_or_else(|| decoy().to_owned()));
        let password = password.to_owned();
        // The semaphore is never closed; were it, there would be nothing to wait for.
        let _place = self.places.acquire().await.ok();
        let verified =
            tokio::task::spawn_blocking(move || argon2::verify_encoded(&hash, password.as_bytes()).unwrap_or(false))
                .await;
        match (known, verified) {
            (false, _) => Judgment::Unknown,
            (true, Ok(true)) => Judgment::Right,
            (true, _) => Judgment::Wrong,
        }
    }

    /// What is kept of this user's password for SCRAM. For who is unknown, or has a hash only, it is one that no password has.
    pub(crate) fn verifier(&self, user: &str) -> ScramVerifier {
        let file = self.current();
        let known = file.users.get(user).and_then(|user| user.scram.clone());
        known.unwrap_or_else(|| ScramVerifier::decoy(user, decoy().as_bytes()))
    }

    /// How many users cannot authenticate by SCRAM.
    #[must_use]
    pub fn without_scram(&self) -> usize {
        self.current().without_scram().count()
    }

    /// The users as the file has them now. A broken file leaves those that were known.
    fn current(&self) -> Arc<UserFile> {
        let changed = changed(&self.path);
        let mut known = self.known.lock();
        if known.changed != changed {
            known.changed = changed;
            match UserFile::read(&self.path) {
                Ok(file) => known.file = Arc::new(file),
                Err(error) => tracing::error!(%error, "failed to read the users; the old ones stay in force"),
            }
        }
        Arc::clone(&known.file)
    }
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// The hash of a password that nobody has.
fn decoy() -> &'static str {
    static DECOY: OnceLock<String> = OnceLock::new();
    DECOY.get_or_init(|| hash(&uuid::Uuid::new_v4().to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<UserFile, String> {
        UserFile::parse(Path::new("users"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn mistakes_are_found_where_they_are() {
        let hash = hash("x").unwrap();
        assert_eq!(parse("# nobody\n\n").unwrap().names().count(), 0);
        for (text, error) in [
            (format!("# x\ntim {hash}\n"), "users:2: expected a name, a tab, a hash"),
            (format!("\t{hash}\n"), "users:1: the name is none"),
            (format!("a b\t{hash}\n"), "users:1: the name is none"),
            ("tim\tsecret\n".to_owned(), "users:1: the hash is none of argon2"),
            (format!("tim\t{hash}\tSCRAM-SHA-1$x\n"), "users:1: the verifier is none of SCRAM-SHA-256"),
            (format!("tim\t{hash}\ntim\t{hash}\n"), "users:2: the name stands there twice"),
        ] {
            assert_eq!(parse(&text), Err(error.to_owned()));
        }
    }

    #[test]
    fn what_is_written_is_read_again_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/users");
        let mut file = UserFile::read(&path).unwrap();
        assert!(file.set("tim", "a", false).unwrap() && file.set("eva@example.test", "b", true).unwrap());
        assert!(!file.set("tim", "c", true).unwrap(), "it is a new password of the same user");
        for name in ["", "a b", "#x", "a\tb", &"x".repeat(256)] {
            assert!(file.set(name, "x", false).is_err(), "{name}");
        }
        file.write(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut again = UserFile::read(&path).unwrap();
        assert_eq!(again, file);
        assert_eq!(again.names().collect::<Vec<_>>(), ["eva@example.test", "tim"]);
        assert!(again.remove("tim") && !again.remove("tim"));
    }

    #[tokio::test]
    async fn passwords_are_judged_and_new_ones_are_known_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let users = Users::load(&path).unwrap();
        assert_eq!(users.judge("tim", "a").await, Judgment::Unknown);
        let mut file = UserFile::default();
        file.set("tim", "a", false).unwrap();
        file.write(&path).unwrap();
        assert_eq!(users.judge("tim", "a").await, Judgment::Right);
        assert_eq!(users.judge("tim", "A").await, Judgment::Wrong);
        assert_eq!(users.judge("Tim", "a").await, Judgment::Unknown);
        fs::write(&path, "broken").unwrap();
        assert_eq!(users.judge("tim", "a").await, Judgment::Right, "a broken file changes nothing");
    }
}
