"""The message, at `part`, `data_post`, `queue`, `queue_outbound` and the hooks of delivery; to read it elsewhere is a fault."""

from typing import Callable, Iterator, Optional, TypeVar

from componentize_py_types import Err
from wit_world.imports import message as host
from wit_world.imports.message import Address, DateTime, Field, Media, Structure

_T = TypeVar("_T")
#: The most octets that the host gives at once.
_PIECE = 65_536


class MessageError(Exception):
    """The message cannot be read as it was asked for."""


def body_size() -> int:
    """Octets of the body."""
    return host.body_size()


def fields() -> list[Field]:
    """The header fields, first one on top."""
    return host.fields()


def values(name: str) -> list[str]:
    """The values of the fields of a name; case means nothing."""
    return host.values(name)


def value(name: str) -> Optional[str]:
    """The first of them."""
    return _first(host.values(name))


def positions(name: str) -> list[int]:
    """Where the fields of a name stand, counted from 0 at the top."""
    return [at for at, field in enumerate(host.fields()) if field.name.lower() == name.lower()]


def raw_field(position: int) -> Optional[bytes]:
    """A field's octets, folding and final CRLF included."""
    return host.raw_field(position)


def decoded_field(position: int) -> Optional[str]:
    """A field's value with its encoded words decoded. It may hold any character."""
    return host.decoded_field(position)


def decoded(name: str) -> Optional[str]:
    """The first field of a name with its encoded words decoded."""
    return _first([host.decoded_field(at) for at in positions(name)[:1]])


def addresses(name: str) -> list[Address]:
    """The addresses in the fields of a name, such as From or To."""
    return [address for at in positions(name) for address in host.addresses(at)]


def date(name: str = "Date") -> Optional[DateTime]:
    """The date in the first field of a name."""
    return _first([host.date(at) for at in positions(name)[:1]])


def message_ids(name: str) -> list[str]:
    """The message-ids in the fields of a name, such as References, without angle brackets."""
    return [id for at in positions(name) for id in host.message_ids(at)]


def media_type(name: str = "Content-Type") -> Optional[Media]:
    """The media type or disposition in the first field of a name."""
    return _first([host.media_type(at) for at in positions(name)[:1]])


def structure() -> Structure:
    """The MIME parts, and the first limit that was passed."""
    return _read(host.read_structure)


def part_fields(part: int) -> list[Field]:
    """The header fields of a part."""
    return _read(lambda: host.part_fields(part))


def part(number: int, piece: int = _PIECE) -> Iterator[bytes]:
    """The decoded content of a part, in pieces of at most 65 536 octets."""
    return _pieces(lambda offset: host.read_part(number, offset, piece))


def body(piece: int = _PIECE) -> Iterator[bytes]:
    """The body, in pieces of at most 65 536 octets."""
    return _pieces(lambda offset: host.read_body(offset, piece))


def _first(found: list[_T]) -> Optional[_T]:
    return found[0] if found else None


def _read(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except Err as why:
        raise MessageError(why.value) from None


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    offset = 0
    while octets := _read(lambda: read(offset)):
        yield octets
        offset += len(octets)
