//! The envelope as JSON. The rooms below know no serde, so the paper it is written on is kept here.

use serde::{Deserialize, Serialize};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wasmail_mail::{BodyType, Envelope, ForwardPath, Handling, Parameter, Recipient, ReversePath};

#[derive(Serialize, Deserialize)]
pub(super) struct EnvelopeDto {
    uuid: String,
    reverse_path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<String>,
    body: String,
    #[serde(default)]
    smtputf8: bool,
    recipients: Vec<RecipientDto>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quarantine: Option<String>,
    /// Milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    priority: i8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    forwarded: bool,
}

#[derive(Serialize, Deserialize)]
struct RecipientDto {
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<String>,
}

impl From<&Envelope> for EnvelopeDto {
    fn from(envelope: &Envelope) -> Self {
        Self {
            uuid: envelope.uuid.clone(),
            reverse_path: envelope.reverse_path.to_string(),
            parameters: texts(&envelope.parameters),
            body: envelope.body.as_str().to_owned(),
            smtputf8: envelope.smtputf8,
            recipients: envelope.recipients.iter().map(RecipientDto::from).collect(),
            route: envelope.handling.route.clone(),
            quarantine: envelope.handling.quarantine.clone(),
            not_before: envelope.handling.not_before.map(millis),
            priority: envelope.handling.priority,
            notes: envelope.handling.notes.clone(),
            tenant: envelope.handling.tenant.clone(),
            forwarded: envelope.handling.forwarded,
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over like that")]
fn is_zero(priority: &i8) -> bool {
    *priority == 0
}

impl From<&Recipient> for RecipientDto {
    fn from(recipient: &Recipient) -> Self {
        Self { path: recipient.path.to_string(), parameters: texts(&recipient.parameters) }
    }
}

fn texts(parameters: &[Parameter]) -> Vec<String> {
    parameters.iter().map(Parameter::to_string).collect()
}

impl TryFrom<EnvelopeDto> for Envelope {
    type Error = io::Error;

    fn try_from(dto: EnvelopeDto) -> io::Result<Self> {
        let body = BodyType::parse(&dto.body).ok_or_else(|| malformed("body type", &dto.body, "unknown"))?;
        let recipients = dto.recipients.into_iter().map(Recipient::try_from).collect::<io::Result<_>>()?;
        Ok(Self {
            uuid: dto.uuid,
            reverse_path: ReversePath::parse(&dto.reverse_path)
                .map_err(|error| malformed("reverse-path", &dto.reverse_path, error))?,
            parameters: parameters(&dto.parameters)?,
            body,
            smtputf8: dto.smtputf8,
            recipients,
            handling: Handling {
                route: dto.route,
                quarantine: dto.quarantine,
                not_before: dto.not_before.map(|time| UNIX_EPOCH + Duration::from_millis(time)),
                priority: dto.priority,
                notes: dto.notes,
                tenant: dto.tenant,
                forwarded: dto.forwarded,
            },
        })
    }
}

impl TryFrom<RecipientDto> for Recipient {
    type Error = io::Error;

    fn try_from(dto: RecipientDto) -> io::Result<Self> {
        let path = ForwardPath::parse(&dto.path).map_err(|error| malformed("forward-path", &dto.path, error))?;
        Ok(Self { path, parameters: parameters(&dto.parameters)? })
    }
}

fn parameters(texts: &[String]) -> io::Result<Vec<Parameter>> {
    let parse = |text: &String| Parameter::parse(text).map_err(|error| malformed("parameter", text, error));
    texts.iter().map(parse).collect()
}

fn malformed(what: &str, text: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what} {text:?}: {why}"))
}

/// An envelope with something of everything.
#[cfg(test)]
pub(super) fn sample() -> Envelope {
    let recipient = |path: &str, parameters: &[&str]| Recipient {
        path: ForwardPath::parse(path).unwrap(),
        parameters: parameters.iter().map(|text| Parameter::parse(text).unwrap()).collect(),
    };
    Envelope {
        uuid: "0190a5e2-0000-7000-8000-000000000000.1".to_owned(),
        reverse_path: ReversePath::parse("<\"odd @ one\"@[192.0.2.1]>").unwrap(),
        parameters: vec![Parameter::parse("SIZE=12").unwrap(), Parameter::parse("SMTPUTF8").unwrap()],
        body: BodyType::EightBitMime,
        smtputf8: true,
        recipients: vec![recipient("<Postmaster>", &[]), recipient("<grüße@exämple.test>", &["NOTIFY=NEVER"])],
        handling: Handling {
            route: Some("archive".to_owned()),
            quarantine: Some("odd".to_owned()),
            not_before: Some(UNIX_EPOCH + Duration::from_millis(1_795_000_000_123)),
            priority: -9,
            notes: Some("{\"a\":1}".to_owned()),
            tenant: Some("acme".into()),
            forwarded: true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_reads_back() {
        let json = serde_json::to_string(&EnvelopeDto::from(&sample())).unwrap();
        let dto: EnvelopeDto = serde_json::from_str(&json).unwrap();
        assert_eq!(Envelope::try_from(dto).unwrap(), sample());
    }

    #[test]
    fn a_malformed_path_says_which() {
        let mut dto = EnvelopeDto::from(&sample());
        dto.recipients[1].path = "nobody".to_owned();
        let error = Envelope::try_from(dto).unwrap_err().to_string();
        assert!(error.starts_with("malformed forward-path \"nobody\": "), "{error}");
    }
}
