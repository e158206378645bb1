from typing import Any

import pytest

from svcdns.dns.message import NOWHERE, Ede, ExtendedError, Lease, Query, Rcode, Repeat, Response, Value
from svcdns.dns.name import ROOT, from_text
from svcdns.dns.records import RRset
from svcdns.errors import UpstreamError

RRSETS = tuple(RRset(from_text(f"{name}."), 1, 30, [b"\x0a\x00\x00\x01"]) for name in ("answer", "authority", "more"))
LEASE = Lease()
REPEAT = Repeat(LEASE)

FIELDS: dict[type[Value], dict[str, tuple[Any, Any]]] = {
    Query: {
        "name": (from_text("web."), from_text("db.")),
        "rtype": (1, 28),
        "rd": (True, False),
        "do": (False, True),
        "cd": (False, True),
        "ad": (False, True),
        "edns": (False, True),
        "payload": (512, 1232),
        "size": (30, 41),
        "id": (5, 6),
        "client": (("127.0.0.1", 5), ("127.0.0.1", 6)),
        "listener": (NOWHERE, NOWHERE._replace(port=53)),
        "zone": (ROOT, from_text("cluster.local.")),
        "depth": (0, 1),
    },
    Repeat: {
        "lease": (LEASE, Lease()),
        "renew": (None, lambda: None),
        "again": (None, Response),
        "notes": ((), (lambda *_: None,)),
    },
    Response: {
        "rcode": (Rcode.NOERROR, Rcode.NXDOMAIN),
        "answer": (RRSETS[:1], ()),
        "authority": ((), RRSETS[1:2]),
        "additional": ((), RRSETS[2:]),
        "aa": (False, True),
        "ad": (False, True),
        "ede": (None, ExtendedError(Ede.OTHER, "why")),
        "plugin": ("", "forward"),
        "error": (None, UpstreamError("10.0.0.9:53", "silent")),
        "repeat": (None, REPEAT),
    },
}
"""What each class has, and for each two values that are not equal."""

EACH = pytest.mark.parametrize("kind", FIELDS)


def fields(value: Value, kind: type[Value]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in FIELDS[kind]}


@EACH
def test_another_value_of_a_field_leaves_all_others_and_is_not_equal(kind: type[Value]) -> None:
    before = {name: value for name, (value, _) in FIELDS[kind].items()}
    made = kind(**before)
    for name, (_, other) in FIELDS[kind].items():
        changed = made.replace(**{name: other})
        assert fields(changed, kind) == before | {name: other}
        assert changed != made
        assert changed.replace(**{name: before[name]}) == made
    assert fields(made, kind) == before


@EACH
def test_what_is_no_field_cannot_be_given(kind: type[Value]) -> None:
    made = kind(**{name: value for name, (value, _) in FIELDS[kind].items()})
    with pytest.raises(TypeError):
        made.replace(zon=ROOT)
    assert made != object()


def test_an_answer_says_in_words_what_it_is() -> None:
    shown = repr(Response(Rcode.NXDOMAIN, RRSETS[:1], plugin="forward"))
    assert shown.startswith("Response(")
    assert all(part in shown for part in ("rcode=", "answer=(RRset(", "plugin='forward'", "repeat=None"))
