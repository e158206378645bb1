from hypothesis import given
from hypothesis import strategies as st

from svcdns.dns.framing import Framer, frame

MESSAGES = st.lists(st.binary(max_size=300), max_size=10)


def taken(framer: Framer) -> list[bytes]:
    found = []
    while (message := framer.take()) is not None:
        found.append(message)
    return found


@given(MESSAGES, st.lists(st.integers(0, 3000), max_size=20))
def test_messages_come_out_whole_wherever_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, messages))
    framer, found, start = Framer(), [], 0
    for end in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
        framer.feed(stream[start:end])
        found += taken(framer)
        start = end
    assert found == messages
    assert not framer.partial


def test_one_octet_at_a_time_is_enough() -> None:
    framer = Framer()
    for octet in b"\x00\x03abc\x00\x00"[:4]:
        framer.feed(bytes((octet,)))
        assert framer.take() is None
        assert framer.partial
    framer.feed(b"c")
    assert framer.take() == b"abc"
    assert not framer.partial


def test_a_length_of_zero_is_an_empty_message() -> None:
    framer = Framer()
    framer.feed(b"\x00\x00\x00\x01x")
    assert taken(framer) == [b"", b"x"]


def test_the_longest_message_has_65535_octets() -> None:
    framer = Framer()
    framer.feed(frame(b"x" * 65535) + frame(b"y" * 65535))
    assert [len(message) for message in taken(framer)] == [65535, 65535]


def test_a_message_may_be_taken_while_a_later_one_is_still_cut() -> None:
    framer = Framer()
    framer.feed(b"\x00\x01a\x00\x02b")
    assert framer.take() == b"a"
    assert framer.partial
    assert framer.take() is None
    framer.feed(b"c")
    assert framer.take() == b"bc"
