//! Where a message comes from: SPF, DKIM, DMARC and ARC, judged by the host, once for a message. It needs the grant `mail-auth`; what is
//! told is said in `wit/mail-auth.wit`.
//!
//! ```no_run
//! use wasmail_guest::mail_auth::{self, Disposition};
//!
//! let dmarc = mail_auth::dmarc()?;
//! let refuse = dmarc.disposition == Disposition::Reject;
//! # Ok::<_, wasmail_guest::Failure>(())
//! ```
//!
//! Natively nothing is granted: a test says with [`pretend`] what is found out.

use crate::Failure;
pub use crate::bindings::wasmail::policy::mail_auth::{
    ArcResult, Disposition, DkimResult, DmarcResult, SpfResult, SpfResults, SpfVerdict, Verdict,
};

/// What the domains of HELO and of the reverse-path say of the client, from the hook `mail` on.
///
/// # Errors
/// When it is not granted, or there is no transaction.
pub fn spf() -> Result<SpfResults, Failure> {
    host::spf()
}

/// What the signatures are worth, the uppermost first.
///
/// # Errors
/// When it is not granted, there is no message, or no place or time for it; so it is below, too.
pub fn dkim() -> Result<Vec<DkimResult>, Failure> {
    host::dkim()
}

/// Whether the author's domain stands behind the message, and what it wants done otherwise.
///
/// # Errors
/// As [`dkim`].
pub fn dmarc() -> Result<DmarcResult, Failure> {
    host::dmarc()
}

/// Whether the chain of those who handled the message is whole.
///
/// # Errors
/// As [`dkim`].
pub fn arc() -> Result<ArcResult, Failure> {
    host::arc()
}

impl SpfVerdict {
    /// The keyword of RFC 7208.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Softfail => "softfail",
            Self::Temperror => "temperror",
            Self::Permerror => "permerror",
        }
    }
}

impl Verdict {
    /// The keyword of RFC 8601.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Policy => "policy",
            Self::Neutral => "neutral",
            Self::Temperror => "temperror",
            Self::Permerror => "permerror",
        }
    }
}

impl Disposition {
    /// The keyword of RFC 7489.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

#[cfg(target_family = "wasm")]
use crate::bindings::wasmail::policy::mail_auth as host;

#[cfg(not(target_family = "wasm"))]
pub use host::{Told, pretend};

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::cell::RefCell;

    use super::{ArcResult, DkimResult, DmarcResult, SpfResults};
    use crate::Failure;

    /// What a test has found out. By default nothing is granted.
    #[derive(Debug, Clone)]
    #[expect(missing_docs, reason = "the names of the functions")]
    pub struct Told {
        pub spf: Result<SpfResults, Failure>,
        pub dkim: Result<Vec<DkimResult>, Failure>,
        pub dmarc: Result<DmarcResult, Failure>,
        pub arc: Result<ArcResult, Failure>,
    }

    impl Default for Told {
        fn default() -> Self {
            let no = Failure::NotGranted;
            Self { spf: Err(no.clone()), dkim: Err(no.clone()), dmarc: Err(no.clone()), arc: Err(no) }
        }
    }

    thread_local! {
        static TOLD: RefCell<Told> = RefCell::new(Told::default());
    }

    /// Says what is found out from now on in this thread: for unit tests.
    pub fn pretend(told: Told) {
        TOLD.with(|place| *place.borrow_mut() = told);
    }

    pub(super) fn spf() -> Result<SpfResults, Failure> {
        TOLD.with(|told| told.borrow().spf.clone())
    }

    pub(super) fn dkim() -> Result<Vec<DkimResult>, Failure> {
        TOLD.with(|told| told.borrow().dkim.clone())
    }

    pub(super) fn dmarc() -> Result<DmarcResult, Failure> {
        TOLD.with(|told| told.borrow().dmarc.clone())
    }

    pub(super) fn arc() -> Result<ArcResult, Failure> {
        TOLD.with(|told| told.borrow().arc.clone())
    }
}
