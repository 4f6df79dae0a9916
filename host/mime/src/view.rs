//! What single header fields mean. Parsing is mail-parser's, which knows the obsolete forms (RFC 5322 §4), encoded words
//! (RFC 2047) and parameters in pieces (RFC 2231).
//!
//! What is decoded may hold any character, line breaks and NUL included: who writes such a text sends what no header could.

use std::borrow::Cow;

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address as Parsed, DateTime, HeaderValue};
use wasmail_mail::Field;

/// Addresses that one field shows: far more than any client writes, and a field of a megabyte stays readable.
pub const ADDRESSES_MAX: usize = 10_000;
/// Message-ids that one field shows; threads cut `References` at some hundred.
pub const MESSAGE_IDS_MAX: usize = 10_000;

/// One mailbox of an address list (RFC 5322 §3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The group that it is listed in. A group without members shows up as one address without an address.
    pub group: Option<String>,
    /// Display name, decoded.
    pub name: Option<String>,
    /// The addr-spec as it was written, without angle brackets; none where there is only a name.
    pub address: Option<String>,
}

/// A date-time (RFC 5322 §3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Seconds since 1970, UTC.
    pub seconds: i64,
    /// Minutes that the writer's clock is ahead of UTC.
    pub zone: i16,
}

/// A media type or a disposition with its parameters (RFC 2045 §5.1, RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MediaType {
    /// In lower case, such as `text/plain` or `attachment`.
    pub name: String,
    /// In order; names in lower case, values decoded.
    pub parameters: Vec<(String, String)>,
}

impl MediaType {
    /// The first parameter of a name in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The value with its encoded words decoded.
#[must_use]
pub fn text(field: &Field) -> String {
    match MessageStream::new(value(field)).parse_unstructured() {
        HeaderValue::Text(text) => text.into_owned(),
        _ => String::new(),
    }
}

/// The addresses in order; groups are told member by member.
#[must_use]
pub fn addresses(field: &Field) -> Vec<Address> {
    let address = |group: Option<&str>, address: &Addr<'_>| Address {
        group: group.map(str::to_owned),
        name: owned(address.name.as_ref()),
        address: owned(address.address.as_ref()),
    };
    match MessageStream::new(value(field)).parse_address() {
        HeaderValue::Address(Parsed::List(list)) => {
            list.iter().take(ADDRESSES_MAX).map(|member| address(None, member)).collect()
        }
        HeaderValue::Address(Parsed::Group(groups)) => {
            let members = groups.iter().flat_map(|group| {
                let name = group.name.as_deref();
                let empty = (name.is_some() && group.addresses.is_empty()).then(|| Address {
                    group: name.map(str::to_owned),
                    name: None,
                    address: None,
                });
                empty.into_iter().chain(group.addresses.iter().map(move |member| address(name, member)))
            });
            members.take(ADDRESSES_MAX).collect()
        }
        _ => Vec::new(),
    }
}

/// The date, if there is one that the calendar knows.
#[must_use]
pub fn date(field: &Field) -> Option<Date> {
    match MessageStream::new(value(field)).parse_date() {
        HeaderValue::DateTime(date) if date.is_valid() => {
            Some(Date { seconds: date.to_timestamp(), zone: zone(&date) })
        }
        _ => None,
    }
}

fn zone(date: &DateTime) -> i16 {
    let minutes = i16::from(date.tz_hour) * 60 + i16::from(date.tz_minute);
    if date.tz_before_gmt { -minutes } else { minutes }
}

/// The message-ids in order, without angle brackets (RFC 5322 §3.6.4).
#[must_use]
pub fn message_ids(field: &Field) -> Vec<String> {
    match MessageStream::new(value(field)).parse_id() {
        HeaderValue::Text(id) => vec![id.into_owned()],
        HeaderValue::TextList(ids) => ids.into_iter().take(MESSAGE_IDS_MAX).map(Cow::into_owned).collect(),
        _ => Vec::new(),
    }
}

/// The media type or disposition, if it begins like one.
#[must_use]
pub fn media_type(field: &Field) -> Option<MediaType> {
    let HeaderValue::ContentType(parsed) = MessageStream::new(value(field)).parse_content_type() else { return None };
    let name = match &parsed.c_subtype {
        Some(subtype) => format!("{}/{subtype}", parsed.c_type),
        None => parsed.c_type.into_owned(),
    };
    let parameters = parsed.attributes.unwrap_or_default();
    let parameters = parameters.into_iter().map(|pair| (pair.name.to_ascii_lowercase(), pair.value.into_owned()));
    Some(MediaType { name: name.to_ascii_lowercase(), parameters: parameters.collect() })
}

/// What stands behind the colon, with the CRLF at its end, as the parser wants it.
fn value(field: &Field) -> &[u8] {
    let raw = field.raw();
    let colon = raw.iter().position(|octet| *octet == b':').map_or(raw.len(), |at| at + 1);
    &raw[colon..]
}

fn owned(text: Option<&Cow<'_, str>>) -> Option<String> {
    text.map(|text| text.clone().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wasmail_mail::HeaderSection;

    fn field(raw: impl AsRef<[u8]>) -> Field {
        let mut section = HeaderSection::default();
        for line in raw.as_ref().split_inclusive(|octet| *octet == b'\n') {
            assert!(section.push_line(line));
        }
        section.fields()[0].clone()
    }

    fn listed(raw: &str) -> Vec<(Option<String>, Option<String>, String)> {
        addresses(&field(raw)).into_iter().map(|a| (a.group, a.name, a.address.unwrap_or_default())).collect()
    }

    fn named(name: &str, address: &str) -> (Option<String>, Option<String>, String) {
        (None, Some(name.to_owned()), address.to_owned())
    }

    #[test]
    fn encoded_words_are_decoded() {
        for (raw, decoded) in [
            ("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n", "Grüße"),
            ("Subject: =?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=\r\n", "a b"),
            ("Subject: =?UTF-8?B?44GT44KT44Gr?=\r\n =?UTF-8?B?44Gh44Gv?=\r\n", "こんにちは"),
            ("Subject: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?= mail\r\n", "日本 mail"),
            ("Subject: plain\r\n folded\r\n", "plain folded"),
            ("Subject: =?no-such-charset?q?x?=\r\n", "x"),
            ("Subject: =?utf-8?q?broken\r\n", "=?utf-8?q?broken"),
            ("Subject:\r\n", ""),
        ] {
            assert_eq!(text(&field(raw)), decoded, "{raw:?}");
        }
    }

    #[test]
    fn addresses_come_with_names_groups_and_comments() {
        assert_eq!(listed("From: a@example.com\r\n"), [(None, None, "a@example.com".to_owned())]);
        assert_eq!(
            listed("From: \"Giant; \\\"Big\\\" Box\" <b@example.com>\r\n"),
            [named("Giant; \"Big\" Box", "b@example.com")]
        );
        assert_eq!(listed("From: =?utf-8?q?J=C3=B6rg?= <j@example.com>\r\n"), [named("Jörg", "j@example.com")]);
        assert_eq!(
            listed("To: A Group:Ed Jones <joe@where.test>,John <jdoe@one.test>;, z@example.com\r\n"),
            [
                (Some("A Group".into()), Some("Ed Jones".into()), "joe@where.test".into()),
                (Some("A Group".into()), Some("John".into()), "jdoe@one.test".into()),
                (None, None, "z@example.com".into()),
            ]
        );
        assert_eq!(listed("Cc: Undisclosed recipients:;\r\n")[0].0.as_deref(), Some("Undisclosed recipients"));
        assert_eq!(listed("From: Pete(A nice \\) chap) <pete@silly.test>\r\n")[0].2, "pete@silly.test");
        assert_eq!(listed("To:\r\n"), []);
    }

    #[test]
    fn dates_are_seconds_and_a_zone() {
        let seen = |raw: &str| date(&field(raw)).map(|date| (date.seconds, date.zone));
        assert_eq!(seen("Date: Sat, 20 Nov 2021 14:22:01 -0800\r\n"), Some((1_637_446_921, -480)));
        assert_eq!(seen("Date: 1 Jan 1970 02:00:00 +0200 (somewhere)\r\n"), Some((0, 120)));
        assert_eq!(seen("Date: yesterday\r\n"), None);
        assert_eq!(seen("Date: Sat, 99 Nov 2021 14:22:01 +0000\r\n"), None);
    }

    #[test]
    fn message_ids_lose_their_brackets() {
        let ids = message_ids(&field("References: <a@x.test>\r\n <b@y.test> <c@z.test>\r\n"));
        assert_eq!(ids, ["a@x.test", "b@y.test", "c@z.test"]);
    }

    #[test]
    fn a_parameter_may_come_in_pieces_and_encoded() {
        let raw = "Content-Type: Application/PDF;\r\n NAME*0*=utf-8''Gr%C3%BC; name*1=sse.pdf; x=\"a;b\"\r\n";
        let media = media_type(&field(raw)).unwrap();
        assert_eq!(media.name, "application/pdf");
        assert_eq!((media.parameter("name"), media.parameter("x")), (Some("Grüsse.pdf"), Some("a;b")));
        let raw = "Content-Disposition: ATTACHMENT; filename=\"=?utf-8?q?=C3=BC.txt?=\"\r\n";
        let media = media_type(&field(raw)).unwrap();
        assert_eq!((media.name.as_str(), media.parameter("filename")), ("attachment", Some("ü.txt")));
        assert_eq!(media_type(&field("Content-Type: ;\r\n")), None);
    }

    proptest! {
        #[test]
        fn no_field_makes_it_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let value: Vec<u8> = value.into_iter().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
            all(&field([b"X: ", value.as_slice(), b"\r\n"].concat()));
        }

        #[test]
        fn nor_does_one_made_of_what_matters(value in "([ \t<>()@,:;\"\\\\=?*'/]|utf-8|q|b|name|\\*0|=?x|\r\n |[0-9]){0,60}") {
            all(&field(format!("X: {value}\r\n")));
        }
    }

    fn all(field: &Field) {
        let _ = (text(field), addresses(field), date(field), message_ids(field), media_type(field));
    }
}
