"""Python's smtplib sends what a story needs, and says as JSON what became of each message.

usage: talk.py HOST PORT
"""

import json
import smtplib
import sys
from email.message import EmailMessage

DATE = "Mon, 23 Nov 2026 10:00:00 +0000"
SENDER = "sender@example.org"
SEEN = []


def message(ident, body, **fields):
    """A whole message as octets, with CRLF ends: smtplib sends octets as they are. `body` has LF."""
    head = {"From": SENDER, "To": "alice@example.test", "Date": DATE, "Message-ID": f"<{ident}@example.org>",
            "X-Story": ident} | fields
    section = "".join(f"{name}: {value}\n" for name, value in head.items()).encode()
    return (section + b"\n" + body).replace(b"\n", b"\r\n")


def tell(ident, recipients, content, send):
    """Notes how `send` ended: what was accepted, and each recipient or the whole that was not."""
    entry = {"id": ident, "recipients": recipients, "content": content.decode("latin-1"), "accepted": False, "refused": {}}
    try:
        refused = send()
        entry["accepted"] = True
        entry["refused"] = {to: [code, text.decode("latin-1")] for to, (code, text) in refused.items()}
    except smtplib.SMTPRecipientsRefused as error:
        entry["refused"] = {to: [code, text.decode("latin-1")] for to, (code, text) in error.recipients.items()}
    except smtplib.SMTPResponseException as error:
        entry["refused"] = {"": [error.smtp_code, error.smtp_error.decode("latin-1")]}
    SEEN.append(entry)


def sendmail(client, ident, recipients, content, options=()):
    tell(ident, recipients, content, lambda: client.sendmail(SENDER, recipients, content, options))


def undeclared(client, content):
    """Sends without saying how long it is, so that the server finds out by counting."""
    client.rset()
    for code, text in (client.mail(SENDER), client.rcpt("alice@example.test"), client.data(content)):
        if code >= 400:
            raise smtplib.SMTPResponseException(code, text)
    return {}


def international(client):
    """A message from and to addresses in other scripts, as the email package would have it."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Date"] = "δοκιμή@example.org", "jörg@example.test", DATE
    mail["Message-ID"], mail["X-Story"], mail["Subject"] = "<utf8@example.org>", "utf8", "grüße, 世界"
    mail.set_content("Привет\n", charset="utf-8", cte="8bit")
    content = mail.as_bytes(policy=mail.policy.clone(utf8=True))
    tell("utf8", ["jörg@example.test"], content, lambda: client.send_message(mail))


def main():
    with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), local_hostname="client.example", timeout=60) as client:
        client.ehlo()
        limit = int(client.esmtp_features["size"])
        sendmail(client, "plain", ["alice@example.test"], message("plain", b"hello\n"))
        sendmail(client, "dots", ["alice@example.test"], message("dots", b".\n..\n.x\n\n.\n"))
        sendmail(client, "eight-bit", ["alice@example.test"], message("eight-bit", "grüße\n".encode()), ["BODY=8BITMIME"])
        sendmail(client, "two", ["alice@example.test", "bob@example.test"], message("two", b"to both\n"))
        sendmail(client, "mixed", ["alice@example.test", "x@elsewhere.test", "bob@example.test"], message("mixed", b"m\n"))
        sendmail(client, "nobody", ["x@elsewhere.test", "y@elsewhere.test"], message("nobody", b"never\n"))
        sendmail(client, "folded", ["bob@example.test"], message("folded", b"f\n", Subject="a\n long\n\tone"))
        long_lines = message("long", b"x" * 990 + b"\n" + b"y" * 998 + b"\n")
        sendmail(client, "long", ["alice@example.test"], long_lines)
        sendmail(client, "large", ["alice@example.test"], message("large", (b"0123456789" * 7 + b"\n") * (limit // 80)))
        huge = message("huge", (b"0123456789" * 7 + b"\n") * (limit // 70))
        sendmail(client, "huge", ["alice@example.test"], huge)
        tell("undeclared", ["alice@example.test"], huge, lambda: undeclared(client, huge))
        client.rset()
        international(client)
        sendmail(client, "last", ["alice@example.test"], message("last", b"the session still works\n"))
    json.dump(SEEN, sys.stdout)


main()
