//! What is kept on disk: the account with its key, certificates with theirs, and what became of the attempts. Each file
//! is for the server's eyes alone, and is replaced whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::schedule::Attempts;

/// Octets of a file that are read: a chain of certificates has some thousands.
const FILE_MAX: u64 = 1 << 20;

/// A directory for one ACME server: what another one gave is of no use there.
#[derive(Debug, Clone)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(super) fn new(dir: &Path, directory: &str) -> Self {
        Self { dir: dir.join(folder(directory)) }
    }

    /// The certificate, those between it and the root, and its private key, whose first name this is.
    pub(super) fn certificate(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pem"))
    }

    /// The account, if there is one already.
    pub(super) fn account(&self) -> io::Result<Option<String>> {
        read(&self.dir.join("account.json"))
    }

    pub(super) fn keep_account(&self, text: &str) -> io::Result<()> {
        self.write(&self.dir.join("account.json"), text, |_| Ok(()))
    }

    /// What became of the attempts; none were made if the file cannot be read.
    pub(super) fn attempts(&self, name: &str) -> Attempts {
        let text = read(&self.attempts_file(name)).ok().flatten();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    pub(super) fn keep_attempts(&self, name: &str, attempts: &Attempts) -> io::Result<()> {
        let text = serde_json::to_string(attempts).map_err(io::Error::other)?;
        self.write(&self.attempts_file(name), &text, |_| Ok(()))
    }

    /// Puts a certificate into the place of the old one if it passes the check, which is given its file.
    pub(super) fn keep_certificate(
        &self,
        name: &str,
        pem: &str,
        check: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        self.write(&self.certificate(name), pem, check)
    }

    /// What is in the file of a certificate; nothing if it cannot be read.
    pub(super) fn read_certificate(&self, name: &str) -> Option<String> {
        read(&self.certificate(name)).ok().flatten()
    }

    fn attempts_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.attempts"))
    }

    fn write(&self, path: &Path, text: &str, check: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        self.replace(path, text, check).map_err(named)
    }

    fn replace(&self, path: &Path, text: &str, check: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        // One that a crash left behind may have other rights.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        check(&new)?;
        fs::rename(&new, path)?;
        File::open(&self.dir)?.sync_all()
    }
}

/// Reads a file; none when it is not there.
fn read(path: &Path) -> io::Result<Option<String>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(meta) if meta.len() > FILE_MAX => return Err(named(io::Error::other("it is too large to be ours"))),
        _ => {}
    }
    fs::read_to_string(path).map(Some).map_err(named)
}

/// A name for a directory of files by the URL of a directory of ACME.
fn folder(url: &str) -> String {
    let rest = url.strip_prefix("https://").unwrap_or(url).trim_end_matches('/');
    let letter = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    rest.chars().map(letter).collect::<String>().trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_server_has_a_directory_of_its_own() {
        let production = folder("https://acme-v02.api.letsencrypt.org/directory");
        assert_eq!(production, "acme-v02.api.letsencrypt.org-directory");
        assert_ne!(production, folder("https://acme-staging-v02.api.letsencrypt.org/directory"));
        assert_eq!(folder("https://[::1]:14000/dir/../x"), "---1--14000-dir-..-x");
        assert_eq!(folder("../../etc"), "-..-etc");
    }

    #[test]
    fn what_is_kept_is_for_nobody_elses_eyes_and_survives() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(&home.path().join("acme"), "https://ca.example/dir");
        assert_eq!(store.account().unwrap(), None);
        assert_eq!(store.attempts("mx.example"), Attempts::default());
        store.keep_account("{}").unwrap();
        store.keep_account("{\"a\":1}").unwrap();
        let attempts = Attempts { failures: 3, last: Some(7), wanted_after: None };
        store.keep_attempts("mx.example", &attempts).unwrap();
        store.keep_certificate("mx.example", "PEM", |_| Ok(())).unwrap();
        let store = Store::new(&home.path().join("acme"), "https://ca.example/dir");
        assert_eq!(store.account().unwrap().as_deref(), Some("{\"a\":1}"));
        assert_eq!(store.attempts("mx.example"), attempts);
        for entry in fs::read_dir(&store.dir).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&store.dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_certificate_that_does_not_pass_leaves_the_old_one() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(home.path(), "https://ca.example/dir");
        store.keep_certificate("mx.example", "old", |_| Ok(())).unwrap();
        let check = |_: &Path| Err(io::Error::other("it is for another name"));
        let said = store.keep_certificate("mx.example", "new", check).unwrap_err().to_string();
        assert!(said.ends_with("mx.example.pem: it is for another name"), "{said}");
        assert_eq!(fs::read_to_string(store.certificate("mx.example")).unwrap(), "old");
    }

    #[test]
    fn a_spoilt_file_of_attempts_counts_as_none() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::new(home.path(), "https://ca.example/dir");
        store.keep_account("{}").unwrap();
        fs::write(store.attempts_file("mx.example"), "\0\0").unwrap();
        assert_eq!(store.attempts("mx.example"), Attempts::default());
    }
}
