//! ESMTP parameters of MAIL and RCPT (RFC 5321 §4.1.2, `esmtp-param`).

use std::fmt;

/// One parameter, `KEYWORD` or `KEYWORD=value`. The keyword is kept in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    keyword: String,
    value: Option<String>,
}

impl Parameter {
    /// Parses `KEYWORD` or `KEYWORD=value`.
    ///
    /// # Errors
    /// When the keyword or the value has a character that the grammar forbids.
    pub fn parse(text: &str) -> Result<Self, ParameterError> {
        match text.split_once('=') {
            None => Self::new(text, None),
            Some((keyword, value)) => Self::new(keyword, Some(value)),
        }
    }

    /// Makes a parameter from its parts.
    ///
    /// # Errors
    /// As [`Parameter::parse`].
    pub fn new(keyword: &str, value: Option<&str>) -> Result<Self, ParameterError> {
        if !valid_keyword(keyword) {
            return Err(ParameterError::Keyword);
        }
        if !value.is_none_or(valid_value) {
            return Err(ParameterError::Value);
        }
        Ok(Self { keyword: keyword.to_ascii_uppercase(), value: value.map(str::to_owned) })
    }

    /// The keyword in upper case, such as `SIZE`.
    #[must_use]
    pub fn keyword(&self) -> &str {
        &self.keyword
    }

    /// The value, if there is one, as it was sent (an xtext is not decoded).
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            None => f.write_str(&self.keyword),
            Some(value) => write!(f, "{}={value}", self.keyword),
        }
    }
}

/// Whether `text` is an `esmtp-keyword`: a letter or digit, then letters, digits and hyphens.
#[must_use]
pub fn valid_keyword(text: &str) -> bool {
    let good = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(good)
}

/// Whether `text` is an `esmtp-value`: printable, without space and `=`; UTF-8 is RFC 6531's addition.
#[must_use]
pub fn valid_value(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_control() && c != ' ' && c != '=')
}

/// Why a parameter is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterError {
    /// The keyword is empty or has a forbidden character.
    Keyword,
    /// The value is empty or has a forbidden character.
    Value,
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyword => "malformed parameter keyword",
            Self::Value => "malformed parameter value",
        })
    }
}

impl std::error::Error for ParameterError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_kept_in_upper_case() {
        assert_eq!(Parameter::parse("size=12").unwrap().to_string(), "SIZE=12");
        assert_eq!(Parameter::parse("SmtpUtf8").unwrap().keyword(), "SMTPUTF8");
    }

    #[test]
    fn malformed_parameters_are_refused() {
        assert_eq!(Parameter::parse("=1"), Err(ParameterError::Keyword));
        assert_eq!(Parameter::parse("-A=1"), Err(ParameterError::Keyword));
        assert_eq!(Parameter::parse("A="), Err(ParameterError::Value));
        assert_eq!(Parameter::parse("A=b=c"), Err(ParameterError::Value));
        assert_eq!(Parameter::parse("A=\u{7}"), Err(ParameterError::Value));
    }
}
