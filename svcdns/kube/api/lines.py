"""The lines of a watch, whatever pieces they come in."""

from svcdns.errors import ClusterError

MAX_LINE = 8 * 2**20
"""The longest line that is read, in octets: etcd holds no object above 1.5 MB, and JSON may stretch it."""


class LineSplitter:
    """Puts lines together from pieces that may end anywhere, even inside a character. Each octet is looked at once."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """Take the next octets and return the lines that they complete, without line ends; empty ones are left out.

        Raises:
            ClusterError: A line is longer than `MAX_LINE`.
        """
        *ends, rest = piece.split(b"\n")
        if ends and self._begun:
            self._begin(ends[0])
            ends[0] = self.rest
            self._begun.clear()
        self._begin(rest)
        return [line for end in ends if (line := end.rstrip(b"\r"))]

    @property
    def rest(self) -> bytes:
        """The octets after the last line end."""
        return bytes(self._begun)

    def _begin(self, part: bytes) -> None:
        if len(self._begun) + len(part) > MAX_LINE:
            raise ClusterError(f"a line of the watch is longer than {MAX_LINE} octets")
        self._begun += part
