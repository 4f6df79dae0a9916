//! What a method finds out.

/// The result of DKIM, DMARC or ARC (RFC 8601 section 2.7); SPF has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// There is nothing to judge.
    #[default]
    None,
    /// It is genuine.
    Pass,
    /// It is not.
    Fail,
    /// It is genuine or may be, but not as one should accept it.
    Policy,
    /// It cannot be judged, because it is malformed.
    Neutral,
    /// The DNS does not answer; later it may.
    TempError,
    /// It will never be possible to judge it.
    PermError,
}

impl Verdict {
    /// The keyword of the RFC.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Policy => "policy",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}
