"""DNS messages in a stream of octets: each behind its length in two octets.

Source: RFC 1035 section 4.2.2, RFC 7766 section 8.
"""

LENGTH_SIZE = 2


def frame(message: bytes) -> bytes:
    """Put the length before *message*, in one piece so that both leave in one segment (RFC 7766 section 8)."""
    return len(message).to_bytes(LENGTH_SIZE) + message


class Framer:
    """Cuts a stream into messages, wherever its segments end.

    Attributes:
        rest: What has come of a message that is not whole yet.
    """

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, octets: bytes) -> list[bytes]:
        """Take in what came next, and return the messages that are whole now."""
        if self.rest:
            octets = self.rest + octets
        messages = []
        start, size = LENGTH_SIZE, len(octets)
        while start <= size:
            end = start + (octets[start - 2] << 8 | octets[start - 1])
            if end > size:
                break
            messages.append(octets[start:end])
            start = end + LENGTH_SIZE
        self.rest = octets[start - LENGTH_SIZE :]
        return messages
