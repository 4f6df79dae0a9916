//! A guest reads a message's parts and edits them, through the contract.

mod support;

use serde_json::json;
use wasmail_testkit::Kit;

const MESSAGE: &str = "\
From: =?iso-8859-1?q?Jos=E9?= <jose@client.example>
Subject: =?utf-8?q?=C3=A4?=
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"out side\"

--out side
Content-Type: multipart/alternative; boundary=in

--in
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

gr=C3=BC=C3=9Fe
--in
Content-Type: text/html

<html><body>hello</body></html>
--in--
--out side
Content-Type: application/octet-stream
Content-Disposition: attachment; filename=tool.txt
Content-Transfer-Encoding: base64

TVqQAAMAAAAEAAAA//8AALgAAAA=
--out side
Content-Type: application/pdf; name*=utf-8''b%C3%BCcher.pdf
Content-Transfer-Encoding: base64

JVBERi0xLjc=
--out side--
";

#[test]
fn a_guest_reads_parts_and_edits_them() {
    let kit = Kit::of_crate(support::root().join("tests/says")).config(json!({"data-post": "edit"}));
    let mut session = kit.beside("local-domains", json!({"domains": ["example.test"]})).connect();
    let reply = session.deliver("a@client.example", "b@example.test", MESSAGE);
    assert!(reply.starts_with("250 2.0.0 Queued"), "{}", session.transcript());
    let message = &session.messages()[0];
    let header = String::from_utf8_lossy(&message.header);
    assert!(header.contains("X-Part: tool.txt application/vnd.microsoft.portable-executable 20\r\n"), "{header}");
    let body = String::from_utf8_lossy(&message.body).replace("\r\n", "\n");
    assert_eq!(
        body,
        "\
--out side
Content-Type: multipart/alternative; boundary=in

--in
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

gr=C3=BC=C3=9Fe
=2D-=20
seen
--in
Content-Type: text/html

<html><body>hello<p>seen</p></body></html>
--in--
--out side
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

b=C3=BCcher.pdf was here
--out side--
"
    );
}
