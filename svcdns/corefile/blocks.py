"""What a Corefile says: server blocks, their directives and the options of these."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from svcdns.corefile.keys import Key
from svcdns.corefile.lexer import Place, show
from svcdns.corefile.values import parse_zones
from svcdns.corefile.vocabulary import describe_unknown
from svcdns.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Statement(Place):
    """A line of the Corefile: a name and its arguments.

    Args:
        name: the first word.
        words: the arguments, with the environment's values put in.
    """

    name: str
    words: tuple[str, ...]

    def error(self, reason: str) -> ConfigError:
        """Blame this line for *reason*, which need not repeat the name; the caller raises what it gets."""
        return Place.error(self, f"{self.name}: {reason}")

    def expected(self, syntax: str) -> ConfigError:
        """Blame the number or the shape of the arguments; *syntax* says what was expected, such as `ADDRESS [PORT]`."""
        found = show(" ".join(self.words)) if self.words else "no arguments"
        return self.error(f"found {found}, expected {syntax}")

    def value(self, parse: Callable[Concatenate[str, P], T], word: str, *args: P.args, **kwargs: P.kwargs) -> T:
        """Read *word* with *parse*, which takes it and the further arguments.

        Raises:
            ConfigError: *parse* raised ValueError.
        """
        try:
            return parse(word, *args, **kwargs)
        except ValueError as error:
            raise self.error(f"found {show(word)}, {error}") from None

    def zones(self, words: Iterable[str]) -> tuple[str, ...]:
        """Read *words* as zones, each once; address ranges become their reverse zones."""
        return tuple(dict.fromkeys(zone for word in words for zone in self.value(parse_zones, word)))


@dataclass(frozen=True, slots=True)
class Option(Statement):
    """A line in the block of a directive."""

    def unknown(self, known: Collection[str]) -> ConfigError:
        """Blame the name, which is none of *known*."""
        return Place.error(self, describe_unknown("option", self.name, known))

    def unsupported(self) -> ConfigError:
        """Blame the name, which CoreDNS knows."""
        return Place.error(self, f"'{self.name}' is an option of CoreDNS that svcdns does not have yet")


@dataclass(frozen=True, slots=True)
class Directive(Statement):
    """A line in a server block, with the lines of its own block if it has one."""

    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerBlock(Place):
    """The directives that answer for one or more zones, in the order of the file."""

    keys: tuple[Key, ...]
    directives: tuple[Directive, ...]

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones of the keys, each once: what a directive answers for where it names none."""
        return tuple(dict.fromkeys(key.zone for key in self.keys))

    def named(self, name: str) -> tuple[Directive, ...]:
        """All directives with *name*, in the order of the file."""
        return tuple(directive for directive in self.directives if directive.name == name)


@dataclass(frozen=True, slots=True)
class Corefile:
    """All server blocks, imports included, in the order of the file."""

    blocks: tuple[ServerBlock, ...]

    @property
    def digest(self) -> str:
        """Hexadecimal digits, equal for Corefiles that say the same.

        Comments, white space, quotes and lines do not count. The files' paths do, since what a directive names may be
        relative to its file.
        """
        said = [_say_block(block) for block in self.blocks]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _say_block(block: ServerBlock) -> list[object]:
    keys = [[key.scheme, key.zone, key.port] for key in block.keys]
    return [keys, [_say_directive(directive) for directive in block.directives]]


def _say_directive(directive: Directive) -> list[object]:
    options = [[option.name, option.words, option.path] for option in directive.options]
    return [directive.name, directive.words, directive.path, options]
