"""Corefile text to tokens."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from svcdns.errors import ConfigError

_SPACE = r"\t\n\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SCANNER = re.compile(
    rf"""
      (?P<gap>     [{_SPACE}\r]+ | \#[^\n]* )
    | "(?P<quoted> [^"\\]* (?: \\. [^"\\]* )* ) (?P<end>"?)
    | (?P<bare>    [^{_SPACE}\r\#"] [^{_SPACE}\#]* )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SHOWN_LENGTH = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something was written.

    Args:
        path: the file as the user would name it.
        line: counted from 1.
        unset: the variables named there that the environment does not have.
    """

    path: str
    line: int
    unset: tuple[str, ...] = ()

    def error(self, reason: str) -> ConfigError:
        """Blame this place for *reason*, and name what was left empty there; the caller raises what it gets."""
        left_empty = "".join(f"; the environment has no {show(name)}" for name in self.unset)
        return ConfigError(self.path, self.line, f"{reason}{left_empty}")


@dataclass(frozen=True, slots=True)
class Token(Place):
    """A word, or a brace that stands alone.

    Args:
        text: the word without its quotes.
        first: whether it is the first token of its line.
        literal: whether it is text whatever it says, since it was quoted or came from the environment.
    """

    text: str
    first: bool
    literal: bool = False

    @property
    def opens(self) -> bool:
        """Whether this is the brace that opens a block."""
        return self.text == "{" and not self.literal

    @property
    def closes(self) -> bool:
        """Whether this is the brace that closes a block."""
        return self.text == "}" and not self.literal

    @property
    def imports(self) -> bool:
        """Whether this is the word `import`; it means something only where a line starts."""
        return self.text == "import" and not self.literal


def tokenize(text: str, path: str) -> Iterator[Token]:
    r"""Split *text* into tokens.

    White space separates tokens and `#` starts a comment, even in the middle of a word. A quote counts only where a
    token starts; inside, `\"` is a quote, any other backslash stands for itself, and lines may break. Carriage returns
    outside of quotes do not exist.

    Raises:
        ConfigError: a quote is not closed.
    """
    line = 1
    first = True
    for match in _SCANNER.finditer(text.removeprefix("\ufeff")):
        if match["gap"] is not None:
            breaks = match["gap"].count("\n")
            line += breaks
            first = first or breaks > 0
            continue
        if match["bare"] is not None:
            yield Token(match["bare"].replace("\r", ""), first, path=path, line=line)
        else:
            token = Token(_ESCAPED.sub(_unescape, match["quoted"]), first, literal=True, path=path, line=line)
            if not match["end"]:
                raise token.error(f"found the end of the file in {show(token.text)}, expected a closing quote")
            yield token
            line += match["quoted"].count("\n")
        first = False


def show(text: str) -> str:
    """Quote *text* for a message, cut to a readable length."""
    return repr(text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…")


def _unescape(match: re.Match[str]) -> str:
    return '"' if match[1] == '"' else match[0]
