import gc
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svcdns.dns.message import Response
from svcdns.dns.name import Name, from_text
from svcdns.dns.records import RRset, Rtype
from svcdns.kube import reverse
from svcdns.kube.cluster import Cluster, new_store
from svcdns.kube.directory import Options, Pods
from svcdns.kube.memo import Chase
from svcdns.kube.objects import (
    ANY_PORT,
    NO_PORTS,
    EndpointSlice,
    Kind,
    Namespace,
    Object,
    Pod,
    Port,
    Service,
    pack,
)
from svcdns.kube.view import MAX_LINKS, View
from tests.kube.sample import SERIAL, ZONES, ask, make_cluster, make_view, name_of


def cluster_ip(name: str, *addresses: bytes) -> Service:
    """Make a Service in ``default``."""
    return Service(("default", name), "", addresses, headless=False, external_name="", ports=NO_PORTS)


# D data, - NODATA, X NXDOMAIN, C a CNAME that others must follow, . for the rest of the chain
MATRIX = """
NAME                                   A AAAA SRV PTR CNAME TXT MX NS SOA HTTPS ANY
cluster.local.                         - -    -   -   -     -   -  D  D   -     D
svc                                    - -    -   -   -     -   -  -  -   -     -
pod                                    - -    -   -   -     -   -  -  -   -     -
ns.dns                                 D -    -   -   -     -   -  -  -   -     D
dns                                    - -    -   -   -     -   -  -  -   -     -
foo                                    X X    X   X   X     X   X  X  X   X     X
x.ns.dns                               X X    X   X   X     X   X  X  X   X     X
dns-version                            - -    -   -   -     D   -  -  -   -     D
x.dns-version                          X X    X   X   X     X   X  X  X   X     X
default.svc                            - -    -   -   -     -   -  -  -   -     -
nowhere.svc                            X X    X   X   X     X   X  X  X   X     X
hidden.svc                             X X    X   X   X     X   X  X  X   X     X
web.hidden.svc                         X X    X   X   X     X   X  X  X   X     X
default.pod                            - -    -   -   -     -   -  -  -   -     -
nowhere.pod                            X X    X   X   X     X   X  X  X   X     X
nothing.default.svc                    X X    X   X   X     X   X  X  X   X     X
web.default.svc                        D -    D   -   -     -   -  -  -   -     D
dual.default.svc                       D D    D   -   -     -   -  -  -   -     D
six.default.svc                        - D    D   -   -     -   -  -  -   -     D
portless.default.svc                   D -    -   -   -     -   -  -  -   -     D
empty.default.svc                      D -    D   -   -     -   -  -  -   -     D
node.default.svc                       D -    D   -   -     -   -  -  -   -     D
balanced.default.svc                   D -    D   -   -     -   -  -  -   -     D
db.default.svc                         D D    D   -   -     -   -  -  -   -     D
bare.default.svc                       D -    -   -   -     -   -  -  -   -     D
asleep.default.svc                     X X    X   X   X     X   X  X  X   X     X
orphan.default.svc                     X X    X   X   X     X   X  X  X   X     X
_http._tcp.web.default.svc             D -    D   -   -     -   -  -  -   -     D
http.tcp.web.default.svc               D -    D   -   -     -   -  -  -   -     D
_._tcp.web.default.svc                 D -    D   -   -     -   -  -  -   -     D
_._.web.default.svc                    D -    D   -   -     -   -  -  -   -     D
_._.portless.default.svc               D -    -   -   -     -   -  -  -   -     D
_dns._tcp.web.default.svc              X X    X   X   X     X   X  X  X   X     X
_http._udp.web.default.svc             X X    X   X   X     X   X  X  X   X     X
_._tcp.portless.default.svc            X X    X   X   X     X   X  X  X   X     X
_pg._tcp.db.default.svc                D D    D   -   -     -   -  -  -   -     D
_stats._tcp.db.default.svc             D -    D   -   -     -   -  -  -   -     D
_http._tcp.asleep.default.svc          X X    X   X   X     X   X  X  X   X     X
_tcp.web.default.svc                   - -    -   -   -     -   -  -  -   -     -
tcp.web.default.svc                    - -    -   -   -     -   -  -  -   -     -
_udp.web.default.svc                   - -    -   -   -     -   -  -  -   -     -
_.web.default.svc                      - -    -   -   -     -   -  -  -   -     -
_.portless.default.svc                 - -    -   -   -     -   -  -  -   -     -
_tcp.portless.default.svc              X X    X   X   X     X   X  X  X   X     X
_sctp.web.default.svc                  X X    X   X   X     X   X  X  X   X     X
_tcp.db.default.svc                    - -    -   -   -     -   -  -  -   -     -
_tcp.asleep.default.svc                X X    X   X   X     X   X  X  X   X     X
_tcp.nothing.default.svc               X X    X   X   X     X   X  X  X   X     X
10-244-0-21.web.default.svc            D -    D   -   -     -   -  -  -   -     D
10-244-0-22.web.default.svc            X X    X   X   X     X   X  X  X   X     X
web-abc.web.default.svc                X X    X   X   X     X   X  X  X   X     X
db-0.db.default.svc                    D D    D   -   -     -   -  -  -   -     D
DB-1.db.default.svc                    D -    D   -   -     -   -  -  -   -     D
db-3.db.default.svc                    X X    X   X   X     X   X  X  X   X     X
10-244-0-31.db.default.svc             X X    X   X   X     X   X  X  X   X     X
10-244-0-33.db.default.svc             D -    D   -   -     -   -  -  -   -     D
2001-db8--0.db.default.svc             - D    D   -   -     -   -  -  -   -     D
2001-db8--.db.default.svc              X X    X   X   X     X   X  X  X   X     X
10-244-0-41.bare.default.svc           D -    -   -   -     -   -  -  -   -     D
_http._tcp.db-0.db.default.svc         X X    X   X   X     X   X  X  X   X     X
a.b.c.d.web.default.svc                X X    X   X   X     X   X  X  X   X     X
outside.default.svc                    C C    D   D   D     D   D  D  D   D     D
alias.default.svc                      D D    D   D   D     D   D  D  D   D     D
x.outside.default.svc                  X X    X   X   X     X   X  X  X   X     X
_tcp.outside.default.svc               X X    X   X   X     X   X  X  X   X     X
_http._tcp.outside.default.svc         X X    X   X   X     X   X  X  X   X     X
_.outside.default.svc                  - -    -   -   -     -   -  -  -   -     -
_._.outside.default.svc                C C    D   D   D     D   D  D  D   D     D
_._.numeric.default.svc                X X    X   X   X     X   X  X  X   X     X
numeric.default.svc                    X X    X   X   X     X   X  X  X   X     X
garbled.default.svc                    X X    X   X   X     X   X  X  X   X     X
10-1-2-3.default.pod                   D -    D   -   -     -   -  -  -   -     D
fd00--1.default.pod                    - D    D   -   -     -   -  -  -   -     D
--ffff-10.1.2.3.default.pod            X X    X   X   X     X   X  X  X   X     X
--ffff-a01-203.default.pod             D -    D   -   -     -   -  -  -   -     D
--1.default.pod                        - D    D   -   -     -   -  -  -   -     D
10-1-2-03.default.pod                  X X    X   X   X     X   X  X  X   X     X
10-1-2.default.pod                     X X    X   X   X     X   X  X  X   X     X
fe80--1%eth0.default.pod               X X    X   X   X     X   X  X  X   X     X
web.default.pod                        X X    X   X   X     X   X  X  X   X     X
10-1-2-3.nowhere.pod                   X X    X   X   X     X   X  X  X   X     X
foo.10-1-2-3.default.pod               X X    X   X   X     X   X  X  X   X     X
a.b.10-1-2-3.default.pod               X X    X   X   X     X   X  X  X   X     X
in-addr.arpa.                          - -    -   -   -     -   -  D  D   -     D
10.96.0.10.in-addr.arpa.               X X    X   X   X     X   X  X  X   X     X
10.0.96.10.in-addr.arpa.               - -    -   D   -     -   -  -  -   -     D
21.0.244.10.in-addr.arpa.              - -    -   D   -     -   -  -  -   -     D
99.0.96.10.in-addr.arpa.               X X    X   X   X     X   X  X  X   X     X
22.0.244.10.in-addr.arpa.              X X    X   X   X     X   X  X  X   X     X
x.10.0.96.10.in-addr.arpa.             X X    X   X   X     X   X  X  X   X     X
0.96.10.in-addr.arpa.                  - -    -   -   -     -   -  -  -   -     -
10.in-addr.arpa.                       - -    -   -   -     -   -  -  -   -     -
11.in-addr.arpa.                       X X    X   X   X     X   X  X  X   X     X
010.in-addr.arpa.                      X X    X   X   X     X   X  X  X   X     X
svc.in-addr.arpa.                      - -    -   -   -     -   -  -  -   -     -
web.default.svc.in-addr.arpa.          X X    X   X   X     X   X  X  X   X     X
dns-version.in-addr.arpa.              - -    -   -   -     D   -  -  -   -     D
ns.dns.in-addr.arpa.                   D -    -   -   -     -   -  -  -   -     D
0.0.d.f.ip6.arpa.                      - -    -   -   -     -   -  -  -   -     -
0.0.d.e.ip6.arpa.                      X X    X   X   X     X   X  X  X   X     X
example.com.                           . .    .   .   .     .   .  .  .   .     .
local.                                 . .    .   .   .     .   .  .  .   .     .
xcluster.local.                        . .    .   .   .     .   .  .  .   .     .
"""

_ROWS = [line.split() for line in MATRIX.strip().splitlines()]


def _code(text: str) -> str:
    """Sum up an answer as the matrix does; negative ones must have an SOA and nothing else."""
    first, *lines = text.splitlines()
    if first.startswith("chase"):
        return "C"
    if first == "rest":
        return "."
    if first == "SERVFAIL":
        return first
    if first == "NXDOMAIN" or not [line for line in lines if not line.startswith("- ")]:
        assert [line.split()[3] for line in lines] == ["SOA"]
        return "X" if first == "NXDOMAIN" else "-"
    return "D"


@pytest.mark.parametrize("row", _ROWS[1:], ids=lambda row: row[0])
def test_the_matrix_of_names_and_types(row: list[str]) -> None:
    view = make_view(pods=Pods.INSECURE, local=["10.0.0.53"])
    expected = dict(zip(_ROWS[0][1:], row[1:], strict=True))
    first = {rtype: _code(ask(view, f"{row[0]} {rtype}")) for rtype in expected}
    again = {rtype: _code(ask(view, f"{row[0]} {rtype}")) for rtype in expected}
    assert first == expected
    assert again == expected


ANSWERS = """
? web.default.svc A
NOERROR
web.default.svc 5 A 10.96.0.10

? WEB.Default.SVC A
NOERROR
web.default.svc 5 A 10.96.0.10

? dual.default.svc AAAA
NOERROR
dual.default.svc 5 AAAA fd00:10:96::b

? dual.default.svc SRV
NOERROR
dual.default.svc 5 SRV 0 50 80 dual.default.svc
+ dual.default.svc 5 A 10.96.0.11
+ dual.default.svc 5 AAAA fd00:10:96::b

? kube-dns.kube-system.svc SRV
NOERROR
kube-dns.kube-system.svc 5 SRV 0 16 53 kube-dns.kube-system.svc
kube-dns.kube-system.svc 5 SRV 0 16 9153 kube-dns.kube-system.svc
+ kube-dns.kube-system.svc 5 A 10.96.0.2
+ kube-dns.kube-system.svc 5 AAAA fd00:10:96::2

? web.default.svc SRV
NOERROR
web.default.svc 5 SRV 0 33 80 web.default.svc
web.default.svc 5 SRV 0 33 53 web.default.svc
+ web.default.svc 5 A 10.96.0.10

? six.default.svc SRV
NOERROR
six.default.svc 5 SRV 0 100 443 six.default.svc
+ six.default.svc 5 AAAA fd00:10:96::c

? node.default.svc SRV
NOERROR
node.default.svc 5 SRV 0 100 80 node.default.svc
+ node.default.svc 5 A 10.96.0.15

? _dns._udp.web.default.svc SRV
NOERROR
_dns._udp.web.default.svc 5 SRV 0 100 53 web.default.svc
+ web.default.svc 5 A 10.96.0.10

? _dns._udp.web.default.svc A
NOERROR
_dns._udp.web.default.svc 5 A 10.96.0.10

? db.default.svc A
NOERROR
db.default.svc 5 A 10.244.0.31
db.default.svc 5 A 10.244.0.32
db.default.svc 5 A 10.244.0.33

? _pg._tcp.db.default.svc SRV
NOERROR
_pg._tcp.db.default.svc 5 SRV 0 20 5432 db-0.db.default.svc
_pg._tcp.db.default.svc 5 SRV 0 20 5432 db-1.db.default.svc
_pg._tcp.db.default.svc 5 SRV 0 20 5432 10-244-0-33.db.default.svc
_pg._tcp.db.default.svc 5 SRV 0 20 5432 2001-db8--0.db.default.svc
+ db-0.db.default.svc 5 A 10.244.0.31
+ db-0.db.default.svc 5 AAAA fd00:10:244::1f
+ db-1.db.default.svc 5 A 10.244.0.32
+ 10-244-0-33.db.default.svc 5 A 10.244.0.33
+ 2001-db8--0.db.default.svc 5 AAAA 2001:db8::

? db-0.db.default.svc SRV
NOERROR
db-0.db.default.svc 5 SRV 0 33 5432 db-0.db.default.svc
db-0.db.default.svc 5 SRV 0 33 9187 db-0.db.default.svc
+ db-0.db.default.svc 5 A 10.244.0.31
+ db-0.db.default.svc 5 AAAA fd00:10:244::1f

? 10-244-0-21.web.default.svc SRV
NOERROR
10-244-0-21.web.default.svc 5 SRV 0 100 8080 10-244-0-21.web.default.svc
+ 10-244-0-21.web.default.svc 5 A 10.244.0.21

? outside.default.svc CNAME
NOERROR
outside.default.svc 5 CNAME example.com.

? outside.default.svc A
chase example.com.
outside.default.svc 5 CNAME example.com.

? outside.default.svc HTTPS
NOERROR
outside.default.svc 5 CNAME example.com.

? outside.default.svc ANY
NOERROR
outside.default.svc 5 CNAME example.com.

? alias.default.svc A
NOERROR
alias.default.svc 5 CNAME web.default.svc
web.default.svc 5 A 10.96.0.10

? alias.default.svc AAAA
NOERROR
alias.default.svc 5 CNAME web.default.svc
- cluster.local. 5 SOA

? far.default.svc A
NOERROR
far.default.svc 5 CNAME alias.default.svc
alias.default.svc 5 CNAME web.default.svc
web.default.svc 5 A 10.96.0.10

? far.default.svc CNAME
NOERROR
far.default.svc 5 CNAME alias.default.svc

? onward.default.svc A
chase example.com.
onward.default.svc 5 CNAME outside.default.svc
outside.default.svc 5 CNAME example.com.

? onward.default.svc TXT
NOERROR
onward.default.svc 5 CNAME outside.default.svc
outside.default.svc 5 CNAME example.com.

? dead.default.svc A
NXDOMAIN
dead.default.svc 5 CNAME nothing.default.svc
- cluster.local. 5 SOA

? below.default.svc A
NXDOMAIN
below.default.svc 5 CNAME x.below.default.svc
- cluster.local. 5 SOA

? ring.default.svc A
NOERROR
ring.default.svc 5 CNAME ringer.default.svc
ringer.default.svc 5 CNAME ring.default.svc

? 10-1-2-3.default.pod SRV
NOERROR
10-1-2-3.default.pod 5 SRV 0 100 0 10-1-2-3.default.pod
+ 10-1-2-3.default.pod 5 A 10.1.2.3

? 10.0.96.10.in-addr.arpa. PTR
NOERROR
10.0.96.10.in-addr.arpa. 5 PTR web.default.svc

? b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa. PTR
NOERROR
b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa. 5 PTR dual.default.svc

? 0.b.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa. PTR
NXDOMAIN
- ip6.arpa. 5 SOA

? 21.0.244.10.in-addr.arpa. PTR
NOERROR
21.0.244.10.in-addr.arpa. 5 PTR 10-244-0-21.web.default.svc
21.0.244.10.in-addr.arpa. 5 PTR 10-244-0-21.web.prod.svc

? 31.0.244.10.in-addr.arpa. PTR
NOERROR
31.0.244.10.in-addr.arpa. 5 PTR db-0.db.default.svc

? 61.0.244.10.in-addr.arpa. PTR
NOERROR
61.0.244.10.in-addr.arpa. 5 PTR lost.orphan.default.svc

? 62.0.244.10.in-addr.arpa. PTR
NXDOMAIN
- in-addr.arpa. 5 SOA

? 71.0.244.10.in-addr.arpa. PTR
NXDOMAIN
- in-addr.arpa. 5 SOA

? 10.2.96.10.in-addr.arpa. PTR
NXDOMAIN
- in-addr.arpa. 5 SOA

? dns-version TXT
NOERROR
dns-version 28800 TXT "1.1.0"

? cluster.local. SOA
NOERROR
cluster.local. 5 SOA ns.dns hostmaster 1700000004 7200 1800 86400 5

? cluster.local. NS
NOERROR
cluster.local. 5 NS ns.dns
+ ns.dns 5 A 10.0.0.53

? db.default.svc ANY
NOERROR
db.default.svc 5 A 10.244.0.31
db.default.svc 5 A 10.244.0.32
db.default.svc 5 A 10.244.0.33
"""

_ANSWERS = [
    (question.removeprefix("? "), "\n".join(lines))
    for question, *lines in (block.splitlines() for block in ANSWERS.strip().split("\n\n"))
]


@pytest.mark.parametrize(("question", "answer"), _ANSWERS, ids=[question for question, _ in _ANSWERS])
def test_what_is_answered(question: str, answer: str) -> None:
    view = make_view(pods=Pods.INSECURE, local=["10.0.0.53"])
    assert ask(view, question) == answer
    assert ask(view, question) == answer


def test_every_answer_is_authoritative_and_names_the_plugin() -> None:
    view = make_view()
    for question in ("web.default.svc A", "web.default.svc AAAA", "foo A"):
        name, rtype = question.split()
        found = view.find(name_of(name), Rtype[rtype])
        assert isinstance(found, Response)
        assert (found.aa, found.plugin) == (True, "kubernetes")


# --- options ---------------------------------------------------------------------------------------------------------


def test_ttl_is_that_of_all_records_but_the_version() -> None:
    view = make_view(ttl=30)
    assert ask(view, "web.default.svc A") == "NOERROR\nweb.default.svc 30 A 10.96.0.10"
    assert ask(view, "foo A") == "NXDOMAIN\n- cluster.local. 30 SOA"
    assert ask(view, "dns-version TXT").splitlines()[1].split()[1] == "28800"


@pytest.mark.parametrize(("ttl", "soa"), [(0, 0), (300, 300), (3600, 300)])
def test_the_soa_lives_for_at_most_five_minutes(ttl: int, soa: int) -> None:
    view = make_view(ttl=ttl)
    record = ask(view, "cluster.local. SOA").splitlines()[1].split()
    assert (record[1], record[-1]) == (str(soa), str(ttl))
    assert ask(view, "foo A") == f"NXDOMAIN\n- cluster.local. {soa} SOA"


def test_without_pod_names_nothing_is_below_pod() -> None:
    view = make_view(pods=Pods.DISABLED)
    assert [_code(ask(view, f"{name} A")) for name in ("pod", "default.pod", "10-1-2-3.default.pod")] == ["-", "X", "X"]


def test_verified_pod_names_are_those_of_pods_that_there_are() -> None:
    view = make_view(pods=Pods.VERIFIED)
    assert _code(ask(view, "10-244-0-21.default.pod A")) == "D"
    assert _code(ask(view, "fd00-10-244--15.default.pod AAAA")) == "D"
    assert _code(ask(view, "10-244-0-21.prod.pod A")) == "X"
    assert _code(ask(view, "10-244-0-81.default.pod A")) == "X"
    assert _code(ask(view, "default.pod A")) == "-"


def test_only_namespaces_listed_are_shown() -> None:
    view = make_view(namespaces=frozenset({"prod", "hidden"}))
    assert _code(ask(view, "web.prod.svc A")) == "D"
    assert _code(ask(view, "web.default.svc A")) == "X"
    assert _code(ask(view, "default.svc A")) == "X"
    assert _code(ask(view, "web.hidden.svc A")) == "X"
    assert _code(ask(view, "10.0.96.10.in-addr.arpa. PTR")) == "X"
    assert ask(view, "21.0.244.10.in-addr.arpa. PTR").endswith(" 10-244-0-21.web.prod.svc")
    assert _code(ask(view, "244.10.in-addr.arpa. PTR")) == "-"
    assert _code(ask(view, "0.96.10.in-addr.arpa. PTR")) == "X"


def test_endpoints_can_be_named_after_their_pods() -> None:
    view = make_view(pod_names=True)
    assert _code(ask(view, "web-abc.web.default.svc A")) == "D"
    assert _code(ask(view, "10-244-0-21.web.default.svc A")) == "X"
    assert _code(ask(view, "db-1.db.default.svc A")) == "D"
    assert _code(ask(view, "db-2-abc.db.default.svc A")) == "D"
    assert ask(view, "21.0.244.10.in-addr.arpa. PTR").splitlines()[1].endswith(" web-abc.web.default.svc")


def test_services_without_ready_endpoints_can_be_ignored() -> None:
    view = make_view(ignore_empty=True)
    names = ("web.default.svc", "empty.default.svc", "_http._tcp.empty.default.svc", "alias.default.svc")
    assert [_code(ask(view, f"{name} A")) for name in names] == ["D", "X", "X", "D"]
    assert _code(ask(view, "14.0.96.10.in-addr.arpa. PTR")) == "D"


def test_names_that_do_not_exist_fall_through_where_they_may() -> None:
    view = make_view(fallthrough=(from_text("prod.svc.cluster.local."), from_text("in-addr.arpa.")))
    questions = (
        "nothing.prod.svc A",
        "nothing.default.svc A",
        "web.prod.svc AAAA",
        "99.0.96.10.in-addr.arpa. PTR",
        "96.10.in-addr.arpa. SOA",
        "dns.in-addr.arpa. A",
        "10.0.96.10.in-addr.arpa. A",
        "in-addr.arpa. A",
        "0.0.d.e.ip6.arpa. PTR",
    )
    assert [_code(ask(view, question)) for question in questions] == [".", "X", "-", ".", ".", ".", "-", "-", "X"]


def test_a_dead_end_that_falls_through_is_left_to_others() -> None:
    view = make_view(fallthrough=(from_text("."),))
    assert ask(view, "dead.default.svc A").splitlines()[0] == "chase nothing.default.svc"


def test_any_zone_name_will_do_and_the_longest_that_holds_a_name_counts() -> None:
    zones = tuple(map(from_text, ("96.10.in-addr.arpa.", "10.in-addr.arpa.", "k8s.", "east.k8s.")))
    view = make_view(zones=zones)
    assert ask(view, "web.default.svc.k8s. A").endswith(" A 10.96.0.10")
    assert ask(view, "web.default.svc.east.k8s. A").endswith(" A 10.96.0.10")
    assert ask(view, "foo.east.k8s. A").endswith("- east.k8s. 5 SOA")
    assert ask(view, "10.0.96.10.in-addr.arpa. PTR").endswith(" web.default.svc.k8s.")
    assert ask(view, "99.0.96.10.in-addr.arpa. PTR").endswith("- 96.10.in-addr.arpa. 5 SOA")
    assert ask(view, "in-addr.arpa. SOA") == "rest"


@pytest.mark.parametrize("reverse", ["in-addr.arpa.", "ip6.arpa."])
def test_a_reverse_zone_is_never_where_addresses_point_to(reverse: str) -> None:
    view = make_view(zones=(from_text(reverse), from_text("10.in-addr.arpa."), from_text("cluster.local.")))
    assert ask(view, "10.0.96.10.in-addr.arpa. PTR").endswith(" PTR web.default.svc")


def test_the_root_can_be_the_zone() -> None:
    view = make_view(zones=(from_text("."),))
    assert ask(view, "web.default.svc. A").endswith(" A 10.96.0.10")
    assert ask(view, "10.0.96.10.in-addr.arpa. PTR").endswith(" PTR web.default.svc.")


# --- name servers ----------------------------------------------------------------------------------------------------


def test_the_service_that_selects_this_server_is_the_name_server() -> None:
    view = make_view(local=["127.0.0.1", "::1", "10.244.0.2", "fd00:10:244::2"])
    assert ask(view, "cluster.local. NS").splitlines() == [
        "NOERROR",
        "cluster.local. 5 NS kube-dns.kube-system.svc",
        "+ kube-dns.kube-system.svc 5 A 10.96.0.2",
        "+ kube-dns.kube-system.svc 5 AAAA fd00:10:96::2",
    ]
    assert ask(view, "ns.dns A") == "NOERROR\nns.dns 5 A 10.96.0.2"


def test_endpoints_of_a_headless_service_are_name_servers() -> None:
    view = make_view(local=["10.244.0.41"])
    assert ask(view, "cluster.local. NS").splitlines()[1:] == [
        "cluster.local. 5 NS 10-244-0-41.bare.default.svc",
        "+ 10-244-0-41.bare.default.svc 5 A 10.244.0.41",
    ]


def test_without_service_there_is_no_name_server() -> None:
    view = make_view(local=["10.244.0.61"])
    assert _code(ask(view, "cluster.local. NS")) == "-"
    assert _code(ask(view, "ns.dns A")) == "-"
    assert _code(ask(view, "dns A")) == "-"


def test_name_servers_follow_the_cluster() -> None:
    cluster = make_cluster()
    view = make_view(cluster, local=["10.244.0.2"])
    assert "kube-dns" in ask(view, "cluster.local. NS")
    cluster.remove(Kind.ENDPOINT_SLICE, ("kube-system", "kube-dns-1"))
    assert "ns.dns" in ask(view, "cluster.local. NS")


# --- before the lists are in, and without some -----------------------------------------------------------------------


def test_until_the_lists_are_in_no_name_is_answered() -> None:
    view = make_view(make_cluster(kinds=[Kind.SERVICE, Kind.NAMESPACE, Kind.POD]), pods=Pods.INSECURE)
    for name in ("web.default.svc", "foo", "dns-version", "cluster.local.", "10-1-2-3.default.pod"):
        for rtype in ("A", "SOA", "TXT", "NS"):
            assert ask(view, f"{name} {rtype}") == "SERVFAIL\n- cluster.local. 5 SOA"
    found = view.find(name_of("foo"), Rtype.A)
    assert isinstance(found, Response)
    assert found.ede == (14, "endpointslices not listed yet")


def test_until_the_lists_are_in_reverse_names_fall_through_or_fail() -> None:
    cluster = make_cluster(kinds=[])
    everything = (from_text("."),)
    falling = make_view(cluster, fallthrough=everything)
    assert ask(falling, "10.0.96.10.in-addr.arpa. PTR") == "rest"
    assert ask(falling, "web.default.svc A").startswith("SERVFAIL")
    assert ask(make_view(cluster), "10.0.96.10.in-addr.arpa. PTR").startswith("SERVFAIL")


def test_a_list_that_comes_in_is_seen_at_once() -> None:
    cluster = make_cluster(kinds=[Kind.NAMESPACE, Kind.ENDPOINT_SLICE, Kind.POD])
    view = make_view(cluster)
    assert ask(view, "web.default.svc A").startswith("SERVFAIL")
    cluster.swap(Kind.SERVICE, make_cluster().store(Kind.SERVICE))
    assert _code(ask(view, "web.default.svc A")) == "D"


def test_without_endpoint_slices_what_needs_none_is_answered() -> None:
    cluster = make_cluster(kinds=[Kind.SERVICE, Kind.NAMESPACE, Kind.POD])
    cluster.deny(Kind.ENDPOINT_SLICE)
    view = make_view(cluster, pods=Pods.VERIFIED)
    questions = {
        "web.default.svc A": "D",
        "_http._tcp.web.default.svc SRV": "D",
        "alias.default.svc A": "D",
        "x.outside.default.svc A": "X",
        "nothing.default.svc A": "X",
        "10.0.96.10.in-addr.arpa. PTR": "D",
        "10-244-0-21.default.pod A": "D",
        "cluster.local. NS": "-",
        "db.default.svc A": "SERVFAIL",
        "_pg._tcp.db.default.svc SRV": "SERVFAIL",
        "10-244-0-21.web.default.svc A": "SERVFAIL",
        "21.0.244.10.in-addr.arpa. PTR": "SERVFAIL",
        "0.96.10.in-addr.arpa. PTR": "-",
        "244.10.in-addr.arpa. PTR": "SERVFAIL",
    }
    assert {question: _code(ask(view, question)) for question in questions} == questions
    assert ask(make_view(cluster, ignore_empty=True), "web.default.svc A").startswith("SERVFAIL")
    cluster.swap(Kind.ENDPOINT_SLICE, make_cluster().store(Kind.ENDPOINT_SLICE))
    assert _code(ask(view, "db.default.svc A")) == "D"


def test_names_above_addresses_are_known_however_many_came_and_went(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reverse, "MOST_ADDED", 3)
    cluster = make_cluster("namespaces: [default]\nservices:\n- default/web: {clusterIPs: [10.0.0.1]}")
    view = make_view(cluster)
    for number in range(1, 20):
        cluster.put(Kind.SERVICE, cluster_ip("web", bytes((10, number, 0, 1))))
        codes = {octet: _code(ask(view, f"{octet}.10.in-addr.arpa. PTR")) for octet in (number - 1, number)}
        assert codes == {number - 1: "X", number: "-"}


def test_a_cname_to_what_cannot_be_told_fails_with_the_cname() -> None:
    cluster = make_cluster(
        """
        namespaces: [default]
        services:
        - default/alias: {type: ExternalName, externalName: db.default.svc.cluster.local}
        - default/db: {clusterIP: None}
        """,
        kinds=[Kind.SERVICE, Kind.NAMESPACE, Kind.POD],
    )
    cluster.deny(Kind.ENDPOINT_SLICE)
    assert ask(make_view(cluster), "alias.default.svc A").splitlines() == [
        "SERVFAIL",
        "alias.default.svc 5 CNAME db.default.svc",
        "- cluster.local. 5 SOA",
    ]


def test_without_pods_only_verified_pod_names_fail() -> None:
    cluster = make_cluster(kinds=[Kind.SERVICE, Kind.NAMESPACE, Kind.ENDPOINT_SLICE])
    cluster.deny(Kind.POD)
    view = make_view(cluster, pods=Pods.VERIFIED)
    assert _code(ask(view, "web.default.svc A")) == "D"
    assert ask(view, "10-244-0-21.default.pod A").startswith("SERVFAIL")


@pytest.mark.parametrize("kind", [Kind.SERVICE, Kind.NAMESPACE])
def test_without_services_or_namespaces_nothing_is_answered(kind: Kind) -> None:
    cluster = make_cluster(kinds=[each for each in Kind if each is not kind])
    cluster.deny(kind)
    assert ask(make_view(cluster), "web.default.svc A").startswith("SERVFAIL")


@pytest.mark.parametrize("kind", list(Kind))
def test_what_was_listed_is_answered_on_when_it_is_denied_later(kind: Kind) -> None:
    cluster = make_cluster()
    cluster.deny(kind)
    view = make_view(cluster, pods=Pods.VERIFIED)
    questions = ("web.default.svc A", "db.default.svc A", "10-244-0-21.default.pod A")
    assert [_code(ask(view, question)) for question in questions] == ["D", "D", "D"]


# --- loopback --------------------------------------------------------------------------------------------------------


def test_no_loopback_address_points_to_a_service() -> None:
    cluster = make_cluster(
        """
        namespaces: [default]
        services:
        - default/web: {clusterIPs: [127.0.0.1, "::1"]}
        - default/db: {clusterIP: None}
        endpointslices:
        - default/db-1 of db:
            endpoints: [{addresses: [127.0.0.1]}, {addresses: ["::1"], hostname: db-0}]
        """
    )
    view = make_view(cluster)
    ipv6 = "1." + "0." * 31 + "ip6.arpa."
    assert [_code(ask(view, f"{name} A")) for name in ("web.default.svc", "db.default.svc")] == ["D", "D"]
    assert [_code(ask(view, f"{name} PTR")) for name in ("1.0.0.127.in-addr.arpa.", ipv6)] == ["X", "X"]
    assert [_code(ask(view, f"{name} PTR")) for name in ("127.in-addr.arpa.", "0.0.0.0.ip6.arpa.")] == ["X", "X"]


# --- odd objects -----------------------------------------------------------------------------------------------------


def test_a_chain_inside_the_zone_ends_after_eight_links() -> None:
    services = "\n".join(
        f"- default/a{at}: {{type: ExternalName, externalName: a{at + 1}.default.svc.cluster.local}}"
        for at in range(20)
    )
    view = make_view(make_cluster(f"namespaces: [default]\nservices:\n{services}"))
    rcode, *lines = ask(view, "a0.default.svc A").splitlines()
    assert (rcode, len(lines)) == ("NOERROR", MAX_LINKS)


def test_names_that_would_be_too_long_are_left_out() -> None:
    zone = from_text(".".join(["z" * 63, "z" * 40]) + ".")
    long = "n" * 63
    cluster = make_cluster(
        f"""
        namespaces: [{long}]
        services: [{long}/{long}: {{clusterIP: None}}]
        endpointslices:
        - {long}/s of {long}:
            ports: [{{name: http, port: 80}}]
            endpoints: [{{addresses: [10.0.0.1], hostname: {long}}}, {{addresses: [10.0.0.2], hostname: {"h" * 64}}}]
        """
    )
    view = make_view(cluster, zones=(zone, from_text("in-addr.arpa.")))
    name = from_text(f"{long}.{long}.svc.")[:-1] + zone
    found = view.find(type(zone)(name), Rtype.SRV)
    assert isinstance(found, Response)
    assert _code(ask(view, "1.0.0.10.in-addr.arpa. PTR")) == "X"


def test_a_service_without_addresses_exists_where_its_endpoints_do() -> None:
    view = make_view(
        make_cluster(
            """
            namespaces: [default]
            services: [default/none: {ports: [{port: 80}]}, default/some: {ports: [{port: 80}]}]
            endpointslices: [default/s of some: {endpoints: [{addresses: [10.0.0.1]}]}]
            """
        )
    )
    names = ("none.default.svc", "some.default.svc", "10-0-0-1.some.default.svc")
    assert [_code(ask(view, f"{name} A")) for name in names] == ["X", "-", "D"]


def test_octets_beyond_ascii_are_names_like_any_other() -> None:
    view = make_view(pods=Pods.INSECURE)
    for label in (r"\255", r"\000", r"\.", r"w\101b"):
        for below in ("svc", "pod", "default.svc", "default.pod", "web.default.svc", "_tcp.web.default.svc"):
            assert _code(ask(view, f"{label}.{below} A")) in "XD-"


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_an_answer_is_made_once() -> None:
    view = make_view()
    for question in ("web.default.svc", "db.default.svc", "alias.default.svc"):
        assert view.find(name_of(question), Rtype.A) is view.find(name_of(question), Rtype.A)


def test_denials_have_no_copies_of_their_zone_and_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svcdns.kube.view.ABSENT_OCTETS", 1)  # what is counted are those who renew, and leases
    view = make_view()
    zone, namespace = ZONES[0], sys.intern("prod")
    held = sys.getrefcount(zone), sys.getrefcount(namespace)
    denials = [view.find(name_of(f"no-{number}.prod.svc"), Rtype.A) for number in range(100)]
    assert 100 <= sys.getrefcount(zone) - held[0] < 110
    assert sys.getrefcount(namespace) - held[1] >= 100
    assert len(denials) == 100


def test_a_change_touches_the_answers_of_its_service_alone() -> None:
    cluster = make_cluster()
    view = make_view(cluster)
    web, db = name_of("web.default.svc"), name_of("db.default.svc")
    before = view.find(web, Rtype.A), view.find(db, Rtype.A)
    cluster.remove(Kind.SERVICE, ("default", "web"))
    assert view.find(db, Rtype.A) is before[1]
    assert _code(ask(view, "web.default.svc A")) == "X"


def test_a_pods_change_touches_no_service() -> None:
    cluster = make_cluster()
    view = make_view(cluster)
    before = view.find(name_of("web.default.svc"), Rtype.A)
    cluster.remove(Kind.POD, ("default", "web-abc"))
    assert view.find(name_of("web.default.svc"), Rtype.A) is before


def test_negative_answers_carry_the_serial_of_the_last_change() -> None:
    cluster = make_cluster()
    view = make_view(cluster)
    for name in ("web.default.svc", "foo"):
        view.find(name_of(name), Rtype.TXT)
    cluster.remove(Kind.SERVICE, ("prod", "web"))
    for name in ("web.default.svc", "foo"):
        found = view.find(name_of(name), Rtype.TXT)
        assert isinstance(found, Response)
        assert found.authority[0].rdatas[0][-20:-16] == cluster.serial.to_bytes(4)
    assert cluster.serial == SERIAL + len(Kind) + 1


def test_nothing_is_left_of_what_was_denied_before_a_change() -> None:
    cluster = make_cluster()
    view = make_view(cluster)
    first = cluster.serial
    for number in range(20):
        for name, rtype in ((f"x{number}.default.svc", Rtype.A), ("web.default.svc", Rtype.TXT), ("foo", Rtype.A)):
            view.find(name_of(name), rtype)
        cluster.put(Kind.SERVICE, cluster_ip(f"new{number}", bytes((10, 1, 0, number))))
    gc.collect()
    rrsets = [each for each in gc.get_objects() if isinstance(each, RRset) and each.rtype == Rtype.SOA]
    serials = [int.from_bytes(each.rdatas[0][-20:-16]) for each in rrsets]
    assert sum(first < serial <= cluster.serial for serial in serials) <= 2  # the SOA, and as a denial has it


def test_a_new_service_is_looked_up_before_it_is_asked_for() -> None:
    cluster = make_cluster()
    view = make_view(cluster)
    new = cluster_ip("new", b"\x0a\x01\x00\x01")
    cluster.put(Kind.SERVICE, new)
    view.prepare()
    cluster.services.remove(new.key)  # which nobody is told of
    assert ask(view, "new.default.svc A").endswith(" A 10.1.0.1")


def test_a_headless_service_which_may_be_large_is_left_to_who_asks() -> None:
    cluster = make_cluster()
    view = make_view(cluster)
    service = Service(("default", "new"), "", (), headless=True, external_name="", ports=NO_PORTS)
    endpoints = pack(b"\x0a\x02\x00\x01", "", "")
    cluster.put(Kind.ENDPOINT_SLICE, EndpointSlice(("default", "new-1"), "", "new", NO_PORTS, endpoints))
    cluster.put(Kind.SERVICE, service)
    view.prepare()
    cluster.services.remove(service.key)
    assert _code(ask(view, "new.default.svc A")) == "X"


def test_what_came_first_gives_way_to_a_new_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svcdns.kube.view.PRESENT_OCTETS", 20_000)
    cluster = make_cluster()
    view = make_view(cluster)
    web = view.find(name_of("web.default.svc"), Rtype.A)
    for number in range(100):
        new = cluster_ip(f"new{number}", bytes((10, 1, 0, number)), bytes((0xFD, *bytes(14), number)))
        cluster.put(Kind.SERVICE, new)
        view.prepare()
        cluster.services.remove(new.key)
        assert _code(ask(view, f"new{number}.default.svc AAAA")) != "X"
    again = view.find(name_of("web.default.svc"), Rtype.A)
    assert again == web
    assert again is not web


def test_of_services_that_come_together_only_some_are_looked_up_before() -> None:
    cluster = make_cluster()
    view = make_view(cluster)
    new = [cluster_ip(f"new{number}", bytes((10, 1, 0, number))) for number in range(100)]
    for each in new:
        cluster.put(Kind.SERVICE, each)
    view.prepare()
    for each in new:
        cluster.services.remove(each.key)
    assert 0 < sum(_code(ask(view, f"{each.key[1]}.default.svc A")) != "X" for each in new) < len(new)


def test_what_is_forgotten_for_want_of_room_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("svcdns.kube.view.PRESENT_OCTETS", 100_000)
    monkeypatch.setattr("svcdns.kube.view.ABSENT_OCTETS", 7_000)
    objects = "\n".join(f"- default/s{at}: {{clusterIP: 10.0.0.{at}}}" for at in range(200))
    view = make_view(make_cluster(f"namespaces: [default]\nservices:\n{objects}"))
    for _ in range(2):
        for at in range(200):
            assert ask(view, f"s{at}.default.svc A").endswith(f" A 10.0.0.{at}")
            assert _code(ask(view, f"x{at}.default.svc A")) == "X"


# --- no answer is stale ----------------------------------------------------------------------------------------------

NAMES = ("a", "b")
ADDRESSES = (b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02", b"\xfd" + bytes(14) + b"\x01")
PORTS = (Port("http", "tcp", 80), Port("dns", "udp", 53), Port("", "tcp", 8080), Port("", "", ANY_PORT))
TARGETS = ("example.com", "a.b.svc.k8s", "b.a.svc.k8s", "_http._tcp.a.a.svc.k8s", "10-0-0-1.a.pod.k8s")
QUESTIONS = (
    *("k8s.", "ns.dns.k8s.", "foo.k8s.", "a.svc.k8s.", "c.svc.k8s.", "a.pod.k8s."),
    *("a.a.svc.k8s.", "b.a.svc.k8s.", "a.b.svc.k8s.", "b.b.svc.k8s."),
    *(
        "_http._tcp.a.a.svc.k8s.",
        "_._.b.a.svc.k8s.",
        "_tcp.a.a.svc.k8s.",
        "tcp.b.a.svc.k8s.",
        "x._http._tcp.a.a.svc.k8s.",
    ),
    *("a.a.a.svc.k8s.", "10-0-0-1.a.a.svc.k8s.", "pod-1.b.a.svc.k8s.", "10-0-0-1.a.pod.k8s.", "10-0-0-2.b.pod.k8s."),
    *(
        "1.0.0.10.in-addr.arpa.",
        "2.0.0.10.in-addr.arpa.",
        "10.in-addr.arpa.",
        "0.10.in-addr.arpa.",
        "0.0.d.f.ip6.arpa.",
    ),
)
RTYPES = (Rtype.A, Rtype.AAAA, Rtype.SRV, Rtype.PTR, Rtype.NS, Rtype.CNAME, Rtype.ANY)

keys = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))
ports = st.lists(st.sampled_from(PORTS), min_size=1, max_size=2).map(tuple)
addresses = st.lists(st.sampled_from(ADDRESSES), max_size=2, unique=True).map(tuple)
endpoints = st.builds(
    pack, st.sampled_from(ADDRESSES), st.sampled_from(("", "a", "tcp")), st.sampled_from(("", "pod-1"))
)
services = st.one_of(
    st.builds(Service, keys, st.just(""), addresses, st.just(False), st.just(""), ports),  # noqa: FBT003 - of a cluster IP
    st.builds(Service, keys, st.just(""), st.just(()), st.just(True), st.just(""), ports),  # noqa: FBT003 - headless
    st.builds(Service, keys, st.just(""), st.just(()), st.just(False), st.sampled_from(TARGETS), ports),  # noqa: FBT003
)
slices = st.builds(
    EndpointSlice, keys, st.just(""), st.sampled_from(NAMES), ports, st.lists(endpoints, max_size=3).map(b"".join)
)
namespaces = st.builds(Namespace, st.tuples(st.just(""), st.sampled_from(NAMES)), st.just(""))
pods = st.builds(Pod, keys, st.just(""), addresses)
objects: dict[Kind, st.SearchStrategy[Object]] = {
    Kind.SERVICE: services,
    Kind.ENDPOINT_SLICE: slices,
    Kind.NAMESPACE: namespaces,
    Kind.POD: pods,
}
weights = st.sampled_from([*[Kind.SERVICE] * 5, *[Kind.ENDPOINT_SLICE] * 5, Kind.NAMESPACE, Kind.POD])


@st.composite
def changes(draw: st.DrawFn) -> tuple[Kind, str, list[Object]]:
    """Draw a change: mostly an object added, changed or removed, sometimes a whole list."""
    kind = draw(weights)
    action = draw(st.sampled_from(("put", "put", "put", "remove", "remove", "list")))
    several = (
        st.lists(objects[kind], max_size=4) if action == "list" else st.lists(objects[kind], min_size=1, max_size=1)
    )
    return kind, action, draw(several)


def _change(cluster: Cluster, kind: Kind, action: str, found: list[Object]) -> None:
    if action == "put":
        cluster.put(kind, found[0])
    elif action == "remove":
        cluster.remove(kind, found[0].key)
    else:
        store = new_store(kind)
        for each in found:
            store.put(each)
        cluster.swap(kind, store)


def test_who_is_told_of_again_keeps_its_place_among_others() -> None:
    cluster = Cluster(list(Kind), lambda: SERIAL)
    view = View(cluster, Options(ZONES), list)
    owners = [(("a", name), "1", (ADDRESSES[0],)) for name in ("first", "second")]
    _change(cluster, Kind.NAMESPACE, "list", [Namespace(("", "a"), "")])
    _change(
        cluster, Kind.SERVICE, "list", [Service(*each, headless=False, external_name="", ports=()) for each in owners]
    )
    for kind in (Kind.ENDPOINT_SLICE, Kind.POD):
        _change(cluster, kind, "list", [])
    pointer = from_text("1.0.0.10.in-addr.arpa.")
    told = _told(view.find(pointer, Rtype.PTR))
    first = cluster.services.get(("a", "first"))
    assert first is not None
    cluster.put(Kind.SERVICE, first.with_version("2"))
    assert (
        _told(view.find(pointer, Rtype.PTR))
        == told
        == _told(View(cluster, Options(ZONES), list).find(pointer, Rtype.PTR))
    )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(services, max_size=4),
    st.lists(slices, max_size=4),
    st.lists(changes(), min_size=1, max_size=12),
    st.lists(st.sampled_from(QUESTIONS), min_size=4, max_size=10, unique=True),
    st.builds(
        Options,
        st.just((from_text("k8s."), *ZONES[1:])),
        ttl=st.just(5),
        namespaces=st.sampled_from((frozenset(), frozenset({"a"}))),
        fallthrough=st.sampled_from(((), (from_text("in-addr.arpa."), from_text("a.svc.k8s.")))),
        pods=st.sampled_from(Pods),
        pod_names=st.booleans(),
        ignore_empty=st.booleans(),
    ),
)
def test_a_view_that_lived_through_all_changes_answers_as_a_fresh_one(
    first_services: list[Object],
    first_slices: list[Object],
    later: list[tuple[Kind, str, list[Object]]],
    questions: list[str],
    options: Options,
) -> None:
    cluster = Cluster(list(Kind), lambda: SERIAL)
    _change(cluster, Kind.NAMESPACE, "list", [Namespace(("", name), "") for name in NAMES])
    _change(cluster, Kind.SERVICE, "list", first_services)
    _change(cluster, Kind.ENDPOINT_SLICE, "list", first_slices)
    _change(cluster, Kind.POD, "list", [])

    def local() -> list[bytes]:
        return [ADDRESSES[0]]

    old = View(cluster, options, local)
    kept: dict[tuple[Name, int], Response] = {}
    for change in (None, *later):
        if change is not None:
            _change(cluster, *change)
        fresh = View(cluster, options, local)
        old.prepare()
        old.refresh()
        for (name, rtype), before in kept.items():
            again = _again(before)
            if again is not None:
                assert _told(again) == _told(fresh.find(name, rtype)), (name, rtype, "again")
        for name in map(from_text, questions):
            for rtype in RTYPES:
                found = old.find(name, rtype)
                assert _told(found) == _told(fresh.find(name, rtype)), (name, rtype)
                if isinstance(found, Response):
                    kept[name, rtype] = found


def _told(found: Response | Chase | None) -> Response | Chase | None:
    """Return an answer without what says how long it holds good."""
    return found.replace(repeat=None) if isinstance(found, Response) else found


def _again(response: Response) -> Response | None:
    """Return what may be answered again, if anything."""
    repeat = response.repeat
    if repeat is None or repeat.lease.until > 0:
        return None if repeat is None else response
    return None if repeat.renew is None else repeat.renew()
