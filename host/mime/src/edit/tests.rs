use wasmail_mail::HeaderSection;

use super::*;
use crate::{Decoder, Scanner};

/// A message as header section, tree and body.
fn read(text: &str) -> (HeaderSection, Tree, Vec<u8>) {
    let octets = text.replace('\n', "\r\n").into_bytes();
    let split = octets.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 2;
    let mut header = HeaderSection::default();
    assert!(octets[..split].split_inclusive(|octet| *octet == b'\n').all(|line| header.push_line(line)));
    let body = octets[split + 2..].to_vec();
    let mut scanner = Scanner::new(header.fields());
    scanner.push(&body);
    (header, scanner.finish(), body)
}

fn section(header: &HeaderSection, tree: &Tree, body: &[u8], number: usize) -> HeaderSection {
    if number == 0 {
        return header.clone();
    }
    let place = &tree.parts[number].place;
    let mut section = HeaderSection::default();
    let octets = &body[place.header as usize..place.content.start as usize];
    let _all = octets.split_inclusive(|octet| *octet == b'\n').all(|line| section.push_line(line));
    section
}

fn apply(body: &[u8], edit: &Edit) -> String {
    let Splice { range, with } = &edit.splice;
    let edited = [&body[..range.start as usize], with, &body[range.end as usize..]].concat();
    String::from_utf8(edited).unwrap().replace("\r\n", "\n")
}

fn content(tree: &Tree, body: &[u8], number: usize) -> Vec<u8> {
    let part = &tree.parts[number];
    let (mut decoder, mut decoded) = (Decoder::new(&part.encoding), Vec::new());
    decoder.push(&body[part.place.content.start as usize..part.place.content.end as usize], &mut decoded);
    decoder.finish(&mut decoded);
    decoded
}

fn banner_in(text: &str, number: usize, plain: &str, html: &str) -> (String, Option<HeaderSection>) {
    let (header, tree, body) = read(text);
    let banner = Banner { text: Some(plain.into()), html: Some(html.into()) };
    let section = section(&header, &tree, &body, number);
    let edit = banner.put_into(&tree, number, &section, &content(&tree, &body, number)).unwrap().unwrap();
    (apply(&body, &edit), edit.header)
}

const MIXED: &str = "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n\none\n--b\nX-Keep: me\nContent-Type: application/x-bad; name=a.exe\nContent-ID: <1@x>\n\ntwo\n--b\n\nthree\n--b--\npost\n";

#[test]
fn a_removed_part_leaves_its_neighbours_as_they_were() {
    let (_, tree, body) = read(MIXED);
    let removed = apply(&body, &remove(&tree, 2).unwrap());
    assert_eq!(removed, "pre\n--b\n\none\n--b\n\nthree\n--b--\npost\n");
    let removed = apply(&body, &remove(&tree, 3).unwrap());
    assert!(removed.ends_with("two\n--b--\npost\n"), "{removed}");
    assert_eq!(remove(&tree, 0), Err(EditError::Root));
    let (_, tree, _) = read("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n");
    assert_eq!(remove(&tree, 1), Err(EditError::OnlyChild));
    let (_, tree, _) = read("Content-Type: message/rfc822\n\nSubject: x\n\nhello\n");
    assert_eq!(remove(&tree, 1), Err(EditError::WholeMessage));
}

#[test]
fn where_the_last_delimiter_is_missing_it_is_made_good() {
    let (_, tree, body) = read("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n");
    assert_eq!(apply(&body, &remove(&tree, 2).unwrap()), "--b\n\none\n--b--\n");
}

#[test]
fn a_replaced_part_keeps_what_does_not_speak_of_its_content() {
    let (header, tree, body) = read(MIXED);
    let section = section(&header, &tree, &body, 2);
    let text = |content: &str| Replacement {
        media_type: "text/plain; charset=utf-8".into(),
        name: None,
        content: content.as_bytes().to_vec(),
    };
    let edit = replace(&tree, 2, &section, &text("a virus\nwas here")).unwrap();
    let expected = "X-Keep: me\nContent-ID: <1@x>\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 7bit\n\na virus\nwas here\n--b\n";
    assert!(apply(&body, &edit).contains(expected), "{}", apply(&body, &edit));
    let edit = replace(&tree, 2, &section, &text("ein Übel")).unwrap();
    assert!(apply(&body, &edit).contains("quoted-printable\n\nein =C3=9Cbel\n--b\n"));
    let file = Replacement { media_type: "image/png".into(), name: Some("ü \"x\".png".into()), content: vec![0; 60] };
    let edited = apply(&body, &replace(&tree, 2, &section, &file).unwrap());
    let (_, again, _) = read(&format!("Content-Type: multipart/mixed; boundary=b\n\n{edited}"));
    assert_eq!((again.parts[2].name.as_deref(), &again.parts[2].encoding), (Some("ü \"x\".png"), &Encoding::Base64));
    assert_eq!(again.parts.len(), 4);
}

#[test]
fn a_replacement_must_be_one() {
    let (header, tree, _) = read(MIXED);
    let attempt = |media_type: &str, name: Option<&str>| {
        let replacement =
            Replacement { media_type: media_type.into(), name: name.map(Into::into), content: Vec::new() };
        replace(&tree, 0, &header, &replacement).map(|_| ())
    };
    assert_eq!(attempt("text/plain", None), Ok(()));
    assert_eq!(attempt("text", None), Err(EditError::MediaType));
    assert_eq!(attempt("text/pl ain", None), Err(EditError::MediaType));
    assert_eq!(attempt("t\u{e4}xt/plain", None), Err(EditError::MediaType));
    assert_eq!(attempt("Multipart/mixed; boundary=b", None), Err(EditError::PartsInside));
    assert_eq!(attempt("message/rfc822", None), Err(EditError::PartsInside));
    assert_eq!(attempt("text/plain\r\nBcc: x", None), Err(EditError::Field(FieldError::ControlCharacter)));
    assert_eq!(attempt("text/plain", Some("a\r\n")), Err(EditError::Name));
    assert_eq!(attempt("text/plain", Some(&"a".repeat(201))), Err(EditError::Name));
}

#[test]
fn new_content_cannot_part_what_is_around_it() {
    let (header, tree, body) = read(MIXED);
    let section = section(&header, &tree, &body, 2);
    let forged =
        Replacement { media_type: "text/plain".into(), name: None, content: b"a\n--b\n\nforged\n--b--".to_vec() };
    let edited = apply(&body, &replace(&tree, 2, &section, &forged).unwrap());
    assert!(edited.contains("a\n=2D-b\n\nforged\n=2D-b--\n--b\n"), "{edited}");

    let hidden = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Transfer-Encoding: quoted-printable\n\na\n=2D-b\n--b--\n";
    assert_eq!(banner_in(hidden, 1, "banner", "").0.matches("\n--b").count(), 1, "only the last delimiter");
}

#[test]
fn the_message_itself_is_replaced_with_its_header() {
    let (header, tree, body) = read("Subject: x\nContent-Type: text/html\n\n<p>bad\n");
    let replacement = Replacement { media_type: "text/plain".into(), name: None, content: b"gone".to_vec() };
    let edit = replace(&tree, 0, &header, &replacement).unwrap();
    assert_eq!(apply(&body, &edit), "gone\n");
    let header = edit.header.unwrap();
    assert_eq!(
        header.to_octets(),
        b"Subject: x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
    );
}

#[test]
fn a_banner_goes_where_the_author_wrote() {
    let wanted = |text: &str| banner_parts(&read(text).1);
    assert_eq!(wanted("Subject: x\n\nhello\n"), [0]);
    assert_eq!(wanted("Content-Disposition: attachment\n\nhello\n"), []);
    assert_eq!(wanted(MIXED), [1]);
    let alternative = "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\na\n--i\nContent-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html\n\nb\n--r\nContent-Type: image/png\n\nc\n--r--\n--i--\n--o\nContent-Type: text/plain\n\nfooter\n--o--\n";
    assert_eq!(wanted(alternative), [2, 4]);
    assert_eq!(
        wanted(
            "Content-Type: multipart/signed; boundary=b\n\n--b\n\none\n--b\nContent-Type: application/pgp-signature\n\nx\n--b--\n"
        ),
        []
    );
    assert_eq!(wanted("Content-Type: multipart/encrypted; boundary=b\n\n--b\n\none\n--b--\n"), []);
    assert_eq!(wanted("Content-Type: message/rfc822\n\nSubject: y\n\nhello\n"), []);
}

#[test]
fn plain_text_keeps_its_charset_where_that_has_the_letters() {
    assert_eq!(banner_in("Subject: x\n\nhello\n", 0, "-- \nexternal", "").0, "hello\n-- \nexternal\n");
    let (body, header) = banner_in(
        "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nsch=F6n\n",
        0,
        "gr\u{fc}n",
        "",
    );
    assert_eq!((body.as_str(), header), ("sch=F6n\ngr=FCn\n", None));
    let (body, header) = banner_in(
        "Content-Type: text/plain; format=flowed; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nsch=F6n\n",
        0,
        "\u{65e5}",
        "",
    );
    assert_eq!(body, "sch=C3=B6n\n=E6=97=A5\n");
    let header = String::from_utf8(header.unwrap().to_octets()).unwrap();
    assert!(header.contains("text/plain; charset=utf-8; format=\"flowed\""), "{header}");
    let (body, header) = banner_in("Subject: x\n\nhello\n", 0, "gr\u{fc}n", "");
    assert_eq!(body, "hello\ngr=C3=BCn\n");
    assert!(String::from_utf8(header.unwrap().to_octets()).unwrap().contains("quoted-printable"));
    let (body, _) = banner_in(
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n",
        0,
        "x",
        "",
    );
    assert_eq!(body, "aGVsbG8NCng=\n");
    let (body, _) = banner_in("Content-Type: text/plain; charset=x-nonsense\n\nhello\n", 0, "gr\u{fc}n", "");
    assert_eq!(body, "hello\ngr?n\n");
}

#[test]
fn markup_goes_before_the_end_of_the_body() {
    let html = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<html><BODY>hi</BODY></html>\n--b--\n";
    let (body, _) = banner_in(html, 1, "", "<p>gr\u{fc}n</p>");
    assert_eq!(body, "--b\nContent-Type: text/html\n\n<html><BODY>hi<p>gr&#252;n</p></BODY></html>\n--b--\n");
    let (body, _) = banner_in(
        "Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nhi\n",
        0,
        "",
        "<b>\u{65e5}\u{fc}</b>",
    );
    assert_eq!(body, "hi\n<b>&#26085;=FC</b>\n");
}

#[test]
fn a_signed_text_and_a_banner_that_is_none() {
    let (header, tree, _) = read("Subject: x\n\n-----BEGIN PGP SIGNED MESSAGE-----\n");
    let banner = Banner { text: Some("x".into()), html: None };
    assert_eq!(banner.put_into(&tree, 0, &header, b"-----BEGIN PGP SIGNED MESSAGE-----\r\n"), Ok(None));
    assert_eq!(banner.put_into(&tree, 0, &header, &vec![b'x'; BANNER_TEXT_MAX + 1]), Err(EditError::TextTooLarge));
    assert_eq!(banner.check(), Ok(()));
    for (text, html) in [(None, None), (Some(""), None), (Some("a\0"), None), (Some("a"), Some(""))] {
        let banner = Banner { text: text.map(Into::into), html: html.map(Into::into) };
        assert_eq!(banner.check(), Err(EditError::Banner));
    }
}
