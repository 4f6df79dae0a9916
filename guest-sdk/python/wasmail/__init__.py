"""Plugins for wasmail in Python.

A plugin is a module with a `manifest` and a function for each of its hooks, by the hook's name in the contract with `_` for
`-`. A hook gets records of facts and returns an answer::

    import wasmail

    manifest = wasmail.Manifest(name="no-such-user", description="Refuses nobody@.")

    def rcpt(c: wasmail.Connection, t: wasmail.Transaction, r: wasmail.Recipient) -> wasmail.Answer:
        if wasmail.local_part(r.address).lower() == "nobody":
            return wasmail.deny("no such user here").status("5.1.1")
        return wasmail.next()
"""

from wit_world.imports.delivery import Answer as TargetAnswer
from wit_world.imports.delivery import Consignment, Exchange, Target
from wit_world.imports.message import Address, DateTime, Field, Media, MimePart, PassedLimit, Structure
from wit_world.imports.types import (
    AuthAttempt,
    BodyType,
    Connection,
    Denial,
    Fate,
    HelloVerb,
    Parameter,
    PluginResults,
    Recipient,
    RefusalKind,
    Reply,
    Transaction,
)

from . import message
from .answer import (
    Answer,
    accept,
    deny,
    deny_disconnect,
    deny_soft,
    deny_soft_disconnect,
    disconnect,
    next,
    overturn,
    read_as,
)
from .delivery import answer_for, answer_text, bounce, delay, done, exchanges, route, silence
from .facts import credentials, domain, local_part, note, results, token
from .log import log
from .manifest import Footprint, Manifest

__all__ = [
    "Address",
    "Answer",
    "AuthAttempt",
    "BodyType",
    "Connection",
    "Consignment",
    "DateTime",
    "Denial",
    "Exchange",
    "Fate",
    "Field",
    "Footprint",
    "HelloVerb",
    "Manifest",
    "Media",
    "MimePart",
    "Parameter",
    "PassedLimit",
    "PluginResults",
    "Recipient",
    "RefusalKind",
    "Reply",
    "Structure",
    "Target",
    "TargetAnswer",
    "Transaction",
    "accept",
    "answer_for",
    "answer_text",
    "bounce",
    "credentials",
    "delay",
    "deny",
    "deny_disconnect",
    "deny_soft",
    "deny_soft_disconnect",
    "disconnect",
    "domain",
    "done",
    "exchanges",
    "local_part",
    "log",
    "message",
    "next",
    "note",
    "overturn",
    "read_as",
    "results",
    "route",
    "silence",
    "token",
]
