"""`smtp-sink` of the postfix package: speaks SMTP, reads the message, forgets it. The floor of the protocol."""

import os
import subprocess
from pathlib import Path

from .peer import Peer, lacking

# Its listen queue, as long as the kernel allows by default.
BACKLOG = 4096
# Above the idle row's connections; its own default is 256.
CONNECTIONS = 60_000


class Sink(Peer):
    name = "smtp-sink"
    title = "smtp-sink"
    durability = "none: read and forgotten"
    refuses_relaying = False
    # A quarter of a megabyte each: more of them would only prove how much memory the machine has.
    idle_limit = 1000

    def missing(self) -> str | None:
        return lacking("smtp-sink")

    def version(self) -> str:
        version = subprocess.run(["postconf", "-dh", "mail_version"], capture_output=True, text=True, check=True)
        return f"postfix {version.stdout.strip()}"

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        # It refuses to stay root.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return ["smtp-sink", "-4", *user, "-m", str(CONNECTIONS), f"127.0.0.1:{port}", str(BACKLOG)], {}
