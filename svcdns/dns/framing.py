"""DNS messages in a stream of octets: each behind its length in two octets.

Source: RFC 1035 section 4.2.2, RFC 7766 section 8.
"""

LENGTH_SIZE = 2


def frame(message: bytes) -> bytes:
    """Put the length before *message*, in one piece so that both leave in one segment (RFC 7766 section 8)."""
    return len(message).to_bytes(LENGTH_SIZE) + message


class Framer:
    """Cuts a stream into messages, wherever its segments end."""

    __slots__ = ("_buffer", "_position")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0

    def feed(self, octets: bytes) -> None:
        """Take in what came next."""
        self._buffer += octets

    def take(self) -> bytes | None:
        """Return the next whole message, or None until more is fed."""
        start = self._position + LENGTH_SIZE
        end = start + int.from_bytes(self._buffer[self._position : start])
        if start > len(self._buffer) or end > len(self._buffer):
            del self._buffer[: self._position]
            self._position = 0
            return None
        self._position = end
        return bytes(self._buffer[start:end])

    @property
    def partial(self) -> bool:
        """Whether octets of a further message have come."""
        return self._position < len(self._buffer)
