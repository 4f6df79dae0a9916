//! Enhanced status codes (RFC 3463).

use std::str::FromStr;

use crate::EnhancedStatus;

impl FromStr for EnhancedStatus {
    type Err = String;

    /// Reads `5.7.1`.
    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| format!("`{text}` is no enhanced status code such as 5.7.1"))
    }
}

fn parse(text: &str) -> Option<EnhancedStatus> {
    let mut parts = text.split('.').map(|part| part.parse::<u16>().ok().filter(|number| *number < 1000));
    let class = parts.next()?.filter(|class| matches!(class, 2 | 4 | 5))?;
    let code = EnhancedStatus { class: class as u8, subject: parts.next()??, detail: parts.next()?? };
    parts.next().is_none().then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_three_parts_and_a_class_that_exists() {
        assert_eq!("5.7.1".parse(), Ok(EnhancedStatus { class: 5, subject: 7, detail: 1 }));
        for bad in ["", "5.7", "5.7.1.1", "3.7.1", "5.1000.1", "5.-1.0", "five"] {
            assert!(bad.parse::<EnhancedStatus>().is_err(), "{bad}");
        }
    }
}
