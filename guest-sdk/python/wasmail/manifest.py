"""What a plugin says of itself."""

from dataclasses import dataclass, field
from typing import Any, Collection, Literal, Optional, Sequence, Union

Fact = Literal["relaying", "remote-host", "reverse-path", "recipients", "message", "delivery", "skips"]


@dataclass
class Footprint:
    """What the answers depend on and what they change, so that the plugin can be asked at the same time as others."""

    reads: Collection[Fact] = ()
    writes: Collection[Fact] = ()
    #: JSON Pointers of the notes that are set or removed, with all below them.
    writes_notes: Sequence[str] = ()


@dataclass
class Manifest:
    """`manifest` of a plugin's module; wit/hooks.wit says more of each."""

    #: Such as `local-domains`.
    name: str
    #: Semantic version.
    version: str = "0.0.0"
    #: One sentence.
    description: str = ""
    #: JSON Pointers of the notes that the hooks are to see.
    reads_notes: Sequence[str] = ()
    #: Plugins whose results the hooks are to see; `*` stands for all.
    reads_results: Sequence[str] = ()
    #: Grants that the plugin needs to do its work.
    needs: Sequence[str] = ()
    #: JSON Schema of the configuration, as a dictionary or as text.
    config_schema: Optional[Union[dict[str, Any], str]] = None
    footprint: Optional[Footprint] = field(default=None)
