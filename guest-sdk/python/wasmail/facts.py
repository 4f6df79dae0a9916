"""Reads what the hooks are given."""

import json
from typing import Any, Optional, Union

from wit_world.imports.delivery import Consignment
from wit_world.imports.types import AuthAttempt, Connection, Credentials_Password, Credentials_Token, PluginResults, Transaction


def note(of: Union[Connection, Transaction, Consignment], pointer: str, default: Any = None) -> Any:
    """The value of a note that the manifest asks for, of a connection, a transaction or a consignment."""
    for found in of.notes:
        if found.pointer == pointer:
            return json.loads(found.value)
    return default


def results(of: Union[Connection, Transaction], plugin: str) -> Optional[PluginResults]:
    """What a plugin recorded, if the manifest asks for it."""
    for found in of.results:
        if found.plugin == plugin:
            return found
    return None


def credentials(attempt: AuthAttempt) -> Optional[tuple[str, str]]:
    """The user's name and the password; nothing without the grant `credentials`, or when it is a token."""
    shown = attempt.credentials
    return (shown.value.user, shown.value.password) if isinstance(shown, Credentials_Password) else None


def token(attempt: AuthAttempt) -> Optional[tuple[str, str]]:
    """The user's name and the token (RFC 7628); nothing without the grant `credentials`, or when it is a password."""
    shown = attempt.credentials
    return (shown.value.user, shown.value.token) if isinstance(shown, Credentials_Token) else None


def domain(address: str) -> str:
    """What stands behind the last `@`; nothing when there is none."""
    return address.rpartition("@")[2] if "@" in address else ""


def local_part(address: str) -> str:
    """What stands before the last `@`."""
    return address.rpartition("@")[0] if "@" in address else address
