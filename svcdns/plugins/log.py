"""log - logs queries and what they were answered.

Syntax:
    ```
    log [NAMES...] [FORMAT] {
        class CLASSES...
    }
    ```

Each query whose name is in NAMES (`.`) gives a line in FORMAT (`{common}`), an argument with a `{` in it. Where several
`log` name it, the first one counts. Of the CLASSES `success`, `denial` (the name or type does not exist), `error` (any
other response code) and `all`, those that are named are logged (`all`).

FORMAT is text with `{PLACEHOLDERS}`:

- `{type}` `{name}` `{class}` `{proto}` `{size}` `{>id}` `{>opcode}` `{>do}` `{>bufsize}`: of the query; sizes in
  octets.
- `{remote}` `{port}` `{local}`: the client's address and port, and the address that it asked.
- `{rcode}` `{rsize}` `{>rflags}`: of the response; its size is counted without compression.
- `{duration}`: from the query to the answer.
- `{/LABEL}`: metadata, always `-`.
- `{common}`: `{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize}
  {duration}` in one line; `{combined}` adds `"{>opcode}"`.

Examples:
    ```
    . {
        log
    }
    ```
    ```
    . {
        log example.org "{remote} {type} {name} {rcode} {duration}" {
            class denial error
        }
    }
    ```
"""

import logging
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from svcdns.chain import Environment, Handler, Plugin
from svcdns.corefile import Directive
from svcdns.corefile.values import parse_choice
from svcdns.dns.message import Query, Rcode, Response, rcode_to_text, uncompressed_size
from svcdns.dns.name import ROOT, Name, from_text, is_within, to_text
from svcdns.dns.records import Rtype, type_to_text

COMMON = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)
COMBINED = COMMON + ' "{>opcode}"'

_CLASSES = ("success", "denial", "error")
_UNSET = "-"
_PLACEHOLDER = re.compile(r"(\{[^{}]*\})")

queries = logging.getLogger("svcdns.queries")
"""Takes the lines, which have no more than a level before them."""


class Exchange(NamedTuple):
    """What a line can tell of."""

    query: Query
    response: Response
    seconds: float
    recursive: bool


Field = Callable[[Exchange], str]


class Rule(NamedTuple):
    """What one `log` says.

    Attributes:
        zones: Which names are meant.
        classes: Which answers are.
        text: The line, with ``%s`` for each field.
        fields: What is put in there.
    """

    zones: tuple[Name, ...]
    classes: frozenset[str]
    text: str
    fields: tuple[Field, ...]


class Log(Plugin):
    """Logs queries.

    Args:
        environment: What the application lends.
        rules: What is logged how; the first that takes a name counts.
    """

    skippable = True

    def __init__(self, environment: Environment, rules: Sequence[Rule]) -> None:
        self._clock = environment.clock
        self._recursive = environment.recursive
        self._rules = rules

    async def handle(self, query: Query, rest: Handler) -> Response:
        """Return the answer of the rest of the chain."""
        began = self._clock()
        response = await rest(query)
        for rule in self._rules:
            if is_within(query.name, rule.zones):
                if classify(response) in rule.classes:
                    self._write(rule, Exchange(query, response, self._clock() - began, self._recursive()))
                    return response if response.repeat is None else response.repeatable(None)
                break
        return response

    def _write(self, rule: Rule, exchange: Exchange) -> None:
        if queries.isEnabledFor(logging.INFO):
            line = rule.text % tuple(field(exchange) for field in rule.fields)
            # Finding out who calls would take longer than all the rest.
            queries.handle(logging.LogRecord(queries.name, logging.INFO, "", 0, line, None, None))


def classify(response: Response) -> str:
    """Return the class of an answer: ``success``, ``denial`` or ``error``."""
    if response.rcode == Rcode.NXDOMAIN:
        return "denial"
    if response.rcode != Rcode.NOERROR:
        return "error"
    nodata = not response.answer and any(rrset.rtype == Rtype.SOA for rrset in response.authority)
    return "denial" if nodata else "success"


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Read every ``log`` of the server block."""
    return Log(environment, [_read_rule(directive) for directive in directives])


def _read_rule(directive: Directive) -> Rule:
    words, form = directive.words, COMMON
    if words and "{" in words[-1]:
        *names, form = words
        words = tuple(names)
    classes: set[str] = set()
    for option in directive.options:
        if option.name != "class":
            raise option.unknown(("class",))
        if not option.words:
            raise option.expected("success|denial|error|all...")
        for word in option.words:
            option.value(parse_choice, word, (*_CLASSES, "all"))
            classes.update(_CLASSES if word == "all" else (word,))
    zones = tuple(from_text(zone) for zone in directive.zones(words)) or (ROOT,)
    text, fields = _compile(form)
    return Rule(zones, frozenset(classes or _CLASSES), text, fields)


def _compile(form: str) -> tuple[str, tuple[Field, ...]]:
    """Make a text with ``%s`` and what goes there; what is no placeholder is text."""
    text, fields = "", []
    for part in _PLACEHOLDER.split(form.replace("{common}", COMMON).replace("{combined}", COMBINED)):
        field = _unset if part.startswith("{/") else _FIELDS.get(part[1:-1]) if part.startswith("{") else None
        if field is None:
            text += part.replace("%", "%%")
        else:
            text += "%s"
            fields.append(field)
    return text, tuple(fields)


def _unset(_: Exchange) -> str:
    return _UNSET


def _address(text: str) -> str:
    return f"[{text}]" if ":" in text else text


def _duration(seconds: float) -> str:
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def _flags(exchange: Exchange) -> str:
    query, response = exchange.query, exchange.response
    flags = {
        "aa": response.aa,
        "rd": query.rd,
        "ra": exchange.recursive,
        "ad": response.ad and (query.ad or query.do),
        "cd": query.cd,
    }
    return ",".join(("qr", *(name for name, is_set in flags.items() if is_set)))


_FIELDS: dict[str, Field] = {
    "type": lambda exchange: type_to_text(exchange.query.rtype),
    "name": lambda exchange: to_text(exchange.query.name),
    "class": lambda _: "IN",
    "proto": lambda exchange: exchange.query.listener.transport,
    "remote": lambda exchange: _address(exchange.query.client[0]),
    "local": lambda exchange: _address(exchange.query.listener.address),
    "port": lambda exchange: str(exchange.query.client[1]),
    "size": lambda exchange: str(exchange.query.size),
    "duration": lambda exchange: _duration(exchange.seconds),
    "rcode": lambda exchange: rcode_to_text(exchange.response.rcode),
    "rsize": lambda exchange: str(uncompressed_size(exchange.query, exchange.response)),
    ">rflags": _flags,
    ">bufsize": lambda exchange: str(exchange.query.payload),
    ">do": lambda exchange: "true" if exchange.query.do else "false",
    ">id": lambda exchange: str(exchange.query.id),
    ">opcode": lambda _: "0",
}
