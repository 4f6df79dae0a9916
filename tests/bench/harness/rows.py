"""Which servers are measured, in the order of the table, and which of them the ratios are taken against."""

from .load import Load
from .peers.haraka import Haraka
from .peers.peer import Peer
from .peers.postfix import Postfix
from .peers.sink import Sink
from .peers.wasmail import Wasmail

PAGE_CACHE = "page cache: a file, not synced"
SYNCED = "synced to disk, then discarded"
SYNCED_MAILDIR = "synced to disk, then to a maildir, synced"

FLOOR = "smtp-sink"
RIVAL = "haraka-8"
DURABLE_RIVAL = "postfix"

ROWS: list[Peer] = [
    Sink(),
    Wasmail("wasmail", "wasmail, no plugin", PAGE_CACHE, None, sync=False, delivery="discard"),
    Wasmail("wasmail-8", "wasmail, eight plugins", PAGE_CACHE, "eight-plugins.toml", sync=False, delivery="discard"),
    Wasmail("wasmail-8-durable", "wasmail, eight plugins, durable", SYNCED, "eight-plugins.toml", True, "discard"),
    Wasmail(
        "wasmail-8-maildir", "wasmail, eight plugins, maildir", SYNCED_MAILDIR, "eight-plugins.toml", True, "maildir"
    ),
    Haraka("haraka", "bare", "Haraka, no plugin"),
    Haraka("haraka-8", "eight", "Haraka, eight plugins"),
    Postfix("postfix", "discard", SYNCED),
    Postfix("postfix-maildir", "virtual", SYNCED_MAILDIR),
]

# The maildir rows answer a question of their own; `--quick` leaves them out.
QUICK_ROWS = [peer.name for peer in ROWS if not peer.name.endswith("-maildir")]

SESSIONS = 20


def loads(sessions: int, quick: bool) -> list[Load]:
    """1 KB and 50 KB with a connection for each message, as most of the Internet sends; and 1 KB with kept ones."""
    both = [Load("1 KB", 1024, sessions), Load("50 KB", 50 * 1024, sessions)]
    return both if quick else [*both, Load("1 KB", 1024, sessions, keep_connections=True)]


def select(names: list[str]) -> list[Peer]:
    """The rows of these names, in the table's order; raises `KeyError` for a name that is none."""
    known = {peer.name: peer for peer in ROWS}
    for name in names:
        known[name]
    return [peer for peer in ROWS if peer.name in names]
