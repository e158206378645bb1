"""Facts about all Corefiles, tried with generated ones."""

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address

import dns.name
import dns.reversename
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from svcdns.corefile import Corefile, Directive, Option, ServerBlock, Source, parse
from svcdns.corefile.lexer import tokenize
from svcdns.corefile.values import parse_zone, parse_zones
from svcdns.errors import ConfigError

DIRECTIVES = ("errors", "cache", "forward", "kubernetes")
PIECES = [
    *'{}"\\#,()\n\r\t .:/*?a1',
    "{$A}",
    "{%A%}",
    "\ufeff",
    "\u2003",
    "import ",
    "(s) {\n",
    "import s\n",
    "errors",
    "dns://",
]
SPACE = frozenset("\t\n\v\f \x85\xa0\u1680\u2000\u2003\u2028\u3000")

unhurried = settings(deadline=None)  # the machine may be busy

pieces = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
words = st.text(max_size=12).filter(lambda text: not re.search(r'\\("|\Z)|\{[$%]', text))
labels = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,20}[a-z0-9])?", fullmatch=True)
zones = st.lists(labels, min_size=1, max_size=4).map(lambda parts: ".".join(parts) + ".")


def read(text: str, sources: Sequence[Source] = (), path: str = "Corefile") -> Corefile:
    return parse(
        text, path, known=DIRECTIVES, environ={"A": "a {", "B": ""}, read=lambda *_: sources, warn=lambda _: None
    )


def split_by_character(text: str) -> list[tuple[str, int]]:
    """Split *text* as the description of the language says, one character at a time: the words with their lines."""
    rest = list(reversed(text.removeprefix("\ufeff")))
    line = 1
    found = []
    while rest:
        character = rest.pop()
        if character == "#":
            while rest and rest[-1] != "\n":
                rest.pop()
        elif character == '"':
            word = take_quoted(rest)
            found.append((word, line))
            line += word.count("\n")
        elif character in SPACE:
            line += character == "\n"
        elif character != "\r":
            word = character
            while rest and rest[-1] not in SPACE and rest[-1] != "#":
                word += rest.pop()
            found.append((word.replace("\r", ""), line))
    return found


def take_quoted(rest: list[str]) -> str:
    word = ""
    while rest:
        match rest.pop():
            case '"':
                return word
            case "\\" if rest:
                escaped = rest.pop()
                word += escaped if escaped == '"' else "\\" + escaped
            case character:
                word += character
    raise EOFError


@unhurried
@given(pieces)
def test_text_is_split_as_the_description_says(text: str) -> None:
    try:
        expected = split_by_character(text)
    except EOFError:
        with pytest.raises(ConfigError, match="expected a closing quote"):
            list(tokenize(text, "Corefile"))
    else:
        assert [(token.text, token.line) for token in tokenize(text, "Corefile")] == expected


def quote(word: str) -> str:
    return '"' + word.replace('"', r"\"") + '"'


def render(corefile: Corefile, line_end: str = "\n", word_end: str = " ") -> str:
    """Write *corefile* as text, all words quoted."""

    def statement(line: Option | Directive) -> str:
        return quote(line.name) + "".join(word_end + quote(word) for word in line.words)

    parts = []
    for block in corefile.blocks:
        keys = word_end.join(key.zone + ("" if key.port is None else f":{key.port}") for key in block.keys)
        parts.append(keys + word_end + "{" + line_end)
        for directive in block.directives:
            options = [statement(option) + line_end for option in directive.options]
            parts.append(
                statement(directive) + (f"{word_end}{{{line_end}{''.join(options)}}}" if options else "") + line_end
            )
        parts.append("}" + line_end)
    return "".join(parts)


def without_lines(corefile: Corefile) -> object:
    return [
        [
            [(key.zone, key.port) for key in block.keys],
            [
                (line.name, line.words, [(option.name, option.words) for option in line.options])
                for line in block.directives
            ],
        ]
        for block in corefile.blocks
    ]


@st.composite
def corefiles(draw: st.DrawFn) -> Corefile:
    """Corefiles as values; their lines mean nothing."""
    options = st.builds(
        Option, words, st.lists(words, max_size=3).map(tuple), path=st.just("Corefile"), line=st.just(1)
    )
    directives = st.builds(
        Directive,
        st.sampled_from(DIRECTIVES),
        st.lists(words, max_size=3).map(tuple),
        st.lists(options, max_size=3).map(tuple),
        path=st.just("Corefile"),
        line=st.just(1),
    )
    blocks = []
    for _ in range(draw(st.integers(0, 3))):
        keys = draw(st.lists(st.tuples(zones, st.none() | st.integers(0, 65535)), min_size=1, max_size=3))
        text = " ".join(zone if port is None else f"{zone}:{port}" for zone, port in keys)
        (block,) = read(f"{text} {{\n}}").blocks
        lines = tuple(draw(st.lists(directives, max_size=4)))
        blocks.append(ServerBlock(block.keys, lines, path="Corefile", line=1))
    return Corefile(tuple(blocks))


@unhurried
@given(corefiles())
def test_what_is_written_is_read_again(corefile: Corefile) -> None:
    assert without_lines(read(render(corefile))) == without_lines(corefile)


@unhurried
@given(
    corefiles(),
    st.sampled_from(["\n\n", "\r\n", " # comment } {\n", "\n# comment\n"]),
    st.sampled_from(["  ", "\t", " \r "]),
)
def test_comments_and_white_space_mean_nothing(corefile: Corefile, line_end: str, word_end: str) -> None:
    assert read(render(corefile, line_end, word_end)).digest == corefile.digest


@unhurried
@given(pieces, pieces)
@example("import x\n" * 3, "import x\n" * 3)
def test_any_text_is_a_corefile_or_a_config_error(text: str, imported: str) -> None:
    with suppress(ConfigError):
        read(text, [Source("imported", imported)])


@unhurried
@given(st.text())
def test_any_characters_are_a_corefile_or_a_config_error(text: str) -> None:
    with suppress(ConfigError):
        read(text)


@pytest.mark.parametrize(
    "piece",
    [
        *[
            "{",
            "}",
            "{\n",
            "a{\n",
            '"',
            '\\"',
            '"\\',
            "#",
            "(",
            "()",
            "(s) {\n",
            "a,\n",
            "a, ",
            "\n",
            "\r",
            "\ufeff",
            "a.",
        ],
        *["{$", "{$A}", "{%", "{$A", "a:", ":1", "9", "/", "10.0.0.0/1 ", "dns://", ". {\n}\n", "import ", "import\n"],
    ],
)
@pytest.mark.parametrize("before", ["", '"', ". {\n", ". {\nerrors {\n", ". {\nerrors ", "."])
def test_long_texts_take_time_in_proportion(before: str, piece: str) -> None:
    text = before + piece * (100_000 // len(piece))
    started = time.process_time()
    with suppress(ConfigError):
        read(text)
    assert time.process_time() - started < 4


@unhurried
@given(zones)
def test_a_zone_is_what_dnspython_reads(zone: str) -> None:
    assert parse_zone(zone.upper().removesuffix(".")) == dns.name.from_text(zone).to_text()


@unhurried
@given(st.ip_addresses().filter(lambda address: not getattr(address, "ipv4_mapped", None)), st.integers(0, 32))
def test_a_range_of_whole_labels_is_the_reverse_name_that_dnspython_makes(
    address: IPv4Address | IPv6Address, labels: int
) -> None:
    bits_a_label = 8 if isinstance(address, IPv4Address) else 4
    labels = min(labels, address.max_prefixlen // bits_a_label)
    _, reverse = dns.reversename.from_address(str(address)).split(labels + 3)
    assert parse_zones(f"{address}/{labels * bits_a_label}") == (reverse.to_text(),)
