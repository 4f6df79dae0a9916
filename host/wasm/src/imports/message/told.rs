//! From what the host knows of a message to the records of the contract.

use wasmail_mime::{Part, Passed, Tree, view};

use super::wit;

pub(super) fn address(address: view::Address) -> wit::Address {
    wit::Address { group: address.group, name: address.name, address: address.address }
}

pub(super) fn date(date: view::Date) -> wit::DateTime {
    wit::DateTime { seconds: date.seconds, zone: date.zone }
}

pub(super) fn media(name: String, parameters: Vec<(String, String)>) -> wit::MediaResult {
    let parameters = parameters.into_iter().map(|(name, value)| wit::MediaParameterResult { name, value });
    wit::MediaResult { name, parameters: parameters.collect() }
}

pub(super) fn structure(tree: &Tree) -> wit::Structure {
    let passed = tree.passed.map(|passed| match passed {
        Passed::Parts => wit::PassedLimit::Parts,
        Passed::Depth => wit::PassedLimit::Depth,
        Passed::Header => wit::PassedLimit::Header,
    });
    wit::Structure { parts: tree.parts.iter().enumerate().map(|(at, known)| part(at, known)).collect(), passed }
}

pub(super) fn part(index: usize, part: &Part) -> wit::MimePartResult {
    let content = &part.place.content;
    wit::MimePartResult {
        index: index as u32,
        parent: part.parent.map(|parent| parent as u32),
        has_parts: part.has_parts,
        media_type: media(part.media_type.clone(), part.parameters.clone()),
        detected_type: part.detected.map(str::to_owned),
        disposition: part.disposition.clone(),
        name: part.name.clone(),
        encoding: part.encoding.name().to_owned(),
        offset: content.start,
        size: content.end - content.start,
    }
}

/// The same as a hook is handed it: the texts stay where they are.
pub(super) fn lent<'a>(index: usize, part: &'a Part, parameters: &'a [Parameter<'a>]) -> wit::MimePartParam<'a> {
    let content = &part.place.content;
    wit::MimePartParam {
        index: index as u32,
        parent: part.parent.map(|parent| parent as u32),
        has_parts: part.has_parts,
        media_type: wit::MediaParam { name: &part.media_type, parameters },
        detected_type: part.detected,
        disposition: part.disposition.as_deref(),
        name: part.name.as_deref(),
        encoding: part.encoding.name(),
        offset: content.start,
        size: content.end - content.start,
    }
}

/// A parameter of a media type that is handed to a hook.
pub(crate) type Parameter<'a> = wit::MediaParameterParam<'a>;

pub(super) fn lent_parameters(part: &Part) -> Vec<Parameter<'_>> {
    part.parameters.iter().map(|(name, value)| Parameter { name, value }).collect()
}
