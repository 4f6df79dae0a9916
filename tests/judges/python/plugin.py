"""Says about delivery what it is told to, and logs what it is asked, as ../src/lib.rs does."""

from typing import Optional

import wasmail
from wasmail import Answer, Connection, Consignment, Exchange, TargetAnswer, Transaction, log, message

manifest = wasmail.Manifest(
    name="judges", version="0.1.0", reads_notes=["/judges/subject"], needs=["take-messages", "route"]
)

# What to say, by hook and domain, as `pre-send example.org`.
sayings: dict[str, str] = {}


def configure(given: dict[str, str]) -> None:
    sayings.update(given)


def at(hook: str, c: Consignment) -> tuple[str, str]:
    """A verdict's name and what stands behind it, at the first attempt; later it has no opinion."""
    targets = " ".join(f"{target.address}#{target.attempts}" for target in c.targets)
    noted = wasmail.note(c, "/judges/subject", "nothing")
    log.info("%s %s [%s] from %s, noted %s", hook, c.destination, targets, c.reverse_path, noted)
    fresh = all(target.attempts == 0 for target in c.targets) or hook == "bounce"
    saying = sayings.get(f"{hook} {c.destination}", "next") if fresh else "next"
    verdict, _, rest = saying.partition(" ")
    return verdict, rest


def wait(text: str) -> Answer:
    return wasmail.delay(int(text) if text else None)


def tell(what: str, answers: list[TargetAnswer]) -> None:
    for answer in answers:
        log.info("%s: %s", what, wasmail.answer_text(answer))


def data_post(c: Connection, t: Transaction) -> Answer:
    return wasmail.next().set_note("transaction", "/judges/subject", message.value("Subject"))


def pre_send(c: Consignment) -> Optional[Answer]:
    log.info("about %s, %d octets of body", message.value("Subject"), message.body_size())
    match at("pre-send", c):
        case "delay", rest:
            return wait(rest)
        case "bounce", rest:
            return wasmail.bounce(rest)
        case "route", rest:
            return wasmail.route(rest)
        case "wrong", _:
            return wasmail.silence()
        case "change", _:
            return wasmail.next().set_note("transaction", "/judges/late", True)
        case "trap", _:
            raise RuntimeError("told to")
    return None


def send(c: Consignment) -> Answer:
    verdict, rest = at("send", c)
    if verdict != "done":
        return wasmail.next()
    code, _, text = rest.partition(" ")
    subject = message.value("Subject")
    return wasmail.done(wasmail.answer_for(target, int(code), f"{text} {subject}") for target in range(len(c.targets)))


def get_mx(c: Consignment) -> Answer:
    match at("get-mx", c):
        case "exchange", rest:
            host, _, port = rest.rpartition(":")
            return wasmail.exchanges([Exchange(10, host, int(port))])
        case "none", _:
            return wasmail.exchanges([])
        case "delay", rest:
            return wait(rest)
    return wasmail.next()


def delivered(c: Consignment, answers: list[TargetAnswer]) -> None:
    at("delivered", c)
    tell("delivered", answers)


def deferred(c: Consignment, answers: list[TargetAnswer]) -> Answer:
    tell("deferred", answers)
    match at("deferred", c):
        case "delay", rest:
            return wait(rest)
        case "bounce", _:
            return wasmail.bounce()
    return wasmail.next()


def bounce(c: Consignment, answers: list[TargetAnswer]) -> Answer:
    tell("bounces", answers)
    verdict, _ = at("bounce", c)
    return wasmail.silence() if verdict == "silence" else wasmail.next()
