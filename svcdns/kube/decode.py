"""From JSON of the API server to pages of a list and events of a watch.

An object that does not fit its structure is reported by itself and loses nobody else.

Source: Kubernetes API concepts, "Efficient detection of changes", "Streaming lists", "Retrieving large results sets in
chunks".
"""

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from svcdns.kube.objects import Key, Kind, Object
from svcdns.kube.structs import SHAPES, Meta, Retained, Struct, key_of

T = TypeVar("T")

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})


class _List(Struct, Generic[T]):
    metadata: Meta
    kind: str = ""
    items: list[T] | None = None


class _Event(Struct, Generic[T]):
    type: str
    object: T


class _Head(Struct):
    """What all objects have in common, and all that is read where the rest does not matter or does not fit."""

    metadata: Meta
    kind: str = ""


class _Stamp(Struct):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Stamped(Struct):
    metadata: _Stamp


class Status(msgspec.Struct, gc=False):
    """The API's account of a failure: an HTTP status code, a reason in one word and a message for people."""

    code: int = 0
    reason: str = ""
    message: str = ""


class Page(NamedTuple):
    """One page of a list.

    Attributes:
        objects: What it holds, decoded only as it is taken, so that a large page does not hold up others; once only.
        version: The resource version of the list as a whole.
        more: The token that continues the list, or empty at its end.
    """

    objects: Iterator[Object | Retained]
    version: str
    more: str


class Event(NamedTuple):
    """One line of a watch.

    Attributes:
        type: ``ADDED``, ``MODIFIED``, ``DELETED``, ``BOOKMARK`` or ``ERROR``.
        object: The object as it is now, or as it was last for ``DELETED``; None for the other two.
        version: The resource version reached; empty where it is not to be believed.
        complete: Whether the bookmark says that the initial events of a streaming list have all been sent.
        status: What an ``ERROR`` says.
    """

    type: str
    object: Object | Retained | None
    version: str
    complete: bool = False
    status: Status | None = None


class Stamps(NamedTuple):
    """One page of a list of metadata alone.

    Attributes:
        versions: The resource version of each object, by its key.
        version: The resource version of the list as a whole.
        more: The token that continues the list, or empty at its end.
    """

    versions: dict[Key, str]
    version: str
    more: str


_OBJECTS = {kind: msgspec.json.Decoder(shape.struct) for kind, shape in SHAPES.items()}
_EVENTS = {kind: msgspec.json.Decoder(_Event[shape.struct]) for kind, shape in SHAPES.items()}  # type: ignore[name-defined] # a class per kind
_LIST = msgspec.json.Decoder(_List[msgspec.Raw])
_RAW_EVENT = msgspec.json.Decoder(_Event[msgspec.Raw])
_STAMPS = msgspec.json.Decoder(_List[_Stamped])
_HEAD = msgspec.json.Decoder(_Head)
_STATUS = msgspec.json.Decoder(Status)
_ANY = msgspec.json.Decoder(dict[str, msgspec.Raw])


def from_plain(kind: Kind, data: Any) -> Object:
    """Take one object from plain data, as YAML gives them.

    Raises:
        msgspec.ValidationError: It is not shaped as its kind, or is on its way out.
    """
    shape = SHAPES[kind]
    found = shape.cut(msgspec.convert(data, shape.struct))
    if isinstance(found, Retained):
        raise msgspec.ValidationError(f"{shape.name} is being deleted")
    return found


def page_from_json(kind: Kind, text: bytes) -> Page:
    """Decode one page of a list; objects that do not fit are named and leave the others alone.

    Raises:
        msgspec.MsgspecError: The page as a whole is not JSON, or no list of this kind.
    """
    name = f"{SHAPES[kind].name}List"
    whole = _LIST.decode(text)
    if whole.kind not in ("", name):
        raise msgspec.ValidationError(f"expected a {name}, found a {whole.kind}")
    objects = (_object(kind, item) for item in whole.items or ())
    return Page(objects, whole.metadata.resource_version, whole.metadata.continue_)


def stamps_from_json(text: bytes) -> Stamps:
    """Decode one page of a list of metadata.

    Raises:
        msgspec.MsgspecError: It is not JSON, or no list.
    """
    page = _STAMPS.decode(text)
    stamps = [item.metadata for item in page.items or ()]
    versions = {(stamp.namespace, stamp.name): stamp.resource_version for stamp in stamps}
    return Stamps(versions, page.metadata.resource_version, page.metadata.continue_)


def event_from_json(kind: Kind, line: bytes) -> Event:
    """Decode one line of a watch; an object that does not fit is named in its place.

    Raises:
        msgspec.MsgspecError: It is no event.
    """
    shape = SHAPES[kind]
    try:
        event: _Event[Any] = _EVENTS[kind].decode(line)
    except msgspec.ValidationError:
        return _uncommon_event(kind, line)
    item = event.object
    if event.type not in _CHANGES or item.kind not in ("", shape.name):
        return _uncommon_event(kind, line)
    return Event(event.type, shape.cut(item), item.metadata.resource_version)


def is_whole(line: bytes) -> bool:
    """Whether a line without an end is JSON, so that only the end is missing."""
    try:
        _ANY.decode(line)
    except msgspec.DecodeError:
        return False
    return True


def _uncommon_event(kind: Kind, line: bytes) -> Event:
    """Decode a line of a watch that is no change of an object that fits its kind."""
    try:
        event = _RAW_EVENT.decode(line)
    except msgspec.ValidationError:
        return Event("ERROR", None, "", status=_bare_status(line))
    if event.type == "ERROR":
        return Event(event.type, None, "", status=status_from_json(bytes(event.object)))
    if event.type == "BOOKMARK":
        meta = _HEAD.decode(event.object).metadata
        complete = (meta.annotations or {}).get(INITIAL_EVENTS_END) == "true"
        return Event(event.type, None, meta.resource_version, complete)
    found = _object(kind, event.object)
    return Event(event.type, found, found.version)


def _bare_status(line: bytes) -> Status:
    """Decode a failure that stands where an event should."""
    if _HEAD.decode(line).kind != "Status":
        raise msgspec.ValidationError("expected an event of a watch")
    return _STATUS.decode(line)


def status_from_json(text: bytes) -> Status:
    """Decode the body of a failed request; what is no Status becomes one with the text as its message."""
    try:
        return _STATUS.decode(text)
    except msgspec.MsgspecError:
        return Status(message=text[:200].decode(errors="replace").strip())


def _object(kind: Kind, raw: msgspec.Raw) -> Object | Retained:
    """Decode an object that may not fit its kind."""
    shape = SHAPES[kind]
    try:
        item = _OBJECTS[kind].decode(raw)
    except msgspec.MsgspecError as fault:
        return _misfit(kind, raw, fault)
    return shape.cut(item) if item.kind in ("", shape.name) else _misfit(kind, raw)


def _misfit(kind: Kind, raw: msgspec.Raw, fault: msgspec.MsgspecError | None = None) -> Retained:
    """Say what is wrong with an object that does not fit its kind."""
    try:
        head = _HEAD.decode(raw)
    except msgspec.MsgspecError as worse:
        return Retained(("", ""), "", f"one of {kind.value}: {worse}")
    name = SHAPES[kind].name
    if head.kind not in ("", name):
        return Retained(("", ""), "", f"expected a {name}, found a {head.kind}")
    key, version = key_of(head.metadata), head.metadata.resource_version
    return Retained(key, version, f"{kind.value} {'/'.join(filter(None, key))} at version {version}: {fault}")
