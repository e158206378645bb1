"""Datagrams of Linux: a batch is read with one system call, recvmmsg, and answered with another, sendmmsg.

To read and to send a datagram with a call of its own costs Python as much as to answer it, most of it for the address
of the client, which becomes an object and octets again. Here it stays in its buffer until somebody asks for it.

Source: recvmmsg(2), sendmmsg(2), recvmsg(2), cmsg(3), ip(7), ipv6(7).
"""

import ctypes
import mmap
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

from svcdns.net.packets import BATCH, LARGEST_QUERY, Sender, control_size

# Numbers, for an enumeration's members cost more to hand over.
_WITHOUT_WAITING = int(socket.MSG_DONTWAIT)
_IPV4, _IPV6 = int(socket.AF_INET), int(socket.AF_INET6)
_LARGEST_ANSWER = 65535
_APART = 192  # buffers a power of two apart would compete for the same few lines of the processor's cache
_ALIGNED = 64

_IPV4_CLIENT = struct.Struct("!2xH4s8x")  # sockaddr_in: port, address
_IPV6_CLIENT = struct.Struct("!2xHI16s4s")  # sockaddr_in6: port, flow, address, interface in the machine's order
_CONTROL = struct.Struct("@Nii")  # cmsghdr: size, level, type; then in_pktinfo or in6_pktinfo
_LINK_LOCAL, _LINK_LOCAL_MASK = (int.from_bytes(octets, sys.byteorder) for octets in (b"\xfe\x80", b"\xff\xc0"))
_NO_INTERFACES = memoryview(bytes(4 * BATCH)).cast("I")

_Code = Literal["H", "I", "P"]  # numbers of 2 and of 4 octets, and as large as a pointer


class Mmsg:
    """Datagrams that are read and sent together; see `packets.Packets`.

    Each place in a batch has buffers of its own: for the query, for the answer, for the address of the client, and for
    the control message that tells which address was asked. The answer is sent with the last two as they are.

    Args:
        bound: A bound socket that does not block.
    """

    def __init__(self, bound: socket.socket) -> None:
        self._fileno = bound.fileno  # not the number, which may be another file's after a close
        self._ipv4 = bound.family == socket.AF_INET
        self._clients = _Buffers(_IPV4_CLIENT.size if self._ipv4 else _IPV6_CLIENT.size)
        self._controls = _Buffers(control_size(bound))
        self._addresses = self._controls.view("H", _CONTROL.size)
        self._interfaces = self._controls.view("I", _CONTROL.size + (0 if self._ipv4 else 16))
        self._queries = _Messages(_Buffers(LARGEST_QUERY), self._clients, self._controls)
        self._senders: dict[int, Sender] = {}  # of this batch; who waits for an upstream is asked for twice
        self._answers = _Messages(_Buffers(_LARGEST_ANSWER), self._clients, self._controls)

    @staticmethod
    def works(bound: socket.socket) -> bool:
        """Tell whether this is Linux, and lets us: a sandbox may refuse any call."""
        file = bound.fileno()
        return sys.platform == "linux" and _recvmmsg(file, None, 0, 0, None) == 0 and _sendmmsg(file, None, 0, 0) == 0

    def receive(self) -> Sequence[bytes]:
        """See `packets.Packets`."""
        queries = self._queries
        count = _recvmmsg(self._fileno(), queries.address, BATCH, _WITHOUT_WAITING, None)
        self._senders.clear()
        if count < 1:  # nothing is left to read; an ICMP error tells of a client that went away
            return ()
        if self._controls.size:
            self._leave_interface_to_routing(count)
            self._answers.control_sizes[:count] = queries.control_sizes[:count]
        sizes = queries.received[:count].tolist()
        queries.reset(count)
        octets, places = queries.buffers.octets, queries.buffers.places
        return [octets[at : at + size] for at, size in zip(places, sizes, strict=False)]

    def _leave_interface_to_routing(self, count: int) -> None:
        """Turn what tells where datagrams were sent into what sends from there, as `packets.OneByOne` does."""
        if self._ipv4:
            self._interfaces[:count] = _NO_INTERFACES[:count]
            return
        for place, start in enumerate(self._addresses[:count].tolist()):
            if start & _LINK_LOCAL_MASK != _LINK_LOCAL:
                self._interfaces[place] = 0

    def sender(self, place: int) -> Sender:
        """See `packets.Packets`."""
        sender = self._senders.get(place)
        if sender is None:
            sender = self._senders[place] = self._read_sender(place)
        return sender

    def _read_sender(self, place: int) -> Sender:
        control = []
        if self._answers.control_sizes[place]:
            told, at = self._controls.octets, self._controls.places[place]
            size, level, kind = _CONTROL.unpack_from(told, at)
            control.append((level, kind, told[at + _CONTROL.size : at + size]))
        client, at = self._clients.octets, self._clients.places[place]
        if self._ipv4:
            port, address = _IPV4_CLIENT.unpack_from(client, at)
            return Sender((socket.inet_ntop(_IPV4, address), port), control)
        port, flow, address, interface = _IPV6_CLIENT.unpack_from(client, at)
        return Sender((socket.inet_ntop(_IPV6, address), port, flow, int.from_bytes(interface, sys.byteorder)), control)

    def send(self, first: int, answers: Sequence[bytes]) -> int:
        """See `packets.Packets`."""
        messages = self._answers
        octets, places, sizes = messages.buffers.octets, messages.buffers.places, messages.sizes
        end = first
        for answer in answers:
            at, size = places[end], len(answer)
            octets[at : at + size] = answer
            sizes[end] = size
            end += 1
        refused = 0
        while first < end:
            sent = _sendmmsg(self._fileno(), messages.address + first * _MESSAGE_SIZE, end - first, 0)
            if sent < 1:
                refused += 1
            first += max(1, sent)
        return refused


class _Vector(ctypes.Structure):
    """The system's ``iovec``: where octets lie."""

    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """The system's ``msghdr``: where the parts of a message lie."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """The system's ``mmsghdr``: a message, and how many octets of it came or went."""

    _fields_ = (("header", _Header), ("size", ctypes.c_uint))


_MESSAGE_SIZE = ctypes.sizeof(_Message)


class _Buffers:
    """A buffer for each place in a batch.

    Args:
        size: Octets of each.

    Attributes:
        size: See above.
        octets: All of them; slices are copies.
        places: Where in there each begins.
        addresses: Where in memory each begins.
    """

    def __init__(self, size: int) -> None:
        stride = (size + _APART) // _ALIGNED * _ALIGNED
        self.size = size
        self.octets = mmap.mmap(-1, BATCH * stride, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # a fork has its own
        with suppress(OSError):  # the kernel has no huge pages
            self.octets.madvise(mmap.MADV_NOHUGEPAGE)  # one would take memory for all that is never written
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.octets))
        self.places = range(0, BATCH * stride, stride)
        self.addresses = range(address, address + BATCH * stride, stride)

    def view(self, code: _Code, offset: int) -> memoryview:
        """View the number at an offset in each."""
        return _stride(self.octets, code, offset, self.places.step)


class _Messages:
    """What the system is told of each place in a batch.

    Args:
        buffers: What is read or sent.
        clients: Addresses.
        controls: Control messages.

    Attributes:
        buffers: See above.
        address: Where the first message lies in memory; the others follow.
        received: How many octets of each came.
        control_sizes: How many octets its control message has.
        sizes: How many octets of each buffer are sent, or may be read into it.
    """

    def __init__(self, buffers: _Buffers, clients: _Buffers, controls: _Buffers) -> None:
        self.buffers = buffers
        vectors = (_Vector * BATCH)(*(_Vector(address, buffers.size) for address in buffers.addresses))
        begin, each = ctypes.addressof(vectors), ctypes.sizeof(_Vector)
        self._messages = (_Message * BATCH)(
            *(
                _Message(_Header(client, clients.size, begin + place * each, 1, control, controls.size, 0), 0)
                for place, (client, control) in enumerate(zip(clients.addresses, controls.addresses, strict=True))
            )
        )
        self.address = ctypes.addressof(self._messages)
        self.received = _stride(self._messages, "I", _Message.size.offset, _MESSAGE_SIZE)
        self.control_sizes = _stride(
            self._messages, "P", _Message.header.offset + _Header.control_size.offset, _MESSAGE_SIZE
        )
        self.sizes = _stride(vectors, "P", _Vector.size.offset, each)
        self._octets = memoryview(self._messages).cast("B")
        self._fresh = bytes(self._octets)

    def reset(self, count: int) -> None:
        """Say again how large addresses and control messages may be, where the system says how large they were."""
        size = count * _MESSAGE_SIZE
        self._octets[:size] = self._fresh[:size]


def _stride(octets: mmap.mmap | ctypes.Array[Any], code: _Code, offset: int, step: int) -> memoryview:
    """View the numbers that begin at an offset and at every *step* octets from there."""
    numbers = memoryview(octets).cast("B").cast(code)
    return numbers[offset // numbers.itemsize :: step // numbers.itemsize]


def _find(name: str, *more: Any) -> Callable[..., int]:
    """Find a function of the system, which takes a file, messages, how many they are, flags, and what is said here."""
    library = ctypes.CDLL(None)
    if not hasattr(library, name):
        return lambda *_: -1
    function = library[name]
    function.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, *more)
    return function


_recvmmsg = _find("recvmmsg", ctypes.c_void_p)
_sendmmsg = _find("sendmmsg")
