"""The example that there is in every language; ../../example/README.md says what it does."""

from dataclasses import dataclass, field, fields
from typing import Any

import wasmail
from componentize_py_types import Err
from wit_world.imports import kv
from wit_world.imports.capability import Failure_NotGranted
from wasmail import Answer, Connection, Recipient, Transaction, message

manifest = wasmail.Manifest(
    name="example",
    version="0.1.0",
    description="The example that there is in every language.",
    reads_notes=["/example/seen", "/example/recipients"],
    needs=["accept-recipients"],
)


@dataclass
class Config:
    domains: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    greeting: str = ""


# It lives as long as the instance.
config = Config()


def configure(given: dict[str, Any]) -> None:
    for key, value in given.items():
        if key not in (known.name for known in fields(Config)):
            raise ValueError(f"unknown key `{key}`")
        if key == "greeting":
            if not isinstance(value, str):
                raise TypeError("greeting: expected a text")
        elif not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise TypeError(f"{key}: expected a list of texts")
        setattr(config, key, value)


def listed(texts: list[str], text: str) -> bool:
    return text.lower() in (entry.lower() for entry in texts)


def connect(c: Connection) -> Answer:
    return wasmail.next().set_note("connection", "/example/seen", 1)


def greeted(sender: str) -> Answer:
    """Greets a sender, and says how often it has come."""
    if not config.greeting:
        return wasmail.next()
    try:
        return wasmail.accept(f"{config.greeting}, {kv.increment(sender, 1, None)}")
    except Err as failure:
        granted = not isinstance(failure.value, Failure_NotGranted)
        return wasmail.next() if granted else wasmail.accept(f"{config.greeting}, stranger")


def mail(c: Connection, t: Transaction) -> Answer:
    answer = greeted(t.reverse_path)
    if listed(config.blocked, t.reverse_path):
        answer = wasmail.deny(f"{t.reverse_path} is blocked here").status("5.7.1")
    return answer.increment("connection", "senders")


def rcpt(c: Connection, t: Transaction, r: Recipient) -> Answer:
    if wasmail.local_part(r.address).lower() == "nobody":
        return wasmail.deny("no such user here\nask postmaster").status("5.1.1")
    answer = wasmail.accept() if listed(config.domains, wasmail.domain(r.address)) else wasmail.next()
    return answer.set_note("transaction", "/example/recipients", len(t.recipients) + 1)


def data_post(c: Connection, t: Transaction) -> Answer:
    subject = message.value("Subject")
    if subject is None:
        return wasmail.deny_soft("come back with a subject").code(451).status("4.7.1")
    recipients = wasmail.note(t, "/example/recipients", 0)
    seen = wasmail.note(c, "/example/seen", 0)
    told = f"recipients={recipients}; subject={len(subject)}; body={message.body_size()}; seen={seen}"
    return wasmail.next().add_header("X-Example", told).result("transaction", "pass", "checked")
