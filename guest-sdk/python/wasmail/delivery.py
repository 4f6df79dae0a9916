"""Verdicts of the hooks of delivery, and what is said of recipients there. Nothing of the message can be changed any more."""

from typing import Iterable, Optional, Union

from wit_world.imports.delivery import Answer as TargetAnswer
from wit_world.imports.delivery import Exchange

from .answer import Answer, enhanced_status, status_text

#: The largest number of 16 bits, and of 32.
_U16, _U32 = 0xFFFF, 0xFFFF_FFFF


def delay(seconds: Optional[int] = None) -> Answer:
    """At `pre_send`, `get_mx` and `deferred`: tried again after so many seconds, or, but at `deferred`, when the schedule says."""
    return Answer("delay", value=None if seconds is None else _whole(seconds, _U32, "delay"))


def bounce(text: Optional[str] = None) -> Answer:
    """At `pre_send` the recipients bounce with this text and its `status`; at `deferred`, without a text, they are given up."""
    return Answer("bounce", text)


def route(name: str) -> Answer:
    """At `pre_send`: the message goes by this route of the operator's, this time."""
    return Answer("route", name)


def done(answers: Iterable[TargetAnswer]) -> Answer:
    """At `send`: the plugin has delivered, or tried to. `answer_for` makes an answer for each target."""
    return Answer("done", value=[*answers])


def exchanges(servers: Iterable[Union[str, Exchange]]) -> Answer:
    """At `get_mx`: these servers, in place of what the DNS says; none: the domain takes no mail.

    Each is a host name or an address, and then preferred by its place in the list, or an `Exchange`.
    """
    listed = [Exchange(at, given, None) if isinstance(given, str) else given for at, given in enumerate(servers)]
    for server in listed:
        _whole(server.preference, _U16, "preference")
        _whole(server.port or 0, _U16, "port")
    return Answer("exchanges", value=listed)


def silence() -> Answer:
    """At `bounce`: the sender is not told."""
    return Answer("silence")


def answer_for(
    target: int, code: int, text: str = "", status: Optional[str] = None, host: Optional[str] = None
) -> TargetAnswer:
    r"""What became of a target, by its index: 2yz, it has the message; 4yz, to be tried again; 5yz, it never will.

    Lines of the text are parted by `\n`. The class of the status, such as `5.7.1`, must fit the code.
    """
    enhanced = None if status is None else enhanced_status(status)
    lines = text.split("\n") if text else []
    return TargetAnswer(_whole(target, _U32, "target"), _whole(code, _U16, "code"), enhanced, lines, host)


def answer_text(answer: TargetAnswer) -> str:
    """All that was said of a target, in one line, with the codes in front."""
    code = [] if answer.code is None else [str(answer.code)]
    status = [] if answer.enhanced is None else [status_text(answer.enhanced)]
    return " ".join([*code, *status, *answer.lines])


def _whole(value: int, most: int, what: str) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{what}: {value!r} is no whole number from 0 to {most}")
    return value
