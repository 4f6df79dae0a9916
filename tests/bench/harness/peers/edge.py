"""Rows of the second command: durable intake, delivery to another server, TLS."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ..server import LOOPBACK, free_port, greets
from .opensmtpd import OpenSmtpd
from .postfix import Postfix
from .sink import BACKLOG
from .wasmail import Wasmail

SINK_SECONDS = 10
CERTIFICATE = [
    "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
    "-subj", "/CN=mx.example.test",
]  # fmt: skip


@contextlib.contextmanager
def sink() -> Iterator[int]:
    """`smtp-sink` as the next hop, of which nothing is measured; its port."""
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = subprocess.Popen(["smtp-sink", "-4", *user, f"{LOOPBACK}:{port}", str(BACKLOG)])
    try:
        deadline = time.monotonic() + SINK_SECONDS
        while not greets(port) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


class EdgeWasmail(Wasmail):
    """wasmail without a plugin and with more lines of configuration, durable."""

    def __init__(self, name: str, title: str, durability: str, more: str = "", delivery: str = "discard"):
        super().__init__(name, title, durability, None, sync=True, delivery=delivery)
        self.more = more

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        command = super().prepare(home, port)
        with open(home / "wasmail.toml", "a") as file:
            file.write(self.more)
        return command

    def pending(self, home: Path, accepted: int) -> int:
        return 0


class EdgePostfix(Postfix):
    """Postfix with more lines of configuration."""

    def __init__(self, name: str, title: str, durability: str, more: str = "", transport: str = "discard"):
        super().__init__(name, transport, durability)
        self.title = title
        self.more = more

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        command = super().prepare(home, port)
        if "smtpd_tls" in self.more:
            keys = ["-keyout", str(home / "etc/key.pem"), "-out", str(home / "etc/certificate.pem")]
            subprocess.run([*CERTIFICATE, *keys], check=True, capture_output=True)
        with open(home / "etc/main.cf", "a") as file:
            file.write(self.more.replace("@HOME@", str(home)))
        # Its client, and the manager of TLS sessions.
        with open(home / "etc/master.cf", "a") as file:
            file.write("smtp unix - - n - - smtp\ntlsmgr unix - - n 1000? 1 tlsmgr\n")
        return command


def durable(kept: bool = True) -> list:
    """OpenSMTPD only over `kept` connections: it begins each one with a look-up that takes seconds where there is no name server."""
    peers = [
        EdgeWasmail("wasmail", "wasmail, no plugin", "synced to disk, then discarded"),
        EdgePostfix("postfix", "Postfix", "synced to disk, then discarded"),
        OpenSmtpd(),
    ]
    return peers if kept else peers[:-1]


def delivering(port: int) -> list:
    promise = "synced to disk, then to smtp-sink"
    hop = f"next_hop = \"{LOOPBACK}:{port}\"\n"
    return [
        EdgeWasmail("wasmail", "wasmail, no plugin", promise, hop, delivery="smtp"),
        EdgePostfix("postfix", "Postfix", promise, transport=f"smtp:[{LOOPBACK}]:{port}"),
    ]


def secured() -> list:
    tls = (
        "smtpd_tls_security_level = may\nsmtpd_tls_cert_file = @HOME@/etc/certificate.pem\n"
        "smtpd_tls_key_file = @HOME@/etc/key.pem\n"
    )
    promise = "synced to disk, then discarded"
    # wasmail makes a certificate of its own, of the same kind: ECDSA with P-256.
    return [EdgeWasmail("wasmail", "wasmail, no plugin", promise), EdgePostfix("postfix", "Postfix", promise, tls)]


def queueing() -> EdgeWasmail:
    """One whose next hop is away: nobody listens there."""
    more = f"next_hop = \"{LOOPBACK}:1\"\n[delivery.retry]\nfirst = \"4h\"\nlongest = \"4h\"\n[log]\nlevel = \"error\"\n"
    peer = EdgeWasmail("wasmail", "wasmail", "written to the spool, not synced", more, delivery="smtp")
    peer.sync = False
    return peer
