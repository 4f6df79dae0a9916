"""Haraka 3 from npm, exact versions by `haraka/package-lock.json`, installed once outside the checkout."""

import functools
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from .peer import BENCH, Peer, fill, lacking

SOURCE = BENCH / "haraka"
# A slow mirror; about sixty packages.
INSTALL_SECONDS = 600


def cache() -> Path:
    """Where this exact set of packages lives: one directory a lock file, so an upgrade doesn't mix with the old."""
    base = os.environ.get("WASMAIL_BENCH_CACHE") or Path.home() / ".cache/wasmail-bench"
    digest = hashlib.sha256((SOURCE / "package-lock.json").read_bytes()).hexdigest()
    return Path(base) / f"haraka-{digest[:12]}"


@functools.cache
def install() -> str | None:
    """Installs Haraka unless it is there; why not, when that fails."""
    target = cache()
    if (target / "installed").exists():
        return None
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCE / name, target)
    # No install scripts: nothing here needs a native module.
    command = ["npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"npm took longer than {INSTALL_SECONDS} s"
    if done.returncode != 0:
        return f"npm ci failed: {done.stderr.strip()[-500:]}"
    (target / "installed").touch()
    return None


# It listens before it has read the lists that helo.checks judges names by, and refuses every EHLO until then.
LISTS_LOADED = b"loaded Public Suffixes"


class Haraka(Peer):
    """`plugins` names the list under `haraka/config`: `bare` or `eight`."""

    def __init__(self, name: str, plugins: str, title: str):
        self.name = name
        self.title = title
        self.plugins = plugins
        self.durability = "page cache: a file, not synced"
        self.refuses_listed = plugins == "eight"

    def missing(self) -> str | None:
        return lacking("node", "npm") or install()

    def version(self) -> str:
        package = json.loads((cache() / "node_modules/Haraka/package.json").read_text())
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
        return f"{package['version']} on Node.js {node.stdout.strip()}"

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        haraka = cache() / "node_modules/Haraka"
        shutil.copytree(SOURCE / "config", home / "config")
        shutil.copytree(SOURCE / "plugins", home / "plugins")
        # Haraka doesn't start without it; this is the one it ships.
        shutil.copy(haraka / "config/connection.ini", home / "config")
        shutil.copy(home / f"config/plugins.{self.plugins}", home / "config/plugins")
        fill(SOURCE / "config/smtp.ini", home / "config/smtp.ini", PORT=port)
        # `queue/test` writes the accepted messages to the temporary directory.
        (home / "accepted").mkdir()
        return ["node", str(haraka / "bin/haraka"), "-c", str(home)], {"TMPDIR": str(home / "accepted")}

    def settled(self, home: Path) -> bool:
        return self.plugins != "eight" or LISTS_LOADED in (home / "log").read_bytes()
