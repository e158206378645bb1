"""Words that are nearly those that are read: kinds, and fields, of which unknown ones are passed over."""

import difflib
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple, get_args

import msgspec
import yaml

from svcdns.kube.manifests.fields import Fields

_NEAREST = 0.85  # no kind or field of Kubernetes' own that is passed over comes near to one that is read


class Slip(NamedTuple):
    """A field that is hardly meant.

    Attributes:
        line: Where it stands, counted from 1.
        path: Its name as written, with those of the fields that it is in.
        nearest: The name that is meant.
    """

    line: int
    path: str
    nearest: str


def find_nearest(word: str, known: Iterable[str]) -> str:
    """Return which of *known* is spelt like *word*, or nearly so, in whatever letter case; nothing where none is."""
    spelt = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), spelt, n=1, cutoff=_NEAREST)
    return spelt[near[0]] if near else ""


def find_slips(node: yaml.MappingNode, shape: type[Fields], path: str = "") -> Iterator[Slip]:
    """Yield the fields that are not known, and nearly are one that is not written.

    Args:
        node: What is written.
        shape: What it was read as.
        path: The fields that it is in, each with a dot.
    """
    known = _fields(shape)
    written = {key.value for key, _ in node.value}
    for key, value in node.value:
        if key.value not in known:
            nearest = _find_nearest_field(key.value, shape)
            if nearest and nearest not in written:
                yield Slip(key.start_mark.line + 1, f"{path}{key.value}", nearest)
        elif inner := known[key.value]:
            for child in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                if isinstance(child, yaml.MappingNode):
                    yield from find_slips(child, inner, f"{path}{key.value}.")


@lru_cache  # a folder has thousands of objects, and few fields
def _find_nearest_field(name: str, shape: type[Fields]) -> str:
    return find_nearest(name, _fields(shape))


@cache
def _fields(shape: type[Fields]) -> dict[str, type[Fields] | None]:
    """Return the names of its fields, each with the shape of what is in it."""
    return {field.encode_name: _inner(field.type) for field in msgspec.structs.fields(shape)}


def _inner(annotation: Any) -> type[Fields] | None:
    """Return the shape in a type such as ``list[Port] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Fields):
        return annotation
    return next(filter(None, map(_inner, get_args(annotation))), None)
