//! What a method of authentication found out, as `Authentication-Results` tells it.

/// One result (RFC 8601 §2.2: resinfo).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodResult {
    /// The method, such as `spf`.
    pub method: &'static str,
    /// The result, such as `pass`.
    pub result: &'static str,
    /// Why, in words of our own.
    pub reason: Option<&'static str>,
    /// Type and name, such as `smtp.mailfrom`, and the value, which may be anything that a stranger wrote.
    pub properties: Vec<(&'static str, String)>,
}
