"""OpenSMTPD, unpacked by `tests/peers/unpack` and run with an `/etc` and a `/var` of its own: no two mail servers are installed beside each other."""

import os
import shutil
import subprocess
from pathlib import Path

from ..server import LOOPBACK
from .peer import Peer, lacking

# Numbers that nobody else on the machine has.
USERS = {"opensmtpd": 9801, "opensmtpq": 9802}
# The paths that were compiled into it lead into the directories given, for it and its children alone.
PUT_IN_PLACE = """set -e
mount --bind "$1/etc" /etc
mount --bind "$1/var" /var
mount --bind "$2/usr/sbin" /usr/sbin
if [ -d "$2/usr/libexec" ]; then mount --bind "$2/usr/libexec" /usr/libexec; fi
shift 2
"$@"
exit $?
"""


class OpenSmtpd(Peer):
    """Mail for `example.test` is kept: it throws none away without a program for each message, and nobody answers at its next hop.

    To one that answers it delivers a few messages a second, by limits that its configuration can't lift.
    """

    name = "opensmtpd"
    title = "OpenSMTPD"
    durability = "synced to disk, then kept"

    @staticmethod
    def unpacked() -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Path(os.environ.get("WASMAIL_PEERS") or cache / "wasmail-peers") / "opensmtpd"

    def missing(self) -> str | None:
        if os.geteuid() != 0:
            return "only root may put directories into place"
        if not (self.unpacked() / "usr/sbin/smtpd").exists():
            return "OpenSMTPD is not unpacked: tests/peers/unpack"
        return lacking("unshare")

    def version(self) -> str:
        command = self.apart(None, ["smtpd", "-h"])
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return said.stdout.splitlines()[0].rpartition(" ")[2]

    def apart(self, home: Path | None, command: list[str]) -> list[str]:
        """A command that runs this one among its own directories; without a home, among the machine's."""
        etc_and_var = str(home) if home else "/"
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return [*unshare, "sh", "-c", PUT_IN_PLACE, "sh", etc_and_var, str(self.unpacked()), *command]

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        for directory in ("etc/ssl/certs", "var/run", "var/tmp", "var/log", "var/spool", "var/lib/opensmtpd/empty"):
            (home / directory).mkdir(parents=True)
        for file in ("nsswitch.conf", "ld.so.cache", "localtime", "ssl/certs/ca-certificates.crt"):
            if Path("/etc", file).exists():
                shutil.copy(Path("/etc", file), home / "etc" / file)
        users = "".join(f"{name}:x:{number}:{number}::/nonexistent:/bin/false\n" for name, number in USERS.items())
        groups = "".join(f"{name}:x:{number}:\n" for name, number in USERS.items())
        (home / "etc/passwd").write_text(f"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n{users}")
        (home / "etc/group").write_text(f"root:x:0:\nnogroup:x:65534:\n{groups}")
        (home / "etc/hosts").write_text(f"{LOOPBACK} localhost\n")
        # It asks for each client's name, and would ask the DNS first.
        (home / "etc/resolv.conf").write_text("lookup file\n")
        (home / "etc/mailname").write_text("opensmtpd.example\n")
        (home / "etc/smtpd.conf").write_text(
            # A session may have a hundred mails as it ships, which is fewer than a kept connection sends.
            f"smtp limit max-mails 1000000\nlisten on {LOOPBACK} port {port} hostname opensmtpd.example\n"
            f'action "onward" relay host smtp://{LOOPBACK}:1 helo opensmtpd.example\n'
            f'match from any for domain "example.test" action "onward"\n'
        )
        return self.apart(home, ["smtpd", "-d", "-f", "/etc/smtpd.conf"]), {}
