"""Postfix with configuration, queue and log in a directory of its own; nothing of the machine's Postfix is touched."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from .peer import BENCH, Peer, files_in, fill, lacking

TEMPLATES = BENCH / "postfix"
# What lies in these has been accepted and not yet delivered.
QUEUES = ("incoming", "active", "deferred")


class Postfix(Peer):
    """`transport` is `discard` or `virtual` (a maildir)."""

    # A process for each connection, at most 100 of a service and 50 connections from one client by default.
    idle_limit = 40
    refuses_listed = True

    def __init__(self, name: str, transport: str, durability: str):
        self.name = name
        self.title = f"Postfix, {'discard' if transport == 'discard' else 'maildir'}"
        self.transport = transport
        self.durability = durability

    def missing(self) -> str | None:
        if os.geteuid() != 0:
            return "Postfix's master starts only as root"
        return lacking("postfix", "postconf")

    def version(self) -> str:
        version = subprocess.run(["postconf", "-dh", "mail_version"], capture_output=True, text=True, check=True)
        return version.stdout.strip()

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        owner = pwd.getpwnam("nobody")
        for directory in ("etc", "queue", "data", "maildir"):
            (home / directory).mkdir()
        shutil.chown(home / "data", "postfix")
        shutil.chown(home / "maildir", owner.pw_uid, owner.pw_gid)
        values = {"HOME": home, "PORT": port, "TRANSPORT": self.transport, "UID": owner.pw_uid, "GID": owner.pw_gid}
        fill(TEMPLATES / "main.cf", home / "etc/main.cf", **values)
        fill(TEMPLATES / "master.cf", home / "etc/master.cf", **values)
        # In the foreground: the master stays our descendant.
        return ["postfix", "-c", str(home / "etc"), "start-fg"], {}

    def pending(self, home: Path, accepted: int) -> int:
        return sum(files_in(home / "queue" / queue) for queue in QUEUES)

    def stop(self, server) -> None:
        subprocess.run(
            ["postfix", "-c", str(server.home / "etc"), "stop"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=True, timeout=20,
        )
