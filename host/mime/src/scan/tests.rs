use proptest::prelude::*;
use wasmail_mail::HeaderSection;

use crate::{Encoding, PART_HEADER_MAX, PARTS_MAX, Passed, Scanner, Tree};

/// Reads a message with line feeds alone, in pieces.
fn read(text: &str, cut: usize) -> (Tree, Vec<u8>) {
    let octets = text.replace('\n', "\r\n").into_bytes();
    let mut header = HeaderSection::default();
    let mut at = 0;
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        at += line.len();
        if line == b"\r\n" {
            break;
        }
        if !header.push_line(line) {
            at -= line.len();
            break;
        }
    }
    let body = octets[at..].to_vec();
    let mut scanner = Scanner::new(header.fields());
    body.chunks(cut).for_each(|piece| scanner.push(piece));
    (scanner.finish(), body)
}

/// Each part: the number of the part around it, its type, its content.
fn seen(text: &str) -> Vec<(Option<usize>, String, String)> {
    let (tree, body) = read(text, 7);
    assert_eq!(tree, read(text, usize::MAX).0, "how the body is cut means nothing");
    let parts = tree.parts.iter().map(|part| {
        let content = &body[part.place.content.start as usize..part.place.content.end as usize];
        (part.parent, part.media_type.clone(), String::from_utf8_lossy(content).replace("\r\n", "\n"))
    });
    parts.collect()
}

fn leaves(text: &str) -> Vec<(String, String)> {
    let (tree, _) = read(text, 64);
    let seen = seen(text);
    tree.leaves().map(|at| (seen[at].1.clone(), seen[at].2.clone())).collect()
}

fn leaf(media_type: &str, content: &str) -> (String, String) {
    (media_type.to_owned(), content.to_owned())
}

#[test]
fn a_message_without_mime_is_one_part_of_plain_text() {
    assert_eq!(seen("Subject: x\n\nhello\n"), [(None, "text/plain".into(), "hello\n".into())]);
    assert_eq!(seen("Subject: x\n\n"), [(None, "text/plain".into(), String::new())]);
    assert_eq!(seen("Content-Type: rubbish\n\nx"), [(None, "text/plain".into(), "x".into())]);
}

#[test]
fn preamble_and_epilogue_belong_to_nobody_and_the_line_break_to_the_delimiter() {
    let text = "Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n\n--b  \nContent-Type: text/html\n\ntwo\n--b--\nepilogue\n--b\nno part\n";
    assert_eq!(leaves(text), [leaf("text/plain", "one\n"), leaf("text/html", "two")]);
}

#[test]
fn parts_lie_in_parts() {
    let text = "Content-Type: multipart/mixed; boundary=\"out er\"\n\n--out er\nContent-Type: multipart/alternative; boundary=in\n\n--in\n\ntext\n--in\nContent-Type: text/html\n\nhtml\n--in--\n--out er\nContent-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=b.pdf\nContent-Transfer-Encoding: BASE64\n\nJVBERi0xLjc=\n--out er--\n";
    let (tree, _) = read(text, 100);
    let shape: Vec<_> = tree.parts.iter().map(|part| (part.parent, part.media_type.as_str())).collect();
    assert_eq!(
        shape,
        [
            (None, "multipart/mixed"),
            (Some(0), "multipart/alternative"),
            (Some(1), "text/plain"),
            (Some(1), "text/html"),
            (Some(0), "application/pdf")
        ]
    );
    let pdf = &tree.parts[4];
    assert_eq!((pdf.name.as_deref(), pdf.disposition.as_deref()), (Some("b.pdf"), Some("attachment")));
    assert_eq!((&pdf.encoding, pdf.detected), (&Encoding::Base64, Some("application/pdf")));
    assert_eq!(tree.passed, None);
}

#[test]
fn what_content_is_does_not_depend_on_what_it_says_it_is() {
    let text = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; name=invoice.txt\nContent-Transfer-Encoding: base64\n\nTVqQAAMAAAAEAAAA//8AALgAAAAAAAAA\n--b\n\njust text\n--b--\n";
    let (tree, _) = read(text, 3);
    assert_eq!(tree.parts[1].detected, Some("application/vnd.microsoft.portable-executable"));
    assert_eq!(tree.parts[2].detected, None);
}

#[test]
fn a_missing_last_delimiter_ends_with_what_is_around() {
    let text = "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\none\n--o\n\ntwo\n";
    assert_eq!(leaves(text), [leaf("text/plain", "one"), leaf("text/plain", "two\n")]);
    let (tree, _) = read(text, 9);
    assert_eq!((tree.parts[2].place.next, tree.parts[3].place.next), (None, None));
    assert!(tree.parts[1].place.next.is_some());
}

#[test]
fn a_boundary_may_begin_like_another() {
    let text = "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\n\none\n--abc\n--ab--\n--a\n\ntwo\n--a--\n";
    assert_eq!(leaves(text), [leaf("text/plain", "one\n--abc"), leaf("text/plain", "two")]);
}

#[test]
fn the_same_boundary_inside_is_the_inner_ones_first() {
    let text = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n";
    assert_eq!(leaves(text), [leaf("text/plain", "one"), leaf("text/plain", "two")]);
}

#[test]
fn a_message_in_a_part_has_parts_of_its_own() {
    let text = "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nhello\n--c--\n--b\nContent-Type: message/delivery-status\n\nAction: failed\n--b--\n";
    let shape: Vec<_> = seen(text).into_iter().map(|(parent, media, _)| (parent, media)).collect();
    let expected = [
        (None, "multipart/digest"),
        (Some(0), "message/rfc822"),
        (Some(1), "multipart/mixed"),
        (Some(2), "text/plain"),
        (Some(0), "message/delivery-status"),
    ];
    assert_eq!(shape, expected.map(|(parent, media)| (parent, media.to_owned())));
    assert_eq!(leaves(text), [leaf("text/plain", "hello"), leaf("message/delivery-status", "Action: failed")]);
}

#[test]
fn a_part_may_have_no_header_no_empty_line_or_nothing_at_all() {
    let text =
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nno field here\n--b\n--b\nContent-Type: text/html\n--b--\n";
    assert_eq!(leaves(text), [leaf("text/plain", "no field here"), leaf("text/plain", ""), leaf("text/html", "")]);
}

#[test]
fn a_multipart_without_delimiters_is_a_leaf() {
    assert_eq!(leaves("Content-Type: multipart/mixed; boundary=b\n\nhello\n"), [leaf("multipart/mixed", "hello\n")]);
    assert_eq!(leaves("Content-Type: multipart/mixed\n\n--\n\nhello\n"), [leaf("multipart/mixed", "--\n\nhello\n")]);
}

#[test]
fn limits_are_told() {
    let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(PARTS_MAX + 5));
    let (tree, _) = read(&many, 1_000);
    assert_eq!((tree.parts.len(), tree.passed), (PARTS_MAX, Some(Passed::Parts)));

    let deep: String =
        (0..100).map(|at| format!("Content-Type: multipart/mixed; boundary=b{at}\n\n--b{at}\n")).collect();
    let (tree, _) = read(&deep, 1_000);
    assert_eq!((tree.parts.len(), tree.passed), (crate::DEPTH_MAX, Some(Passed::Depth)));
    let forwards = "Content-Type: message/rfc822\n\n".repeat(10_000);
    assert_eq!(read(&forwards, 1_000).0.parts.len(), crate::DEPTH_MAX);

    let header = "X: 0123456789\n".repeat(PART_HEADER_MAX / 10);
    let large = format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{header}\nx\n--b--\n");
    let (tree, _) = read(&large, 1_000);
    assert_eq!((tree.parts.len(), tree.passed), (2, Some(Passed::Header)));
    assert_eq!(tree.parts[1].place.content.end - tree.parts[1].place.content.start, 1);
    let line =
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b\nX: {}\n\nx\n--b--\n", "x".repeat(PART_HEADER_MAX));
    assert_eq!(read(&line, 1_000).0.passed, Some(Passed::Header));
}

#[test]
fn memory_does_not_grow_with_the_body() {
    let mut scanner = Scanner::new(&[]);
    let line = [&[b'x'; 998][..], b"\r\n"].concat();
    for _ in 0..20_000 {
        scanner.push(&line);
        scanner.push(&line[..500]);
    }
    assert!(scanner.line.capacity() <= 2 * PART_HEADER_MAX);
    assert_eq!(scanner.finish().parts[0].place.content, 0..30_000_000);
}

proptest! {
    #[test]
    fn any_lines_make_a_tree_that_holds_together(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("Content-Type: multipart/mixed; boundary=a"), Just("Content-Type: multipart/digest; boundary=ab"),
                Just("Content-Type: message/rfc822"), Just("Content-Transfer-Encoding: base64"),
                Just(""), Just("--a"), Just("--ab"), Just("--a--"), Just("--ab--"), Just("text"), Just(" x"),
            ],
            0..40,
        ),
        cut in 1_usize..40,
    ) {
        let text = format!("Content-Type: multipart/mixed; boundary=a\n\n{}", lines.join("\n"));
        let (tree, body) = read(&text, cut);
        prop_assert_eq!(&tree, &read(&text, 10_000).0);
        for (at, part) in tree.parts.iter().enumerate() {
            let place = &part.place;
            prop_assert!(place.begin <= place.header && place.header <= place.content.start);
            prop_assert!(place.content.start <= place.content.end && place.content.end <= body.len() as u64);
            prop_assert!(place.next.is_none_or(|next| place.content.end <= next));
            prop_assert!(part.parent.is_none_or(|parent| parent < at && tree.parts[parent].has_parts));
            if let Some(parent) = part.parent {
                let around = &tree.parts[parent].place.content;
                prop_assert!(around.start <= place.begin && place.content.end <= around.end);
            }
        }
    }

    #[test]
    fn any_octets_make_a_tree(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (header, _) = read("Content-Type: multipart/mixed; boundary=a\n\n", 9);
        prop_assert_eq!(header.parts.len(), 1);
        let mut scanner = Scanner::new(&[]);
        scanner.push(&octets);
        prop_assert_eq!(scanner.finish().parts[0].place.content.end, octets.len() as u64);
    }
}
