"""What the harness asks of every server."""

import os
import re
import shutil
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2]


class Peer:
    """One row of the table: a server in one configuration."""

    #: Short name for `--rows`.
    name: str
    #: For the table.
    title: str
    #: What a 250 after the data promises, and what becomes of the message.
    durability: str
    #: Whether it refuses recipients of foreign domains: asked before the measurement, to be sure that it judges.
    refuses_relaying = True
    #: Whether it refuses the listed sender: asked before the measurement, to be sure that the plugins run.
    refuses_listed = False
    #: The most idle connections it is given; `None` for as many as `--idle` says.
    idle_limit: int | None = None

    def missing(self) -> str | None:
        """Why this row can't be measured on this machine, or `None`. May build or fetch what is needed."""
        return None

    def version(self) -> str:
        """The version measured, for the head of the report."""
        raise NotImplementedError

    def prepare(self, home: Path, port: int) -> tuple[list[str], dict[str, str]]:
        """Writes the configuration under `home`; the command that starts the server, and its extra environment."""
        raise NotImplementedError

    def settled(self, home: Path) -> bool:
        """Whether it has loaded what it needs; most greet nobody before."""
        return True

    def pending(self, home: Path, accepted: int) -> int:
        """How many of the messages `accepted` since the start haven't been delivered yet, as far as can be seen."""
        return 0

    def stop(self, server) -> None:
        """Asks the server to end."""
        server.process.terminate()


def lacking(*programs: str) -> str | None:
    """Names the first of `programs` that isn't installed."""
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


def fill(template: Path, target: Path, **values: object) -> None:
    """Copies a configuration template, replacing each `@NAME@`. Raises `ValueError` for one that has no value."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    if left := re.search(r"@[A-Z]+@", text):
        raise ValueError(f"{template}: nothing given for {left[0]}")
    target.write_text(text)


def files_in(directory: Path) -> int:
    """How many regular files there are below `directory`, which need not exist."""
    return sum(len(files) for _, _, files in os.walk(directory))
