"""The TCP listener: hands the messages of connections to whatever answers.

Source: RFC 7766, RFC 9210.
"""

import socket

from svcdns.net.acceptor import Acceptor
from svcdns.net.connections import Connection, Connections
from svcdns.net.sockets import MakeAnswerer, describe_listener


class Streams:
    """Answers the connections that come to one address.

    Args:
        bound: A listening TCP socket, which the listener owns from now on.
        label: What metrics call the server, such as ``dns://:53``.
        make: Makes what answers.
        connections: The connections of all listeners.

    Attributes:
        answerer: Answers the messages; a reload puts another in its place.
        listener: What plugins are told of the socket.
    """

    def __init__(self, bound: socket.socket, label: str, make: MakeAnswerer, connections: Connections) -> None:
        self.listener = describe_listener(bound, label, "tcp")
        self.answerer = make(self.listener)
        self._connections = connections
        self._acceptor = Acceptor(bound, self._take_in, connections.make_room, connections.limits.pause)

    def start(self) -> None:
        """Begin to accept."""
        self._acceptor.start()

    def pause(self) -> None:
        """Accept no more; `start` begins again. What is connected is answered."""
        self._acceptor.pause()

    async def stop(self, grace: float) -> None:
        """Accept no more, and answer what has come.

        Args:
            grace: How long that may take, in seconds; then connections are closed as they are.
        """
        self._acceptor.stop()
        await self._connections.finish(self.listener, grace)

    def _take_in(self, accepted: socket.socket, client: tuple[str, int]) -> None:
        Connection(accepted, client, self, self._connections).start()
