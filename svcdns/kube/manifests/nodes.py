"""From YAML to nodes, within bounds: no file makes a reader go deeper, or read more, than its size lets one expect.

libyaml goes down the stack with each level of a file, and an alias of a few octets can stand for a list of aliases,
each of which stands for another.
"""

import re
from collections.abc import Iterator
from itertools import chain

import yaml

_DEEPEST = 200
_MOST_REPEATED = 100_000
_MERGE = "tag:yaml.org,2002:merge"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})

_Extent = tuple[int, int]
"""Of a node: how many nodes it has, itself included, and how many levels; what an alias stands for counts each time."""

_SCALAR: _Extent = (1, 0)
_BEGUN: _Extent = (0, 0)


def _leave_words(tag: str, pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Return what a word must look like to be of the type *tag*: with a colon in it, it is no number to base 60."""
    return re.compile(f"(?!.*:){pattern.pattern}", pattern.flags) if tag in _NUMBERS else pattern


class Loader(yaml.CSafeLoader):
    """Reads YAML, leaving dates and times as they are written, which kubectl does too.

    Args:
        text: A file's content.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way to set it
        first: [(tag, _leave_words(tag, pattern)) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._keys: list[set[str]] = [set()]
        self._repeated = 0
        self._may_repeat = "*" in text

    def documents(self) -> Iterator[yaml.Node]:
        """Yield the root of each document.

        Raises:
            MarkedYAMLError: It is no YAML, or out of bounds.
        """
        while self.check_node() and (root := self.get_node()) is not None:
            if self._may_repeat:
                self._measure(root, {})
            yield root

    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:
        """Take in that a node inside *current_node* begins, the value of *current_index* where that is a key.

        A key stands once in its mapping (YAML 1.1, section 3.2.1.1); without a ``---``, one object would hide another.
        """
        if isinstance(current_index, yaml.ScalarNode) and current_index.tag != _MERGE:
            if current_index.value in self._keys[-1]:
                raise _refuse(current_index, f"found the key '{current_index.value}' once more: is a '---' missing?")
            self._keys[-1].add(current_index.value)
        _check_depth(current_node, len(self._keys))
        self._keys.append(set())

    def ascend_resolver(self) -> None:
        """Take in that a node ends."""
        self._keys.pop()

    def _measure(self, node: yaml.Node, known: dict[yaml.Node, _Extent]) -> _Extent:
        """Find out the extent of a node that is not *known*."""
        if not isinstance(node, yaml.CollectionNode):
            return _SCALAR
        known[node] = _BEGUN
        size, depth = 1, 0
        for child in chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value:
            extent = known.get(child)
            if extent is None:
                extent = self._measure(child, known)
            else:
                self._repeat(node, extent)
            size, depth = size + extent[0], max(depth, extent[1])
        _check_depth(node, depth + 1)
        known[node] = size, depth + 1
        return known[node]

    def _repeat(self, node: yaml.Node, extent: _Extent) -> None:
        """Take in that *node* has an alias of something."""
        if extent is _BEGUN:
            raise _refuse(node, "found an alias of what it stands in")
        self._repeated += extent[0]
        if self._repeated > _MOST_REPEATED:
            raise _refuse(node, f"found aliases that stand for more than {_MOST_REPEATED} values")


def _check_depth(node: yaml.Node | None, depth: int) -> None:
    if node is not None and depth > _DEEPEST:
        raise _refuse(node, f"found more than {_DEEPEST} levels in each other")


def _refuse(node: yaml.Node, reason: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=node.start_mark)
