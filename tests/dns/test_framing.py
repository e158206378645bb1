from hypothesis import given
from hypothesis import strategies as st

from svcdns.dns.framing import Framer, frame

MESSAGES = st.lists(st.binary(max_size=300), max_size=10)


@given(MESSAGES, st.lists(st.integers(0, 3000), max_size=20))
def test_messages_come_out_whole_wherever_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, messages))
    framer, found, start = Framer(), [], 0
    for end in [*sorted(cut for cut in cuts if cut < len(stream)), len(stream)]:
        found += framer.feed(stream[start:end])
        start = end
    assert found == messages
    assert framer.rest == b""


def test_one_octet_at_a_time_is_enough() -> None:
    framer = Framer()
    for octet in b"\x00\x03ab":
        assert framer.feed(bytes((octet,))) == []
    assert framer.rest == b"\x00\x03ab"
    assert framer.feed(b"c") == [b"abc"]
    assert framer.rest == b""


def test_a_length_of_zero_is_an_empty_message() -> None:
    assert Framer().feed(b"\x00\x00\x00\x01x") == [b"", b"x"]


def test_the_longest_message_has_65535_octets() -> None:
    messages = [b"x" * 65535, b"y" * 65535]
    assert Framer().feed(b"".join(map(frame, messages))) == messages


def test_messages_are_whole_while_a_later_one_is_still_cut() -> None:
    framer = Framer()
    assert framer.feed(b"\x00\x01a\x00\x01b\x00\x02c") == [b"a", b"b"]
    assert framer.rest == b"\x00\x02c"
    assert framer.feed(b"d") == [b"cd"]
