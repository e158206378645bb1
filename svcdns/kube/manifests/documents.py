"""From a manifest's text to the objects written in it, each with the line where it stands.

JSON is read as the YAML that it is. What YAML 1.1 makes of a word (``no`` is false, ``010`` is 8) stays so, as with
kubectl, and where that does not fit its field the error says it.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import msgspec
import yaml

from svcdns.errors import ConfigError
from svcdns.kube.manifests.bodies import BODIES, Body
from svcdns.kube.manifests.nodes import Loader
from svcdns.kube.manifests.spelling import Slip, find_nearest, find_slips
from svcdns.kube.objects import DEFAULT_NAMESPACE, Key

_LONGEST_SHOWN = 100
_STRING = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_VERSIONS = {f"{kind}{lists}": version for kind, (version, _) in BODIES.items() for lists in ("", "List")} | {
    "List": "v1"
}
_GROUPS = {version.rpartition("/")[0] for version in _VERSIONS.values()}
_FEWEST_FIELDS = 2
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_FAULT = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`)?", re.DOTALL)
_CHECK = re.compile(r"(?P<path>[\w.\[\]]+): (?P<expected>expected .*)")
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_MISMATCH = re.compile(r"Expected `(?P<types>[^`]+)`, got `[^`]+`")
_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+)\]|\[\.\.\.\]")
_TYPES = {
    "str": "a string",
    "int": "a whole number",
    "bool": "true or false",
    "object": "a mapping",
    "array": "a list",
}


class Document(NamedTuple):
    """One object of a manifest.

    Attributes:
        path: The file.
        line: Where in the file it begins, counted from 1.
        kind: Its kind, as written.
        body: What it says.
        slips: Its fields that are nearly others, and are passed over.
    """

    path: str
    line: int
    kind: str
    body: Body
    slips: tuple[Slip, ...]

    @property
    def key(self) -> Key:
        """Namespace and name; a Namespace has no namespace, all others without one are in the default one."""
        metadata = self.body.metadata
        return ("" if self.kind == "Namespace" else metadata.namespace or DEFAULT_NAMESPACE, metadata.name)

    def __str__(self) -> str:
        namespace, name = self.key
        return f"{self.kind} {namespace}/{name}" if namespace else f"{self.kind} {name}"


def parse(path: str, text: str) -> list[Document]:
    """Read all objects of the kinds that svcdns knows; other objects, and lists of anything else, are passed over.

    Args:
        path: The file, for errors and for the documents.
        text: Its content: YAML or JSON, several documents and ``List`` objects in each other included.

    Raises:
        ConfigError: It is neither, or an object does not say what it is, or is not shaped as its kind.
    """
    try:
        return list(_read(path, _SURROGATES.sub(_join_surrogates, text)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line, text.count("\n")) + 1 if mark else 1  # libyaml puts the end a line too late
        raise ConfigError(path, line, _describe_syntax(error, text)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(path, line, f"expected YAML, found a character that it cannot hold: {error.reason}") from None


def _read(path: str, text: str) -> Iterator[Document]:
    loader = Loader(text)
    for root in loader.documents():
        for kind, node in _find_objects(path, loader, root):
            line = node.start_mark.line + 1
            shape = BODIES[kind][1]
            try:
                body = msgspec.convert(loader.construct_document(node), shape)
            except msgspec.ValidationError as error:
                raise _explain(path, kind, node, str(error)) from None
            except (ValueError, KeyError, AttributeError):  # PyYAML's ways to say that a value does not fit its tag
                raise ConfigError(path, line, f"{_describe(kind, node)}: expected values that fit their tags") from None
            yield Document(path, line, kind, body, tuple(find_slips(node, shape)))


def _find_objects(
    path: str, loader: Loader, node: yaml.Node, inferred: tuple[str, str] = ("", "")
) -> Iterator[tuple[str, yaml.MappingNode]]:
    """Yield the objects that svcdns knows by kind, those of lists included.

    Args:
        path: The file.
        loader: What puts in the fields that a mapping merges from others.
        node: A document, or an item of a list.
        inferred: The kind and apiVersion where the item says neither, as in the API's ``ServiceList``.
    """
    if isinstance(node, yaml.ScalarNode) and node.tag != _NULL:
        raise ConfigError(path, node.start_mark.line + 1, f"expected an object, found {_show(node)}")
    if isinstance(node, yaml.SequenceNode) and any(map(_is_object, node.value)):
        raise ConfigError(path, node.start_mark.line + 1, "expected an object, of kind 'List' if need be, found a list")
    if not isinstance(node, yaml.MappingNode):
        return  # an empty document, or a list of something else, as patches are
    loader.flatten_mapping(node)
    kind, version = _read_word(node, "kind"), _read_word(node, "apiVersion")
    if not kind and not version:
        kind, version = inferred
    _check_type(path, node, kind, version)
    items = _field(node, "items") if kind.endswith("List") else None
    if isinstance(items, yaml.SequenceNode):
        for item in items.value:
            yield from _find_objects(path, loader, item, (kind.removesuffix("List"), version))
    elif items is not None and items.tag != _NULL:
        raise ConfigError(path, items.start_mark.line + 1, f"{kind}: items: expected a list, found {_show(items)}")
    elif kind in BODIES and version == _VERSIONS[kind]:
        yield kind, node


def _read_word(node: yaml.MappingNode, name: str) -> str:
    """Return the text of a field; nothing where it is not there, or is no string."""
    value = _field(node, name)
    return str(value.value) if value is not None and value.tag == _STRING else ""


def _is_object(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and bool(_read_word(node, "kind") and _read_word(node, "apiVersion"))


def _check_type(path: str, node: yaml.MappingNode, kind: str, version: str) -> None:
    """Refuse an object that nearly is one that is read: kubectl and an API server would not take it, either.

    What has less than two of the fields below is no object: Compose's files, Helm's values and charts, Grafana's
    sources. Groups with a dot are others': Knative, for one, has a Service, too.
    """
    fields = (kind, version, _field(node, "metadata"), _field(node, "items"))
    group = version.rpartition("/")[0]
    if len(list(filter(None, fields))) < _FEWEST_FIELDS or ("." in group and group not in _GROUPS):
        return
    if not kind:
        raise _explain(path, "object", node, "kind: expected a value such as 'Service'")
    nearest = _find_nearest_kind(kind)
    if nearest and nearest != kind:
        raise _explain(path, kind, node, f"kind: expected '{nearest}'")
    if nearest and version != _VERSIONS[nearest]:
        raise _explain(path, kind, node, f"apiVersion: expected '{_VERSIONS[nearest]}'")


@lru_cache  # a folder has thousands of objects, and few kinds
def _find_nearest_kind(kind: str) -> str:
    return find_nearest(kind, _VERSIONS)


def _explain(path: str, kind: str, node: yaml.MappingNode, fault: str) -> ConfigError:
    """Say where in the file a value is that does not fit its field, and what it should be."""
    match = _FAULT.fullmatch(fault)
    what, steps = (match["what"], match["path"] or "") if match else (fault, "")
    if check := _CHECK.fullmatch(what):
        what, steps = check["expected"], f"{steps}.{check['path']}"
    elif missing := _MISSING.fullmatch(what):
        what, steps = "expected a value, found nothing", f"{steps}.{missing['field']}"
    elif mismatch := _MISMATCH.fullmatch(what):
        what = "expected " + " or ".join(
            _TYPES.get(each, each) for each in mismatch["types"].split(" | ") if each != "null"
        )
    found, complete = _locate(node, steps, keys=bool(match and match["key"]))
    if check and not complete:
        what += ", found nothing"
    if complete:
        what += f", found {_show(found)}"
        if "a string" in what and isinstance(found, yaml.ScalarNode) and found.tag != _STRING and found.value:
            what += f', which YAML takes for another type: put it in quotes, "{_cut(found.value)}"'
    field = steps.removeprefix(".").replace("[...]", "")
    return ConfigError(path, found.start_mark.line + 1, f"{_describe(kind, node)}: {field}: {what}")


def _locate(node: yaml.Node, steps: str, *, keys: bool) -> tuple[yaml.Node, bool]:
    """Walk down to a field.

    Returns:
        The last node on the way, and whether that is the end of it.
    """
    for step in _STEP.finditer(steps):
        children: list[yaml.Node] = []
        if step["field"] and isinstance(node, yaml.MappingNode):
            children = [value for key, value in node.value if key.value == step["field"]][-1:]
        elif step["index"] and isinstance(node, yaml.SequenceNode):
            children = node.value[int(step["index"]) :]
        elif isinstance(node, yaml.MappingNode):
            children = [value for _, value in node.value if value.tag != _STRING]
        if not children:
            return node, False
        node = children[0]
    if keys and isinstance(node, yaml.MappingNode):
        node = next((key for key, _ in node.value if key.tag != _STRING), node)
    return node, True


def _field(node: yaml.MappingNode, name: str) -> yaml.Node | None:
    found = [value for key, value in node.value if key.value == name]
    return found[-1] if found else None


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _describe(kind: str, node: yaml.MappingNode) -> str:
    """Name an object as far as it says itself."""
    metadata = _field(node, "metadata")
    if not isinstance(metadata, yaml.MappingNode):
        return _cut(kind)
    parts = [_cut(text) for field in ("namespace", "name") if (text := _text(_field(metadata, field)))]
    return " ".join((_cut(kind), "/".join(parts))).strip()


def _show(node: yaml.Node) -> str:
    match node:
        case yaml.MappingNode():
            return "a mapping"
        case yaml.SequenceNode():
            return "a list"
    text = _cut(str(node.value))
    if not text:
        return "nothing"
    return f'"{text}"' if node.tag == _STRING else text


def _cut(text: str) -> str:
    """Return as much of a text as a line of the log should hold."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _describe_syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    if error.problem == "found unhashable key":
        return "expected YAML with words for keys, found a mapping or a list, as in a template not filled in yet"
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    mark = error.problem_mark
    if mark is not None and text[mark.index : mark.index + 1] == "\t":
        reason += " (a tab; YAML is indented with spaces)"
    return f"expected YAML: {reason}"


def _join_surrogates(match: re.Match[str]) -> str:
    """Write a character beyond U+FFFF, which JSON escapes in two halves, as YAML does."""
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
