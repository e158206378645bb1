"""Both ways to read and answer datagrams, over real sockets: they must do the same."""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from svcdns.net.mmsg import Mmsg
from svcdns.net.packets import BATCH, OneByOne, Packets
from svcdns.net.sockets import bind
from tests.frontend import PATIENCE

IP_PKTINFO = 8  # Linux's; Python has it from 3.12 only

Open = Callable[[socket.socket], Packets]

BOTH = pytest.mark.parametrize("open_packets", [OneByOne, Mmsg])
ADDRESSES = pytest.mark.parametrize(
    ("bound", "asked"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.1.2.3"),
        ("::1", "::1"),
        ("::", "::1"),
    ],
)


@contextmanager
def served(open_packets: Open, address: str) -> Iterator[tuple[Packets, socket.socket, int]]:
    """Yield the packets of a new socket, the socket and its port."""
    with closing(bind(address, 0, socket.SOCK_DGRAM)) as bound:
        yield open_packets(bound), bound, bound.getsockname()[1]


@contextmanager
def clients(address: str, count: int = 1) -> Iterator[list[socket.socket]]:
    """Yield sockets, each with a port of its own, that can reach *address*."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(count)]
    for each in opened:
        each.settimeout(PATIENCE)
        each.bind(("::1" if ":" in address else "127.0.0.1", 0))
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


def wait_for(bound: socket.socket) -> None:
    assert select.select([bound], [], [], PATIENCE)[0]


def test_linux_reads_batches_with_one_call() -> None:
    with closing(bind("127.0.0.1", 0, socket.SOCK_DGRAM)) as bound:
        assert Mmsg.works(bound)


@BOTH
@ADDRESSES
def test_each_client_gets_its_own_answer_from_the_address_that_it_asked(
    open_packets: Open, bound: str, asked: str
) -> None:
    with served(open_packets, bound) as (packets, server, port), clients(asked, BATCH) as asking:
        for _ in range(2):  # buffers are used again
            for number, client in enumerate(asking):
                client.sendto(b"question" * number, (asked, port))
            wait_for(server)
            queries = packets.receive()
            assert queries == [b"question" * number for number in range(BATCH)]
            assert [packets.sender(place).address[:2] for place in range(BATCH)] == [
                client.getsockname()[:2] for client in asking
            ]
            assert packets.send(0, [b"answer" * number for number in range(BATCH)]) == 0
            for number, client in enumerate(asking):
                answer, sender = client.recvfrom(65535)
                assert answer == b"answer" * number
                assert sender[:2] == (asked, port)


@BOTH
@ADDRESSES
def test_some_are_answered_now_and_the_others_alone_and_later(open_packets: Open, bound: str, asked: str) -> None:
    with served(open_packets, bound) as (packets, server, port), clients(asked, 4) as asking:
        for client in asking:
            client.sendto(b"question", (asked, port))
        wait_for(server)
        assert len(packets.receive()) == 4
        late = packets.sender(1)
        assert packets.send(0, [b"first"]) == packets.send(2, [b"third", b"fourth"]) == 0
        assert [asking[place].recv(512) for place in (0, 2, 3)] == [b"first", b"third", b"fourth"]
        asking[0].sendto(b"another", (asked, port))
        wait_for(server)
        assert packets.receive() == [b"another"]
        server.sendmsg([b"second"], late.control, 0, late.address)
        answer, sender = asking[1].recvfrom(512)
        assert answer == b"second"
        assert sender[:2] == (asked, port)


@BOTH
def test_who_is_answered_later_is_answered_from_the_address_that_he_asked(open_packets: Open) -> None:
    asked = ["127.0.0.1", "127.1.2.3", "127.3.2.1"]
    with served(open_packets, "0.0.0.0") as (packets, server, port), clients("127.0.0.1", len(asked)) as asking:
        for client, address in zip(asking, asked, strict=True):
            client.sendto(b"question", (address, port))
        wait_for(server)
        assert len(packets.receive()) == len(asked)
        senders = [packets.sender(place) for place in range(len(asked))]
        for sender in senders:
            server.sendmsg([b"answer"], sender.control, 0, sender.address)
        for client, address in zip(asking, asked, strict=True):
            assert client.recvfrom(512) == (b"answer", (address, port))


@BOTH
def test_a_batch_has_an_end_and_so_has_what_came(open_packets: Open) -> None:
    with served(open_packets, "127.0.0.1") as (packets, _, port), clients("127.0.0.1") as (client,):
        assert list(packets.receive()) == []
        for number in range(BATCH + 1):
            client.sendto(b"%d" % number, ("127.0.0.1", port))
        assert packets.receive() == [b"%d" % number for number in range(BATCH)]
        assert packets.receive() == [b"%d" % BATCH]
        assert list(packets.receive()) == []


@BOTH
def test_what_is_too_long_is_cut(open_packets: Open) -> None:
    with served(open_packets, "127.0.0.1") as (packets, server, port), clients("127.0.0.1") as (client,):
        for size in (4096, 4097, 60_000, 0):
            client.sendto(b"x" * size, ("127.0.0.1", port))
        wait_for(server)
        assert [len(octets) for octets in packets.receive()] == [4096, 4096, 4096, 0]


@BOTH
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_answers_that_the_network_refuses_are_counted_and_the_others_sent(open_packets: Open, address: str) -> None:
    with served(open_packets, address) as (packets, server, port), clients("127.0.0.1") as (client,):
        for _ in range(5):
            client.sendto(b"question", ("127.0.0.1", port))
        wait_for(server)
        assert len(packets.receive()) == 5
        longest = b"x" * 65_535
        assert packets.send(0, [longest, b"one", longest, longest, b"two"]) == 3
        assert [client.recv(512) for _ in range(2)] == [b"one", b"two"]


@BOTH
def test_a_closed_socket_gives_nothing_and_refuses_all_though_another_has_its_number(open_packets: Open) -> None:
    with served(open_packets, "127.0.0.1") as (packets, server, port), clients("127.0.0.1") as (client,):
        client.sendto(b"question", ("127.0.0.1", port))
        wait_for(server)
        assert packets.receive() == [b"question"]
        number = server.fileno()
        server.close()
        with closing(bind("127.0.0.1", 0, socket.SOCK_DGRAM)) as other:
            assert other.fileno() == number
            client.sendto(b"for another", other.getsockname())
            wait_for(other)
            assert packets.send(0, [b"answer"]) == 1
            assert list(packets.receive()) == []
            assert other.recv(512) == b"for another"


@ADDRESSES
def test_both_say_the_same_of_who_sent_a_datagram(bound: str, asked: str) -> None:
    told: list[list[object]] = []
    with clients(asked) as (client,):
        for open_packets in (OneByOne, Mmsg):
            with served(open_packets, bound) as (packets, server, port):
                client.sendto(b"question", (asked, port))
                wait_for(server)
                packets.receive()
                address, control = packets.sender(0)
                told.append([address, [(level, kind, data[:8]) for level, kind, data in control]])
    assert told[0] == told[1]


@BOTH
@pytest.mark.parametrize(("bound", "asked", "place"), [("0.0.0.0", "127.0.0.1", 0), ("::", "::1", 16)])
def test_the_way_back_is_left_to_routing(open_packets: Open, bound: str, asked: str, place: int) -> None:
    with served(open_packets, bound) as (packets, server, port), clients(asked) as (client,):
        client.sendto(b"question", (asked, port))
        wait_for(server)
        packets.receive()
        ((_, _, info),) = packets.sender(0).control
        assert info[place : place + 4] == bytes(4)


@BOTH
def test_what_names_no_address_asked_is_answered_without_one(open_packets: Open) -> None:
    """The kernel is told to say nothing any more, after places had other addresses in them."""
    with served(open_packets, "0.0.0.0") as (packets, server, port), clients("127.0.0.1") as (client,):
        for asked, told in (("127.3.2.1", 1), ("127.0.0.1", 0)):
            server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, told)
            client.sendto(b"question", (asked, port))
            wait_for(server)
            packets.receive()
            assert len(packets.sender(0).control) == told
            assert packets.send(0, [b"answer"]) == 0
            assert client.recvfrom(512) == (b"answer", (asked, port))
