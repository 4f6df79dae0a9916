"""What a hook answers."""

import json
import re
from typing import Any, Literal, Optional, Self, Sequence

from wit_world.imports import types

Scope = Literal["connection", "transaction"]
ResultList = Literal["pass", "fail", "msg", "skip", "err"]

_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})")


class Answer:
    """A verdict, and changes in order. Every method returns the answer itself.

    Begin one with `next`, `accept`, `deny` and the like.
    """

    def __init__(self, verdict: str, text: Optional[str] = None, value: Any = None) -> None:
        self.verdict = verdict
        #: What a verdict of a hook of delivery carries that is no text.
        self.value = value
        self.reply: Optional[types.Reply] = None
        self.mutations: list[types.Mutation] = []
        if text is not None:
            self._reply().lines = text.split("\n")

    def _reply(self) -> types.Reply:
        if self.reply is None:
            self.reply = types.Reply(None, None, [])
        return self.reply

    def code(self, code: int) -> Self:
        """The reply's code, which must fit the verdict."""
        self._reply().code = code
        return self

    def status(self, status: str) -> Self:
        """The enhanced status code (RFC 3463), such as `5.7.1`."""
        self._reply().enhanced = enhanced_status(status)
        return self

    def change(self, mutation: types.Mutation) -> Self:
        """Any mutation of `wit_world.imports.types`, for those without a method."""
        self.mutations.append(mutation)
        return self

    def set_note(self, scope: Scope, pointer: str, value: Any) -> Self:
        """Sets a note to anything that JSON can say."""
        return self.change(types.Mutation_SetNote(types.NoteChange(_scope(scope), pointer, json.dumps(value))))

    def remove_note(self, scope: Scope, pointer: str) -> Self:
        return self.change(types.Mutation_RemoveNote(types.NoteRemoval(_scope(scope), pointer)))

    def result(self, scope: Scope, list: ResultList, text: str) -> Self:
        """Appends to one of the lists of the plugin's own results."""
        try:
            name = types.ResultList[list.upper()]
        except KeyError:
            raise ValueError(f"no list of results: {list!r}") from None
        return self.change(types.Mutation_AddResult(types.ResultEntry(_scope(scope), name, text)))

    def increment(self, scope: Scope, key: str, by: float = 1) -> Self:
        """Adds to a number in the plugin's own results."""
        return self.change(types.Mutation_IncrResult(types.ResultIncrement(_scope(scope), key, float(by))))

    def push_result(self, scope: Scope, key: str, value: Any) -> Self:
        return self.change(types.Mutation_PushResult(types.ResultValue(_scope(scope), key, json.dumps(value))))

    def set_result(self, scope: Scope, key: str, value: Any) -> Self:
        return self.change(types.Mutation_SetResult(types.ResultValue(_scope(scope), key, json.dumps(value))))

    def add_header(self, name: str, value: str) -> Self:
        return self.change(types.Mutation_AddHeader(types.HeaderField(name, value)))

    def prepend_header(self, name: str, value: str) -> Self:
        return self.change(types.Mutation_PrependHeader(types.HeaderField(name, value)))

    def replace_header(self, position: int, name: str, value: str) -> Self:
        return self.change(types.Mutation_ReplaceHeader(types.HeaderReplacement(position, name, value)))

    def remove_header(self, position: int) -> Self:
        return self.change(types.Mutation_RemoveHeader(position))

    def add_recipient(self, address: str, parameters: Sequence[types.Parameter] = ()) -> Self:
        return self.change(types.Mutation_AddRecipient(types.Recipient(address, [*parameters])))

    def remove_recipient(self, position: int) -> Self:
        return self.change(types.Mutation_RemoveRecipient(position))

    def rewrite_recipient(
        self, position: int, address: str, parameters: Optional[Sequence[types.Parameter]] = None
    ) -> Self:
        """Gives a recipient another address, and other parameters if some are given."""
        kept = None if parameters is None else [*parameters]
        return self.change(types.Mutation_RewriteRecipient(types.RecipientRewrite(position, address, kept)))

    def set_reverse_path(self, address: str) -> Self:
        """The empty text is the null path."""
        return self.change(types.Mutation_SetReversePath(address))

    def add_banner(self, text: Optional[str] = None, html: Optional[str] = None) -> Self:
        """Puts a text below what the author wrote: plain, as HTML, or both."""
        return self.change(types.Mutation_AddBanner(types.Banner(text, html)))

    def replace_part(self, part: int, media_type: str, content: bytes, name: Optional[str] = None) -> Self:
        return self.change(types.Mutation_ReplacePart(types.PartReplacement(part, media_type, name, content)))

    def remove_part(self, part: int) -> Self:
        return self.change(types.Mutation_RemovePart(part))

    def set_route(self, name: Optional[str]) -> Self:
        """One of the operator's routes; none for the usual way."""
        return self.change(types.Mutation_SetRoute(name))

    def quarantine(self, reason: str) -> Self:
        return self.change(types.Mutation_Quarantine(reason))

    def set_relaying(self, relaying: bool) -> Self:
        return self.change(types.Mutation_SetRelaying(relaying))

    def set_remote_host(self, host: Optional[str]) -> Self:
        return self.change(types.Mutation_SetRemoteHost(host))

    def delay(self, milliseconds: int) -> Self:
        """Lets the client wait, 30 000 milliseconds at most."""
        return self.change(types.Mutation_Delay(milliseconds))

    def skip_plugin(self, name: str) -> Self:
        return self.change(types.Mutation_SkipPlugin(name))

    def add_capability(self, line: str) -> Self:
        return self.change(types.Mutation_AddCapability(line))


def enhanced_status(text: str) -> types.EnhancedStatus:
    """The enhanced status code (RFC 3463) that is written as `5.7.1`."""
    parts = _STATUS.fullmatch(text)
    if parts is None:
        raise ValueError(f"a status is written as 5.7.1, not {text!r}")
    return types.EnhancedStatus(*map(int, parts.groups()))


def status_text(status: types.EnhancedStatus) -> str:
    """How an enhanced status code is written."""
    return f"{status.class_}.{status.subject}.{status.detail}"


def _scope(scope: Scope) -> types.Scope:
    if scope not in ("connection", "transaction"):
        raise ValueError(f"no scope: {scope!r}; there are 'connection' and 'transaction'")
    return types.Scope[scope.upper()]


def next() -> Answer:
    """No opinion: the next plugin is asked; at the hooks of delivery, the host does as usual when there is none.

    A hook that returns None says the same.
    """
    return Answer("next")


def accept(text: Optional[str] = None) -> Answer:
    """Good, and no further plugin is asked."""
    return Answer("accept", text)


def deny(text: Optional[str] = None) -> Answer:
    r"""Refuses for good. Lines are parted by `\n`."""
    return Answer("deny", text)


def deny_soft(text: Optional[str] = None) -> Answer:
    """Refuses for now."""
    return Answer("deny-soft", text)


def deny_disconnect(text: Optional[str] = None) -> Answer:
    """Refuses for good, and the connection is closed."""
    return Answer("deny-disconnect", text)


def deny_soft_disconnect(text: Optional[str] = None) -> Answer:
    """Refuses for now, and the connection is closed."""
    return Answer("deny-soft-disconnect", text)


def disconnect() -> Answer:
    """Closes the connection without a word."""
    return Answer("disconnect")


def read_as(line: str) -> Answer:
    """The hook `unrecognized_command` alone: the host carries this line out instead."""
    return Answer("read-as", line)


def overturn(text: Optional[str] = None) -> Answer:
    """The hook `deny` alone: the refusal is overturned."""
    return Answer("overturn", text)
