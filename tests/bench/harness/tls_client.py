"""A load with STARTTLS, or without it, by Python's smtplib: `tls_client.py PORT MESSAGES OCTETS SESSIONS tls|clear`.

`smtp-source` speaks no TLS. This one is slow, so only the server's own CPU time for a message says anything. Each session is a process,
and each message a connection, with a full handshake.
"""

import os
import smtplib
import ssl
import sys

BODY_LINE = b"X" * 76 + b"\r\n"


def context() -> ssl.SSLContext:
    """The certificates of the benchmark are signed by themselves."""
    found = ssl.create_default_context()
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    return found


def main(port: int, messages: int, octets: int, tls: bool) -> None:
    head = b"From: sender@example.org\r\nTo: inbox@example.test\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n\r\n"
    message = head + BODY_LINE * (octets // len(BODY_LINE) + 1)
    trust = context() if tls else None
    for _ in range(messages):
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example.org", timeout=60) as client:
            if trust:
                client.starttls(context=trust)
            client.sendmail("sender@example.org", ["inbox@example.test"], message)


if __name__ == "__main__":
    port, messages, octets, sessions = map(int, sys.argv[1:5])
    shares = [messages // sessions + (number < messages % sessions) for number in range(sessions)]
    children = []
    for share in shares:
        if pid := os.fork():
            children.append(pid)
        else:
            main(port, share, octets, sys.argv[5] == "tls")
            os._exit(0)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children))
