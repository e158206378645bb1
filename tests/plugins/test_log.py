import json
import logging

import pytest

from svcdns.chain import Handler, chain
from svcdns.dns.message import Listener, Query, Rcode, Response
from svcdns.dns.name import from_text
from svcdns.dns.records import RRset, Rtype, soa
from svcdns.errors import ConfigError
from svcdns.logs import LineFormatter
from tests.fakes import Clock, Script, environment, set_up

NAME = from_text("web.example.org.")
UDP = Listener("dns://:53", "udp", 1, "0.0.0.0", 53)
QUERY = Query(NAME, 1, do=True, edns=True, payload=1232, id=4711, size=56, client=("10.0.0.7", 34567), listener=UDP)
PLAIN_TCP_6 = Query(
    from_text("a\\\nb.example.org."),
    65_534,
    rd=False,
    cd=True,
    ad=True,
    payload=65_535,
    id=1,
    size=31,
    client=("2001:db8::1", 1),
    listener=Listener("dns://[::1]:53", "tcp", 2, "::1", 53),
)
DENIAL = (RRset(from_text("org."), Rtype.SOA, 30, [soa(from_text("a."), from_text("b."), 1, (2, 3, 4, 5))]),)
ANSWER = Response(answer=(RRset(NAME, 1, 30, [b"\x0a\0\0\1", b"\x0a\0\0\2"]),), aa=True)
NXDOMAIN = Response(Rcode.NXDOMAIN, authority=DENIAL)
NODATA = Response(authority=DENIAL)
EMPTY = Response()
SERVFAIL = Response(Rcode.SERVFAIL)


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def logged(text: str, answer: Response = ANSWER, seconds: float = 0.000115203, *, recursive: bool = False) -> Handler:
    clock = Clock(0)
    script = Script(answer)

    async def end(query: Query) -> Response:
        clock.now += seconds
        return await script(query)

    return chain(set_up(text, "log", environment(clock=clock, recursive=lambda: recursive)), end)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_a_query_gives_the_line_that_coredns_writes(caplog: pytest.LogCaptureFixture) -> None:
    assert await logged("log")(QUERY) is ANSWER
    assert [LineFormatter().format(record) for record in caplog.records] == [
        '[INFO] 10.0.0.7:34567 - 4711 "A IN web.example.org. udp 56 true 1232" NOERROR qr,aa,rd 95 0.000115203s'
    ]


async def test_what_is_unusual_is_written_so_that_it_cannot_break_the_line(caplog: pytest.LogCaptureFixture) -> None:
    await logged("log . {combined}", Response(3000, ad=True), 2.0, recursive=True)(PLAIN_TCP_6)
    assert lines(caplog) == [
        '[2001:db8::1]:1 - 1 "TYPE65534 IN a\\010b.example.org. tcp 31 false 65535" 3000 qr,ra,ad,cd 33 2s "0"'
    ]


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("{type} {class} {name} {proto} {size}", "A IN web.example.org. udp 56"),
        ("{remote} {port} {local}", "10.0.0.7 34567 0.0.0.0"),
        ("{rcode} {rsize} {>rflags} {duration}", "NOERROR 95 qr,aa,rd 1s"),
        ("{>bufsize} {>do} {>id} {>opcode}", "1232 true 4711 0"),
        ("{/forward/upstream} {/x}", "- -"),
        ("100% {unknown} {} } {", "100% {unknown} {} } {"),
        ('"{combined}"', '"10.0.0.7:34567 - 4711 "A IN web.example.org. udp 56 true 1232" NOERROR qr,aa,rd 95 1s "0""'),
    ],
)
async def test_a_placeholder_stands_for_its_value(form: str, line: str, caplog: pytest.LogCaptureFixture) -> None:
    await logged("log . " + json.dumps(form), seconds=1)(QUERY)
    assert lines(caplog) == [line]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (1e-9, "0.000000001s"), (1.5, "1.5s"), (10, "10s"), (0.1 + 0.2, "0.3s")]
)
async def test_a_duration_is_in_seconds_without_exponent(
    seconds: float, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    await logged('log . "{duration}"', seconds=seconds)(QUERY)
    assert lines(caplog) == [text]


@pytest.mark.parametrize(
    ("classes", "answers"),
    [
        ("", {"answer", "nxdomain", "nodata", "empty", "servfail"}),
        ("class all", {"answer", "nxdomain", "nodata", "empty", "servfail"}),
        ("class success", {"answer", "empty"}),
        ("class denial", {"nxdomain", "nodata"}),
        ("class error", {"servfail"}),
        ("class denial error", {"nxdomain", "nodata", "servfail"}),
        ("class denial\nclass error", {"nxdomain", "nodata", "servfail"}),
    ],
)
async def test_a_class_holds_its_answers(classes: str, answers: set[str], caplog: pytest.LogCaptureFixture) -> None:
    every = {"answer": ANSWER, "nxdomain": NXDOMAIN, "nodata": NODATA, "empty": EMPTY, "servfail": SERVFAIL}
    found = set()
    for name, answer in every.items():
        caplog.clear()
        await logged(f"log . {{\n{classes}\n}}", answer)(QUERY)
        found |= {name} if caplog.records else set()
    assert found == answers


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('log example.com "1{}"', None),
        ('log example.org "1{}"', "1{}"),
        ('log example.com EXAMPLE.ORG "1{}"', "1{}"),
        ('log example.com "1{}"\nlog . "2{}"\nlog web.example.org "3{}"', "2{}"),
        ('log example.org "1{}" {\nclass error\n}\nlog . "2{}"', None),
        ('log org "1{rcode}"', "1NOERROR"),
        ('log "{name}"', "web.example.org."),
    ],
)
async def test_the_first_rule_that_names_the_query_counts(
    text: str, line: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    await logged(text)(QUERY)
    assert lines(caplog) == ([] if line is None else [line])


async def test_a_level_above_info_silences_queries(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await logged("log")(QUERY)
    assert lines(caplog) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("log a..b", "2: log: found 'a..b', expected a zone"),
        ("log . {\nclass\n}", "3: class: found no arguments, expected success|denial|error|all..."),
        ("log . {\nclass sucess\n}", "3: class: found 'sucess', expected 'success', 'denial', 'error' or 'all'"),
        ("log . {\nclas all\n}", "3: unknown option 'clas', did you mean 'class'?"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        logged(text)
    assert reason in str(caught.value)
