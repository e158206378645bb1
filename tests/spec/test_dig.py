"""What dig, the tool that operators use, makes of the answers: no warning, and what they say."""

import re

import pytest

from svcdns.dns.name import ROOT
from tests.frontend import frontend
from tests.spec.sample import APEX, authority, upstream
from tests.spec.table import cases

pytestmark = pytest.mark.programs

WEB = "web.default.svc.cluster.local"
NXDOMAIN = "x.default.svc.cluster.local"

QUESTIONS = [
    ("A", f"{WEB} A", "NOERROR", "qr aa rd ra", 2),
    ("A over TCP", f"+tcp {WEB} A", "NOERROR", "qr aa rd ra", 2),
    ("AAAA", f"{WEB} AAAA", "NOERROR", "qr aa rd ra", 1),
    ("SRV", "_http._tcp.web.default.svc.cluster.local SRV", "NOERROR", "qr aa rd ra", 1),
    ("ANY", f"{WEB} ANY", "NOERROR", "qr aa rd ra", 1),
    ("no EDNS", f"+noedns {WEB} A", "NOERROR", "qr aa rd ra", 2),
    ("no cookie", f"+nocookie {WEB} A", "NOERROR", "qr aa rd ra", 2),
    ("EDNS 1", f"+edns=1 +noednsneg {WEB} A", "BADVERS", "qr rd ra", 0),
    ("DO", f"+dnssec {WEB} A", "NOERROR", "qr aa rd ra", 2),
    ("CD", f"+cdflag {WEB} A", "NOERROR", "qr aa rd ra cd", 2),
    ("all options", f"+nsid +expire +keepalive +padding=128 +subnet=10.0.0.0/24 {WEB} A", "NOERROR", "qr aa rd ra", 2),
    ("an unknown option", f"+ednsopt=100:abcd +ednsflags=0x80 {WEB} A", "NOERROR", "qr aa rd ra", 2),
    ("Z", f"+zflag {WEB} A", "NOERROR", "qr aa rd ra", 2),
    ("no RD", f"+norecurse {WEB} A", "NOERROR", "qr aa ra", 2),
    ("the case of letters", "WEB.Default.svc.CLUSTER.local A", "NOERROR", "qr aa rd ra", 2),
    ("NODATA", f"{WEB} MX", "NOERROR", "qr aa rd ra", 0),
    ("NXDOMAIN", f"{NXDOMAIN} A", "NXDOMAIN", "qr aa rd ra", 0),
    ("an unknown type", f"{WEB} TYPE65400", "NOERROR", "qr aa rd ra", 0),
    ("a name elsewhere", "www.example.com A", "NOERROR", "qr rd ra", 1),
    ("the root", ". A", "NOERROR", "qr rd ra", 1),
    ("CHAOS", "version.bind TXT CH", "REFUSED", "qr rd ra", 0),
    ("no question", "+noedns +header-only +opcode=15", "NOTIMP", "qr", 0),
    (
        "too large for UDP: over TCP",
        "+nocookie +noignore many.default.svc.cluster.local A",
        "NOERROR",
        "qr aa tc rd ra",
        4092,
    ),
]


@cases("arguments status flags answers", QUESTIONS)
async def test_dig_is_content(arguments: str, status: str, flags: str, answers: int) -> None:
    async with frontend({APEX: authority, ROOT: upstream}, recursive=True) as server:
        output = await server.dig(*arguments.split())
        said = re.search(r"status: (\w+).*\n;; flags: ([^;]*); QUERY: \d, ANSWER: (\d+)", output)
        assert said is not None
        assert said.groups() == (status, flags, str(answers))
        lines = [line for line in output.splitlines() if "mDNS" not in line and "Multicast DNS" not in line]
        assert not re.search("warning|malformed|bad |unexpected", "\n".join(lines), re.IGNORECASE)


@cases("arguments", [("UPDATE", f"+opcode=UPDATE {WEB} SOA"), ("NOTIFY", f"+opcode=NOTIFY {WEB} SOA")])
async def test_dig_is_told_what_is_not_implemented(arguments: str) -> None:
    async with frontend({APEX: authority}) as server:
        assert "status: NOTIMP" in await server.dig(*arguments.split())


@cases("arguments", [("IXFR", "IXFR=1"), ("AXFR", "AXFR")])
async def test_dig_gets_no_zone(arguments: str) -> None:
    async with frontend({APEX: authority}) as server:
        assert "Transfer failed." in await server.dig("cluster.local", arguments)
