"""For the module that `wasmail plugin build` writes: between the component's exports and the author's functions."""

import json
from types import ModuleType
from typing import Any, Callable, Collection, Optional

from componentize_py_types import Err
from wit_world.exports import describe
from wit_world.imports import delivery, types

from .answer import Answer, next, status_text
from .manifest import Footprint, Manifest


def hook(plugin: ModuleType, name: str) -> Callable[..., Any]:
    """The author's function; a missing one is told while the plugin is built."""
    function = getattr(plugin, name, None)
    if not callable(function):
        raise AttributeError(f"{plugin.__name__}.py has no function {name}, which wasmail-plugin.toml names in hooks")
    return function


def described(plugin: ModuleType) -> describe.Manifest:
    """The manifest as the host wants it."""
    manifest = getattr(plugin, "manifest", None)
    if not isinstance(manifest, Manifest):
        raise AttributeError(f"{plugin.__name__}.py has no manifest = wasmail.Manifest(name=...)")
    schema = manifest.config_schema
    return describe.Manifest(
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        reads_notes=[*manifest.reads_notes],
        reads_results=[*manifest.reads_results],
        needs=[*manifest.needs],
        config_schema=schema if schema is None or isinstance(schema, str) else json.dumps(schema),
        footprint=_footprint(manifest.footprint),
    )


def _footprint(footprint: Optional[Footprint]) -> Optional[describe.Footprint]:
    if footprint is None:
        return None
    reads, writes = _facts(footprint.reads), _facts(footprint.writes)
    return describe.Footprint(reads, writes, [*footprint.writes_notes])


def _facts(names: Collection[str]) -> describe.Facts:
    facts = describe.Facts(0)
    for name in names:
        try:
            facts |= describe.Facts[name.upper().replace("-", "_")]
        except KeyError:
            raise ValueError(f"footprint: there is no fact {name!r}") from None
    return facts


def configured(configure: Callable[[Any], None], config: str) -> None:
    """Hands over a configuration; what the author's function raises is why it is refused."""
    try:
        configure(json.loads(config))
    except (TypeError, ValueError) as why:
        raise Err(str(why)) from None
    except Exception as why:
        raise Err(f"{type(why).__name__}: {why}") from None


def answered(hook: str, outcome: str, carries: dict[str, str], answer: Optional[Answer]) -> Any:
    """An answer as the host wants it. `carries` says what each verdict carries; it is empty where there are changes alone."""
    answer = next() if answer is None else answer
    if not isinstance(answer, Answer):
        raise TypeError(f"{hook} returned {answer!r} and no answer: return next(), deny(text) and the like")
    if not carries:
        if answer.verdict != "next":
            raise ValueError(f"{hook} knows no {answer.verdict}: it answers with next() alone")
        return types.Changes(answer.mutations)
    kind = carries.get(answer.verdict)
    if kind is None:
        raise ValueError(f"{hook} knows no {answer.verdict}")
    verdict = getattr(types, f"{outcome.replace('Outcome', 'Verdict')}_{_camel(answer.verdict)}")
    made = verdict() if kind == "nothing" else verdict(_carried(kind, answer.reply))
    return getattr(types, outcome)(made, answer.mutations)


def judged(hook: str, verdict: str, carries: dict[str, str], answer: Optional[Answer]) -> Any:
    """The verdict of a hook of delivery as the host wants it. `carries` says what each carries there."""
    answer = next() if answer is None else answer
    if not isinstance(answer, Answer):
        raise TypeError(f"{hook} returned {answer!r} and no answer: return next(), delay(60) and the like")
    kind = carries.get(answer.verdict)
    if kind is None:
        raise ValueError(f"{hook} knows no {answer.verdict}: there are {', '.join(carries)}")
    wrong = _wrong(kind, answer)
    if wrong is not None:
        raise ValueError(f"{hook}: {answer.verdict} {wrong}")
    make = getattr(delivery, f"{verdict}_{_camel(answer.verdict)}")
    if kind == "nothing":
        return make()
    return make(_reason(answer.reply) if kind.endswith("text") else answer.value)


def _wrong(kind: str, answer: Answer) -> Optional[str]:
    """What is wrong with an answer about delivery whose verdict carries this."""
    reply = answer.reply
    if answer.mutations:
        return "cannot come with changes: nothing of the message can be changed"
    if reply is not None and reply.code is not None:
        return "has no code"
    if kind == "nothing" and (reply is not None or answer.value is not None):
        return "carries nothing here"
    if kind != "optional text" and reply is not None and reply.enhanced is not None:
        return "has no status"
    if kind == "text" and reply is None:
        return "needs a text"
    if kind == "seconds" and answer.value is None:
        return "needs to know how many seconds"
    return None


def _reason(reply: Optional[types.Reply]) -> Optional[str]:
    """A text in one line, with its status in front."""
    if reply is None:
        return None
    status = [] if reply.enhanced is None else [status_text(reply.enhanced)]
    return " ".join([*status, *reply.lines])


def _carried(kind: str, reply: Optional[types.Reply]) -> Any:
    if kind == "reply":
        return reply
    line = reply.lines[0] if reply is not None and reply.lines else None
    return line if kind == "optional text" else line or ""


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))
