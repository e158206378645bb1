r"""Regular expressions as Go writes them, in Python's words.

Corefiles hold Go's, and the two languages differ in what they mean and in what they refuse. What only Python has, such
as references back and look-around, is refused as CoreDNS refuses it. What only Go has is refused as well: Unicode
classes (`\pL`), and repetition of what has no length (`^*`).

Source: the syntax of RE2, as Go's package regexp has it.
"""

import re
from dataclasses import dataclass, field

LONGEST = 10_000
"""How many characters an expression may have."""

_MOST_REPEATS = 1000
_TOKEN = re.compile(
    r"""
      \\Q(?P<quoted>.*?)(?:\\E|\Z)
    | (?P<escape>\\(?:x\{[0-9A-Fa-f]{1,8}\}|x[0-9A-Fa-f]{2}|[0-7]{2,3}|0|.))
    | \(\?(?P<flags>[imsU]*(?:-[imsU]+)?)\)
    | \(\?P?<(?P<name>[A-Za-z0-9_]+)>
    | \(\?(?P<scoped>[imsU]*(?:-[imsU]+)?):
    | (?P<open>\((?!\?))
    | (?P<close>\))
    | \[(?P<not>\^?)(?P<set>\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*)\]
    | (?P<repeat>[*+?]|\{[0-9]+(?:,[0-9]*)?\})(?P<lazy>\??)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SET_ITEM = re.compile(
    r"\[:(?P<not>\^?)(?P<name>[a-z]+):\]|(?P<escape>\\(?:x\{[0-9A-Fa-f]+\}|x..|[0-7]{2,3}|.))|(?P<other>.)", re.DOTALL
)
_SETS = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t-\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_ASCII = [chr(number) for number in range(128)]
_KEPT = frozenset("afnrtvdDsSwW")
_PLACES = {r"\z": r"\Z", r"\A": r"\A", r"\b": r"\b", r"\B": r"\B"}
_SPACES = {r"\s": r"[\t\n\f\r ]", r"\S": r"[^\t\n\f\r ]"}  # Python's have the vertical tab, too
_SPECIAL_IN_SETS = frozenset("[&|~")


def parse_regex(text: str) -> re.Pattern[str]:
    """Read a regular expression of Go's; it matches as Go's does.

    Raises:
        ValueError: Go would refuse it, or it has a Unicode class.
    """
    if len(text) > LONGEST:
        raise ValueError(f"expected a regular expression of at most {LONGEST} characters")
    try:
        return re.compile(_Translation(text).result, re.ASCII)
    except (re.error, OverflowError, RecursionError, ValueError) as error:
        raise ValueError(f"expected a regular expression as Go writes it ({error})") from None


@dataclass(slots=True)
class _Scope:
    """What holds up to the end of a group.

    Attributes:
        opened: The groups that flags in the middle of it became.
        flags: The flags that are set.
    """

    flags: frozenset[str] = frozenset()
    opened: list[str] = field(default_factory=list)


class _Translation:
    """One walk over an expression.

    Attributes:
        result: What Python calls it.
    """

    def __init__(self, text: str) -> None:
        self.result = ""
        self._scopes = [_Scope()]
        self._repeated = False
        for match in _TOKEN.finditer(text):
            kind = str(match.lastgroup)
            repeats = kind in {"repeat", "lazy"}
            if repeats and self._repeated:
                raise ValueError(f"{match[0]!r} repeats what is repeated")
            self._repeated = repeats
            self.result += self._translate(kind, match)
        if len(self._scopes) > 1:
            raise ValueError("a ')' is missing")
        self.result += ")" * len(self._scopes[-1].opened)

    def _translate(self, kind: str, match: re.Match[str]) -> str:
        match kind:
            case "quoted":
                return re.escape(match["quoted"])
            case "escape":
                return _escape(match["escape"])
            case "flags":
                return self._set_flags(match["flags"])
            case "name" | "scoped" | "open" | "close":
                return self._bound(kind, match)
            case "set":
                items = _SET_ITEM.finditer(match["set"].replace("--", r"-\-"))
                return f"[{match['not']}{''.join(map(_read_item, items))}]"
            case "lazy":
                return self._repeat(match["repeat"], lazy=bool(match["lazy"]))
        return self._read_other(match["other"])

    def _set_flags(self, flags: str) -> str:
        """Begin a group of our own, since Python takes flags at the beginning of one only."""
        scope = self._scopes[-1]
        scope.flags = _change(scope.flags, flags)
        scope.opened.append(_begin(flags))
        return scope.opened[-1]

    def _bound(self, kind: str, match: re.Match[str]) -> str:
        """Begin or end a group."""
        if kind == "close":
            if len(self._scopes) == 1:
                raise ValueError("a '(' is missing")
            return ")" * len(self._scopes.pop().opened) + ")"
        flags = match["scoped"] or ""
        self._scopes.append(_Scope(_change(self._scopes[-1].flags, flags)))
        return {"name": f"(?P<{match['name']}>", "scoped": _begin(flags), "open": "("}[kind]

    def _repeat(self, times: str, *, lazy: bool) -> str:
        if any(int(number) > _MOST_REPEATS for number in re.findall("[0-9]+", times)):
            raise ValueError(f"{times!r} is more often than {_MOST_REPEATS} times")
        return times + "?" * (lazy != ("U" in self._scopes[-1].flags))

    def _read_other(self, text: str) -> str:
        scope = self._scopes[-1]
        match text:
            case "|":
                return ")" * len(scope.opened) + "|" + "".join(scope.opened)
            case "$":
                return "$" if "m" in scope.flags else r"\Z"
            case "{" | "}":
                return f"\\{text}"
            case "(" | "[" | "\\":
                raise ValueError(f"{text!r} begins what does not end, or what Go does not have")
        return text


def _change(flags: frozenset[str], change: str) -> frozenset[str]:
    added, _, removed = change.partition("-")
    return (flags | set(added)) - set(removed)


def _begin(flags: str) -> str:
    """Begin a group with *flags*; laziness is written at each repetition."""
    return f"(?{flags.replace('U', '').removesuffix('-')}:"


def _escape(text: str) -> str:
    """Translate what begins with a backslash, outside of a set."""
    return _PLACES.get(text) or _SPACES.get(text) or _escape_anywhere(text)


def _escape_anywhere(text: str) -> str:
    name = text[1:]
    if name[0] == "x" and len(name) > 1:
        return re.escape(chr(int(name[1:].strip("{}"), 16)))
    if name[0] == "0" or (len(name) > 1 and name.isdecimal()):
        return re.escape(chr(int(name, 8)))
    if name in _KEPT or (name.isascii() and not name.isalnum()):
        return text
    raise ValueError(f"{text!r} is nothing that is known here")


def _read_item(match: re.Match[str]) -> str:
    """Translate a part of a set."""
    if match["escape"]:
        return r"\t\n\f\r " if match["escape"] == r"\s" else _escape_anywhere(match["escape"])
    if not match["name"]:
        return f"\\{match['other']}" if match["other"] in _SPECIAL_IN_SETS else match["other"]
    if match["name"] not in _SETS:
        raise ValueError(f"there is no class {match['name']!r}")
    found = _SETS[match["name"]]
    if not match["not"]:
        return found
    return "".join(re.escape(each) for each in _ASCII if not re.match(f"[{found}]", each)) + "\\x80-\U0010ffff"
