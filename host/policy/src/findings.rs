//! What was found out about where a message comes from.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use wasmail_mail::{HeaderSection, MethodResult, ReversePath, Transaction};

/// What plugins cannot edit: the message as it came, by which it is judged where it comes from.
#[derive(Debug, Clone)]
pub struct AsItCame {
    /// The argument of MAIL.
    pub reverse_path: ReversePath,
    /// The message's own header section, without any field that was added, and with all that were removed; empty until it has come.
    ///
    /// Shared with the transaction's as long as nobody edits that.
    pub header: Arc<HeaderSection>,
}

impl AsItCame {
    pub(crate) fn new(facts: &Transaction) -> Self {
        Self { reverse_path: facts.reverse_path.clone(), header: Arc::default() }
    }
}

/// Whatever finds out, and remembers.
pub trait Found: Any + Send + Sync {
    /// What it has found out so far.
    fn told(&self) -> Vec<MethodResult>;
}

/// What was found out about one transaction, once somebody has asked. Clones share it.
///
/// Who finds out keeps its own here, so that it does so once, and the host can tell it without knowing what it is.
#[derive(Clone, Default)]
pub struct Findings(Arc<OnceLock<Arc<dyn Found>>>);

impl Findings {
    /// What is kept here, or now will be; none when another kind is kept already.
    pub fn keep<T: Found>(&self, make: impl FnOnce() -> T) -> Option<Arc<T>> {
        let found: Arc<dyn Any + Send + Sync> = Arc::clone(self.0.get_or_init(|| Arc::new(make()))) as _;
        found.downcast().ok()
    }

    /// What was found out so far.
    #[must_use]
    pub fn told(&self) -> Vec<MethodResult> {
        self.0.get().map(|found| found.told()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Findings").field(&self.told()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Counts(AtomicUsize);

    impl Found for Counts {
        fn told(&self) -> Vec<MethodResult> {
            Vec::new()
        }
    }

    struct Other;

    impl Found for Other {
        fn told(&self) -> Vec<MethodResult> {
            Vec::new()
        }
    }

    #[test]
    fn what_was_made_once_is_kept() {
        let findings = Findings::default();
        let clone = findings.clone();
        let counts = || Counts(AtomicUsize::new(0));
        findings.keep(counts).expect("it is of its kind").0.fetch_add(1, Ordering::Relaxed);
        clone.keep(counts).expect("it is of its kind").0.fetch_add(1, Ordering::Relaxed);
        assert_eq!(findings.keep(counts).expect("it is of its kind").0.load(Ordering::Relaxed), 2);
        assert!(findings.keep(|| Other).is_none());
        assert_eq!(findings.told(), []);
    }
}
