"""wasmail itself, from a release build of this checkout or from `$WASMAIL_BIN`."""

import functools
import json
import os
import subprocess
from pathlib import Path

from .peer import BENCH, Peer, files_in, fill

TEMPLATES = BENCH / "wasmail"
ROOT = BENCH.parents[1]
MAILDIR = "maildir"
# Nobody accepts recipients when there is no plugin: the listener must trust its clients.
NO_POLICY = "plugin = []"
TRUSTING = "relaying = true"
# Wasmtime alone takes some ten minutes on two cores when nothing is cached.
BUILD_SECONDS = 3600


def binary() -> Path:
    """The server to measure: `$WASMAIL_BIN`, or what a release build of this checkout leaves behind."""
    if given := os.environ.get("WASMAIL_BIN"):
        return Path(given)
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Path(json.loads(found.stdout)["target_directory"]) / "release/wasmail"


@functools.cache
def build() -> str | None:
    """Builds the server unless one was given; why not, when that fails."""
    if not os.environ.get("WASMAIL_BIN"):
        command = ["cargo", "build", "--release", "--bin", "wasmail"]
        try:
            subprocess.run(command, cwd=ROOT, check=True, timeout=BUILD_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            return f"cargo build failed: {error}"
    if not os.access(binary(), os.X_OK):
        return f"no executable at {binary()}"
    return None


class Wasmail(Peer):
    """`plugins` is a template beside `server.toml` or `None`; `sync` and `delivery` fill the server's."""

    def __init__(self, name: str, title: str, durability: str, plugins: str | None, sync: bool, delivery: str):
        self.name = name
        self.title = title
        self.durability = durability
        self.plugins = plugins
        self.sync = sync
        self.delivery = delivery
        self.refuses_listed = self.refuses_relaying = plugins is not None

    def missing(self) -> str | None:
        return build()

    def version(self) -> str:
        version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
        return version.stdout.strip()

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        config = home / "wasmail.toml"
        values = {"HOME": home, "PORT": port, "SYNC": str(self.sync).lower(), "DELIVERY": self.delivery}
        policy = ("", "") if self.plugins else (NO_POLICY, TRUSTING)
        values |= dict(zip(("POLICY", "LISTENER"), policy)) | {"MAILDIR": home / MAILDIR}
        fill(TEMPLATES / "server.toml", config, **values)
        if self.plugins:
            with open(config, "a") as file:
                file.write((TEMPLATES / self.plugins).read_text())
        return [str(binary()), "serve", "--config", str(config)], {}

    def pending(self, home: Path, accepted: int) -> int:
        # What is discarded leaves no trace; that the server is at rest must do.
        return accepted - files_in(home / MAILDIR / "new") if self.delivery == "maildir" else 0
