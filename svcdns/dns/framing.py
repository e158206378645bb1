"""DNS messages in a stream of octets: each behind its length in two octets.

Source: RFC 1035 section 4.2.2, RFC 7766 section 8.
"""

LENGTH_SIZE = 2


def frame(message: bytes) -> bytes:
    """Put the length before *message*, in one piece so that both leave in one segment (RFC 7766 section 8)."""
    return len(message).to_bytes(LENGTH_SIZE) + message


class Framer:
    """Cuts a stream into messages, wherever its segments end."""

    __slots__ = ("_octets", "_position")

    def __init__(self) -> None:
        self._octets = b""
        self._position = 0

    def feed(self, octets: bytes) -> None:
        """Take in what came next."""
        self._octets = self._octets[self._position :] + octets
        self._position = 0

    def take(self) -> bytes | None:
        """Return the next whole message, or None until more is fed."""
        octets, start = self._octets, self._position + LENGTH_SIZE
        if start <= len(octets):
            end = start + (octets[start - 2] << 8 | octets[start - 1])
            if end <= len(octets):
                self._position = end
                return octets[start:end]
        self.feed(b"")  # what was taken is not kept
        return None

    @property
    def partial(self) -> bool:
        """Whether octets of a further message have come."""
        return self._position < len(self._octets)
