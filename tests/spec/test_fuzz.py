"""Mutated packets by the thousand: nothing is raised, nothing forbidden is answered, and good questions still are.

Source: RFC 9267, whose list of what parsers get wrong is the dictionary.
"""

from collections.abc import Iterator
from contextlib import suppress
from random import Random

import pytest

from svcdns.dns.message import Listener, Query, Response
from svcdns.dns.name import ROOT
from svcdns.responder import Route
from tests import octets
from tests.frontend import frontend, make_responder, read_answer
from tests.octets import DO, opt, option, query, question, record, tsig
from tests.spec.sample import APEX, HANDLERS, authority

SEEDS = [
    query(question("web.default.svc.cluster.local")),
    query(question("many.default.svc.cluster.local"), opt(payload=4096, flags=DO)),
    query(question("_http._tcp.web.default.svc.cluster.local", 33), opt(option(10, bytes(8)) + option(11))),
    query(question("x.cluster.local", 255), opt(option(8, b"\x00\x01\x18\x00\x0a\x00\x00"), payload=512)),
    query(question("cluster.local", 251), record(b"\xc0\x0c", 6, bytes(22)), authorities=1, additionals=0),
    query(question("cluster.local", 6), opt(), tsig()),
    query(question("a." * 126)),
    query(question(".")),
]
DICTIONARY = [
    *(bytes((octet,)) for octet in (0x00, 0x01, 0x3F, 0x40, 0x7F, 0x80, 0xBF, 0xC0, 0xFF)),
    *(b"\xc0\x0c", b"\xc0\x00", b"\xff\xff", b"\x00\x00", b"\x00\x29", b"\x00\xfa", b"\x00\xff", b"\x00\x00\x29"),
    *(b"\x3f" + b"a" * 63, b"\x01a" * 100, opt(), tsig(), record(b"\xc0\x0c", 1, bytes(4))),
]


def mutations(seed: int, count: int) -> Iterator[bytes]:
    """Yield seeds that were changed here and there."""
    random = Random(seed)
    for _ in range(count):
        message = bytearray(random.choice(SEEDS))
        for _ in range(random.randint(1, 4)):
            start = random.randrange(len(message) + 1)
            end = start + random.choice((0, 0, 1, 1, 2, 8, 64))
            message[start:end] = random.choice((*DICTIONARY, b"", random.randbytes(random.randint(1, 4))))
        yield bytes(message[: random.choice((4096, 4096, 4096, random.randint(0, 600)))])


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_no_packet_is_answered_with_what_it_must_not_be(transport: str) -> None:
    routes = [Route(zone, authority, recursive=False) for zone in (APEX, ROOT)]
    responder = make_responder(routes, Listener("dns://:53", transport, 1, "127.0.0.1", 53))
    for message in mutations(1, 20_000):
        answer = responder.respond(message, lambda: ("127.0.0.1", 4242))
        if len(message) < 12 or message[2] & 0x80:
            assert answer is None
            continue
        assert isinstance(answer, bytes)
        header, asked = octets.read_header(answer), octets.read_header(message)
        assert (header.id, header.opcode, header.flags >> 15) == (asked.id, asked.opcode, 1)
        assert header.flags & octets.Z == 0
        assert len(answer) <= (65535 if transport == "tcp" else 1232)
        if header.questions == 0:
            assert len(answer) == 12
            assert header.rcode in {1, 4}
        else:
            assert header.questions == 1
            end = 12
            while answer[end]:
                end += answer[end] + 1
            assert answer[12 : end + 5] == message[12 : end + 5]
        if header.rcode not in {0, 3}:  # an error is no amplification: at most an OPT record and its EDE more
            assert len(answer) <= len(message) + 6


async def test_a_burst_of_them_leaves_the_server_alive_and_well() -> None:
    async with frontend(HANDLERS) as server:
        good = query(question("web.default.svc.cluster.local"))
        for number, message in enumerate(mutations(2, 2000)):
            await server.ask_udp(message)
            if number % 100 == 0:
                assert octets.read_header(await server.ask(good) or b"").answers == 2


async def test_a_burst_over_tcp_ends_connections_at_most() -> None:
    async with frontend(HANDLERS) as server:
        good = query(question("web.default.svc.cluster.local"))
        for start in range(0, 2000, 50):
            with suppress(OSError):  # the server need not read what stands behind a response, and may be gone
                await server.ask_tcp(*mutations(start, 50))
        reader, writer = await server.connect()
        writer.write(len(good).to_bytes(2) + good)
        assert octets.read_header(await read_answer(reader)).answers == 2


async def test_octets_that_are_no_messages_at_all_end_a_connection() -> None:
    async with frontend(HANDLERS) as server:
        for number in range(100):
            reader, writer = await server.connect()
            writer.write(Random(number).randbytes(3000))
            writer.write_eof()
            await reader.read()
        assert await server.ask(query(question("web.default.svc.cluster.local"))) is not None


async def test_a_handler_is_given_names_that_are_names() -> None:
    seen: list[Query] = []

    async def look(query: Query) -> Response:
        seen.append(query)
        return Response()

    async with frontend(look) as server:
        for message in mutations(3, 1000):
            await server.ask_udp(message)
    for each in seen:
        assert 1 <= len(each.name) <= 255
        assert each.name == each.name.lower()
        assert each.name[-1] == 0
