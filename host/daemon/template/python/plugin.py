"""Refuses mail from listed senders. A start: change it into what you need."""

from typing import Any

import wasmail
from wasmail import Answer, Connection, Transaction

manifest = wasmail.Manifest(
    name="{{name}}",
    version="0.1.0",
    description="Refuses mail from listed senders.",
)

# It lives as long as the instance, which the server may drop at any moment: what must last belongs into notes.
senders: set[str] = set()


def configure(config: dict[str, Any]) -> None:
    """Takes what the operator writes below `[plugin.config]`. What is raised says what is wrong with it."""
    for key in config:
        if key != "senders":
            raise ValueError(f"unknown key `{key}`; there is `senders`")
    listed = config.get("senders")
    if not isinstance(listed, list):
        raise ValueError("senders: expected a list of addresses")
    for at, sender in enumerate(listed):
        if not isinstance(sender, str) or "@" not in sender:
            raise ValueError(f"senders[{at}]: this is no address")
        senders.add(sender.lower())


def mail(c: Connection, t: Transaction) -> Answer:
    if t.reverse_path.lower() in senders:
        return wasmail.deny("We take no mail from you").status("5.7.1")
    return wasmail.next()
