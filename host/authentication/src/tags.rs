//! Lists of `tag=value` (RFC 6376 section 3.2), as DKIM, DMARC and ARC write them.

use data_encoding::BASE64;

/// A list, in order, with values without white space around them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tags(Vec<(String, String)>);

impl Tags {
    /// # Errors
    /// When it is no such list, or names a tag twice.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
        let mut tags: Vec<(String, String)> = Vec::new();
        let text = text.trim_matches(white);
        for spec in text.strip_suffix(';').unwrap_or(text).split(';') {
            let (name, value) = spec.split_once('=').ok_or("it is no list of tags")?;
            let (name, value) = (name.trim_matches(white), value.trim_matches(white));
            let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_');
            if !valid {
                return Err("it is no list of tags");
            }
            if tags.iter().any(|(known, _)| known == name) {
                return Err("it has a tag twice");
            }
            tags.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(tags))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The name of the first tag.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(|(name, _)| name.as_str())
    }

    /// A value without any white space: folding may stand anywhere in base64.
    pub(crate) fn dense(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.chars().filter(|c| !white(*c)).collect())
    }

    /// The octets of a value in base64.
    pub(crate) fn octets(&self, name: &str) -> Option<Vec<u8>> {
        base64(&self.dense(name)?)
    }

    /// A number in decimal digits; `Err` when it is none.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ()> {
        let Some(text) = self.get(name) else { return Ok(None) };
        // RFC 6376 section 3.5 allows 76 digits for `l`: whatever does not fit is more than there can be.
        match text.bytes().all(|octet| octet.is_ascii_digit()) && !text.is_empty() && text.len() <= 76 {
            true => Ok(Some(text.parse().unwrap_or(u64::MAX))),
            false => Err(()),
        }
    }
}

/// What may stand around tags and values: space, tab, and the CRLF of a fold.
pub(crate) fn white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Base64 with its padding, or without it.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut padded = text.trim_end_matches('=').to_owned();
    let missing = (4 - padded.len() % 4) % 4;
    padded.extend(std::iter::repeat_n('=', missing));
    BASE64.decode(padded.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_through_folds() {
        let tags = Tags::parse(b" v=1; a = rsa-sha256 ;\r\n\tb=YW\r\n Jj ; z=;").unwrap();
        assert_eq!((tags.first(), tags.get("a"), tags.get("z")), (Some("v"), Some("rsa-sha256"), Some("")));
        assert_eq!(tags.octets("b").unwrap(), b"abc");
        assert_eq!(Tags::parse(b"l=12; x=-1").unwrap().number("l"), Ok(Some(12)));
        assert_eq!(Tags::parse(b"x=-1").unwrap().number("x"), Err(()));
        for bad in ["", "a", "a=1; a=2", "1=a", "a b=c", "=", "a=1;;b=2"] {
            assert!(Tags::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
