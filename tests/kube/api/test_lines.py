import pytest

from svcdns.errors import ClusterError
from svcdns.kube.api.lines import MAX_LINE, LineSplitter

TEXT = '{"name":"größe"}\r\n\n{"name":"日本"}\n\r\n{}\n'.encode()
LINES = ['{"name":"größe"}'.encode(), '{"name":"日本"}'.encode(), b"{}"]


@pytest.mark.parametrize("cut", range(len(TEXT) + 1))
def test_lines_are_the_same_wherever_they_are_cut(cut: int) -> None:
    splitter = LineSplitter()
    assert splitter.feed(TEXT[:cut]) + splitter.feed(TEXT[cut:]) == LINES


def test_lines_come_together_from_single_octets() -> None:
    splitter = LineSplitter()
    assert [line for octet in TEXT for line in splitter.feed(bytes((octet,)))] == LINES


def test_a_line_without_an_end_is_no_line() -> None:
    assert LineSplitter().feed(b"{}\n{") == [b"{}"]


def test_a_line_of_the_greatest_length_is_read() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"x" * (MAX_LINE - 1)) == []
    assert splitter.feed(b"x\ny\n") == [b"x" * MAX_LINE, b"y"]


def test_a_longer_line_is_an_error() -> None:
    splitter = LineSplitter()
    splitter.feed(b"x" * MAX_LINE)
    with pytest.raises(ClusterError, match="longer than"):
        splitter.feed(b"x")
