"""An upstream: where it is, and what was learnt of it.

Source: draft-vixie-dnsext-dns0x20, RFC 5452 section 9.2, RFC 6891 section 7, RFC 9715 section 3.
"""

import logging
import math
import os
import socket
import sys
from dataclasses import dataclass
from ipaddress import ip_address

from svcdns.dns.message import Query
from svcdns.dns.upstream import ID_BITS, Asked, encode_query
from svcdns.metrics import Counter
from svcdns.net.poller import Poller
from svcdns.net.pool import Keeping, Pool, Route
from svcdns.net.ports import Ports
from svcdns.net.roundtrip import RoundTrip
from svcdns.net.sockets import show_address
from svcdns.weak import Referable

MEMORY = 3600.0
"""How long it is remembered that an upstream does not keep letter case or does not know EDNS, in seconds."""

_SILENT_ON_EDNS = 3
_EDNS_KNOWN = 60.0
_IP_MTU_DISCOVER = 10  # socket.IP_MTU_DISCOVER and what follows, which Python has from 3.14 only
_IPV6_MTU_DISCOVER = 23
_PMTUDISC_OMIT = 5

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counters:
    """What is counted of one upstream.

    Attributes:
        found: Questions that found a UDP socket.
        opened: Questions that had to open one.
        hits: Questions that found a connection.
        misses: Questions that had to open one.
        rejected: Messages that came from the upstream's address but did not answer what was asked.
    """

    found: Counter
    opened: Counter
    hits: Counter
    misses: Counter
    rejected: Counter


class Health:
    """Whether an upstream answers over one of its transports.

    Args:
        label: The upstream's.
        transport: ``UDP``, ``TCP`` or ``TLS``.

    Attributes:
        stream: Whether the transport is a stream.
        suspect: Whether the upstream failed last, so that others are asked first.
        failed_probes: How many probes in a row it did not answer.
    """

    __slots__ = ("_label", "_reported", "_transport", "failed_probes", "stream", "suspect")

    def __init__(self, label: str, transport: str) -> None:
        self.stream = transport != "UDP"
        self.suspect = False
        self.failed_probes = 0
        self._label = label
        self._transport = transport
        self._reported = False

    def is_down(self, most: int) -> bool:
        """Tell whether it left over *most* probes in a row unanswered; 0 for any number."""
        return 0 < most < self.failed_probes

    def note_answer(self) -> None:
        """Trust it again."""
        if self.suspect:
            self.suspect = False
            self.failed_probes = 0
            if self._reported:
                log.info("upstream %s is back over %s", self._label, self._transport)
            self._reported = False

    def note_failed_probe(self, most: int, reason: str) -> None:
        """Count a probe without an answer; with over *most* in a row the upstream is down, which is said once."""
        self.failed_probes += 1
        if self.failed_probes > most and not self._reported:
            log.warning("upstream %s is down over %s: %s", self._label, self._transport, reason)
            self._reported = True


class Upstream(Referable):
    """A server that is asked.

    Args:
        route: Where it is and how it is reached.
        keeping: How long and how many connections are kept.
        poller: What all upstreams share.
        counters: What is counted.

    Attributes:
        route: As given.
        poller: As given.
        counters: As given.
        label: Its address and port, as logs and metrics name it.
        pool: Its TCP or TLS connections.
        ports: The UDP sockets that it is asked from.
        round_trip: How long it takes to answer.
        encrypted: Whether it is asked over TLS alone.
        trusted: Whether it is believed when it says that it validated (AD): nobody between here and there can say so
            (RFC 4035 section 4.9.3, RFC 6840 section 5.8).
        looping: Whether what it is asked comes back to us.
        streams: Its health over TCP or TLS.
        datagrams: Its health over UDP; the same where it is asked over TLS alone.
    """

    def __init__(self, route: Route, keeping: Keeping, poller: Poller, counters: Counters) -> None:
        self.route = route
        self.poller = poller
        self.counters = counters
        self.label = show_address(route.address, route.port)
        self.pool = Pool(route, keeping, poller, counters.hits, counters.misses)
        self.ports = Ports(self.open_socket, poller, counters.found, counters.opened)
        self.round_trip = RoundTrip()
        self.encrypted = route.context is not None
        self.trusted = self.encrypted or not ip_address(route.address).is_global
        self.looping = False
        self.streams = Health(self.label, "TLS" if self.encrypted else "TCP")
        self.datagrams = self.streams if self.encrypted else Health(self.label, "UDP")
        self._family = socket.AF_INET6 if ":" in route.address else socket.AF_INET
        self._folds_until = 0.0
        self._plain_until = 0.0
        self._silent_on_edns = 0
        self._edns_answered = -math.inf

    @property
    def knows_edns(self) -> bool:
        """Whether it has just answered with an OPT record, so that silence is not for that of the question."""
        return self.poller.clock() - self._edns_answered < _EDNS_KNOWN

    def health(self, *, stream: bool) -> Health:
        """Return its health over one of its transports."""
        return self.streams if stream else self.datagrams

    def encode(self, query: Query, *, opt: bool = True) -> Asked:
        """Put a question together, with all that is random in it drawn afresh."""
        now = self.poller.clock()
        bits = int.from_bytes(os.urandom(ID_BITS // 8 + len(query.name)))
        mixed, opt = now >= self._folds_until, opt and now >= self._plain_until
        return encode_query(query, bits, mixed=mixed, opt=opt, trusted=self.trusted)

    def open_socket(self) -> socket.socket:
        """Open a UDP socket that hears this upstream alone, at a port that the kernel draws.

        Raises:
            OSError: There is no way to it, or no file is left.
        """
        opened = socket.socket(self._family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)  # noqa: FBT003 - its only argument
            if sys.platform == "linux":  # so that a forged ICMP message cannot make the kernel send fragments
                if self._family == socket.AF_INET:
                    opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_OMIT)
                else:
                    opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_OMIT)
            if self.route.source:
                opened.bind((self.route.source, 0))
            opened.connect((self.route.address, self.route.port))
        except OSError:
            opened.close()
            raise
        return opened

    def note_folding(self) -> None:
        """Remember that it does not keep letter case."""
        self._folds_until = self.poller.clock() + MEMORY

    def note_edns(self, *, answered: bool) -> None:
        """Learn whether it answers questions with an OPT record; who leaves several unanswered gets none any more."""
        if answered:
            self._silent_on_edns = 0
            self._edns_answered = self.poller.clock()
            return
        self._silent_on_edns += 1
        if self._silent_on_edns == _SILENT_ON_EDNS:
            self.note_no_edns()

    def note_no_edns(self) -> None:
        """Remember that it does not know EDNS."""
        self._plain_until = self.poller.clock() + MEMORY
