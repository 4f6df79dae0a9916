//! Why a capability does not answer.

/// Why a capability does not answer. The plugin is told, and decides what it can do without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The binding has not been granted it.
    #[error("it is not granted")]
    NotGranted,
    /// A quota of the binding is used up; the setting is named.
    #[error("{0} is used up")]
    QuotaExceeded(&'static str),
    /// No answer within the binding's time.
    #[error("no answer in time")]
    TimedOut,
    /// What stands behind it fails for now.
    #[error("it fails for now: {0}")]
    Unavailable(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
}
