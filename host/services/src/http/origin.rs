//! Scheme, host and port: what the operator lists.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// Scheme, host and port (RFC 6454 §4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    pub(super) is_secure: bool,
    pub(super) host: Host,
    pub(super) port: u16,
}

/// It is no origin of http or https; why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no origin such as https://api.example.com: {why}")]
pub struct OriginError {
    text: String,
    why: String,
}

impl Origin {
    /// Where a URL leads, if it is one of http or https.
    pub(super) fn of(url: &Url) -> Result<Self, String> {
        let is_secure = match url.scheme() {
            "https" => true,
            "http" => false,
            scheme => return Err(format!("the scheme {scheme} is neither http nor https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("name and password do not belong into a URL".to_owned());
        }
        let host = url.host().ok_or("there is no host")?.to_owned();
        let port = url.port_or_known_default().ok_or("there is no port")?;
        Ok(Self { is_secure, host, port })
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let error = |why: String| OriginError { text: text.to_owned(), why };
        let url = Url::parse(text).map_err(|why| error(why.to_string()))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(error("it ends after host and port".to_owned()));
        }
        Self::of(&url).map_err(error)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = if self.is_secure { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |text: &str| text.parse::<Origin>().map(|origin| origin.to_string());
        assert_eq!(origin("HTTPS://API.example.com:443/").unwrap(), "https://api.example.com");
        assert_eq!(origin("http://127.0.0.1:8080").unwrap(), "http://127.0.0.1:8080");
        assert_eq!(origin("http://[::1]").unwrap(), "http://[::1]");
        for bad in ["api.example.com", "ftp://a", "https://a/b", "https://a?b", "https://u:p@a", "https://", ""] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
