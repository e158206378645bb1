"""Label selectors: what the `labels` and `namespace_labels` options say of an object's labels.

Source: Kubernetes, "Labels and Selectors"; the text form that the API takes as `labelSelector`.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

_TOKEN = re.compile(r"\s*(?:(?P<word>[^\s=!,()<>]+)|(?P<sign>==|!=|[=!,()<>])|(?P<end>\Z))")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_WORDS_FOR_SETS = ("in", "notin")


class Operator(Enum):
    """What a requirement asks of a label."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    MISSING = "!"
    GREATER = ">"
    LESS = "<"


class Requirement(NamedTuple):
    """One of the conditions of a selector.

    Attributes:
        key: The label's key.
        operator: What is asked of the label.
        values: What its value is compared with; empty for `EXISTS` and `MISSING`.
    """

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether *labels* meet the condition."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.EXISTS:
                return value is not None
            case Operator.MISSING:
                return value is None
            case Operator.IN:
                return value in self.values
            case Operator.NOT_IN:
                return value not in self.values
        if value is None or not _INTEGER.fullmatch(value):
            return False
        (limit,) = self.values
        return int(value) > int(limit) if self.operator is Operator.GREATER else int(value) < int(limit)


class Selector(NamedTuple):
    """Conditions that an object's labels must meet, every one of them."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether *labels* meet all conditions."""
        return all(requirement.matches(labels) for requirement in self.requirements)


EVERYTHING = Selector()


def parse_selector(text: str) -> Selector:
    """Read a selector such as ``app=web,tier in (front,back),env!=dev,!canary``; an empty text selects everything.

    Raises:
        ValueError: It is none; says what was expected where.
    """
    if not text.strip():
        return EVERYTHING
    return Selector(tuple(_Parser(text).requirements()))


class _Parser:
    """Reads a selector from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens = [match[1] or match[2] or "" for match in _TOKEN.finditer(text)]
        self._position = 0

    def requirements(self) -> Iterator[Requirement]:
        """Yield the conditions, up to the end of the text."""
        yield self._requirement()
        while self._next() == ",":
            self._skip()
            yield self._requirement()
        self._expect("")

    def _requirement(self) -> Requirement:
        if self._next() == "!":
            self._skip()
            return Requirement(self._key(), Operator.MISSING)
        key = self._key()
        match self._next():
            case "=" | "==":
                return Requirement(key, Operator.IN, self._single())
            case "!=":
                return Requirement(key, Operator.NOT_IN, self._single())
            case "in" | "notin":
                return Requirement(key, Operator(self._skip()), self._set())
            case ">" | "<":
                return Requirement(key, Operator(self._skip()), self._integer())
            case "," | "":
                return Requirement(key, Operator.EXISTS)
            case found:
                raise ValueError(f"expected =, ==, !=, in, notin, < or > after {key}, found {found}")

    def _key(self) -> str:
        key = self._skip()
        prefix, slash, name = key.rpartition("/")
        if key in _WORDS_FOR_SETS or not _NAME.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
            raise ValueError(f"expected the key of a label, such as app or example.com/app, found {key or 'the end'}")
        return key

    def _single(self) -> frozenset[str]:
        self._skip()
        return frozenset((self._value(),))

    def _integer(self) -> frozenset[str]:
        value = self._skip()
        if not _INTEGER.fullmatch(value):
            raise ValueError(f"expected a whole number after < or >, found {value or 'the end'}")
        return frozenset((value,))

    def _set(self) -> frozenset[str]:
        self._expect("(")
        if self._next() == ")":
            raise ValueError("expected a value between ( and )")
        values = {self._value()}
        while self._next() == ",":
            self._skip()
            values.add(self._value())
        self._expect(")")
        return frozenset(values)

    def _value(self) -> str:
        """Read a value, which is empty where none is written."""
        if self._next() in ("", ",", ")"):
            return ""
        value = self._skip()
        if not _NAME.fullmatch(value):
            raise ValueError(
                f"expected the value of a label, up to 63 letters, digits, dots, hyphens and underscores, found {value}"
            )
        return value

    def _expect(self, sign: str) -> None:
        found = self._skip()
        if found != sign:
            raise ValueError(f"expected {sign or 'a comma or the end'}, found {found or 'the end'}")

    def _next(self) -> str:
        return self._tokens[min(self._position, len(self._tokens) - 1)]

    def _skip(self) -> str:
        found = self._next()
        self._position += 1
        return found
