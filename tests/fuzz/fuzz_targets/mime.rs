//! A body that is fed to the scanner in two ways, and edits of what it says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmail_mail::HeaderSection;
use wasmail_mime::edit::{self, Banner, Edit, Replacement};
use wasmail_mime::{Decoder, Part, Scanner, Tree, view};

fuzz_target!(|octets: &[u8]| {
    let mut header = HeaderSection::default();
    let mut taken = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        if !header.push_line(line) {
            break;
        }
        taken += line.len();
    }
    for field in header.fields() {
        let _ = (view::text(field), view::addresses(field), view::date(field));
        let _ = (view::message_ids(field), view::media_type(field));
    }
    let body = &octets[taken..];
    let tree = scan(&header, body, usize::MAX);
    assert_eq!(tree, scan(&header, body, 3), "how the body is cut means nothing");
    for (number, part) in tree.parts.iter().enumerate() {
        assert!(part.place.content.end <= body.len() as u64);
        assert!(part.parent.is_none_or(|parent| parent < number));
        let content = decoded(part, body);
        edits(&tree, number, &header, &content).iter().for_each(|edit| check(edit, body));
    }
});

fn scan(header: &HeaderSection, body: &[u8], cut: usize) -> Tree {
    let mut scanner = Scanner::new(header.fields());
    body.chunks(cut).for_each(|piece| scanner.push(piece));
    scanner.finish()
}

fn decoded(part: &Part, body: &[u8]) -> Vec<u8> {
    let (mut decoder, mut decoded) = (Decoder::new(&part.encoding), Vec::new());
    decoder.push(&body[part.place.content.start as usize..part.place.content.end as usize], &mut decoded);
    decoder.finish(&mut decoded);
    decoded
}

fn edits(tree: &Tree, number: usize, header: &HeaderSection, content: &[u8]) -> Vec<Edit> {
    let banner = Banner { text: Some("-- \ngr\u{fc}n".into()), html: Some("<p>gr\u{fc}n</p>".into()) };
    let replacement =
        Replacement { media_type: "text/plain; charset=utf-8".into(), name: None, content: content.to_vec() };
    let banner = banner.is_for(&tree.parts[number]).then(|| banner.put_into(tree, number, header, content));
    let banner = banner.and_then(|edit| edit.ok().flatten());
    let others = [edit::remove(tree, number).ok(), edit::replace(tree, number, header, &replacement).ok()];
    banner.into_iter().chain(others.into_iter().flatten()).collect()
}

fn check(edit: &Edit, body: &[u8]) {
    let range = &edit.splice.range;
    assert!(range.start <= range.end && range.end <= body.len() as u64);
}
