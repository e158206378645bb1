import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcdns.dns.name import Name, from_text, join, to_text
from svcdns.dns.records import Rtype
from svcdns.dns.zone import EMPTY, Node
from svcdns.kube.objects import ANY_PORT, NO_PORTS, EndpointSlice, Port, Service, octets, pack
from svcdns.kube.schema import (
    ANY,
    PortFilter,
    Publisher,
    label_address,
    make_soa,
    name_service,
    parse_address_label,
    publish_version,
)

ZONE = from_text("k8s.")
WEB = from_text("web.default.svc.k8s.")
HTTP, DNS, UNNAMED = Port("http", "tcp", 80), Port("dns", "udp", 53), Port("", "tcp", 8080)
PUBLISHER = Publisher()


def address_of(text: str) -> bytes:
    found = octets(text)
    assert found is not None
    return found


def service(*addresses: str, ports: tuple[Port, ...] = (HTTP,), external_name: str = "") -> Service:
    """Make a Service; headless without addresses and external name."""
    packed = tuple(address_of(address) for address in addresses)
    return Service(("default", "web"), "1", packed, not addresses and not external_name, external_name, ports)


def slice_of(*endpoints: tuple[str, str, str], ports: tuple[Port, ...] = (HTTP,), name: str = "web-1") -> EndpointSlice:
    packed = b"".join(pack(address_of(address), hostname, pod) for address, hostname, pod in endpoints)
    return EndpointSlice(("default", name), "1", "web", ports, packed)


def show(node: Node | None, rtype: Rtype) -> list[str] | None:
    """Write a node's records of one type as text; None where nothing stands at the name."""
    if node is None:
        return None
    records = node.get(rtype)
    if records is None:
        return []
    if rtype is Rtype.SRV:
        return [
            f"{int.from_bytes(rdata[2:4])} {int.from_bytes(rdata[4:6])} {to_text(rdata[6:])}"
            for rdata in records.rrset.rdatas
        ]
    return [rdata.hex() for rdata in records.rrset.rdatas]


@pytest.mark.parametrize(
    ("address", "label"),
    [
        ("10.1.2.3", b"10-1-2-3"),
        ("255.0.0.255", b"255-0-0-255"),
        ("fd00::1", b"fd00--1"),
        ("2001:db8::", b"2001-db8--0"),
        ("::", b"--0"),
        ("::1", b"--1"),
        ("1:2:3:4:5:6:7:8", b"1-2-3-4-5-6-7-8"),
    ],
)
def test_an_address_as_a_label(address: str, label: bytes) -> None:
    assert label_address(address_of(address)) == label
    assert parse_address_label(label) == address_of(address)


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)))
def test_every_address_survives_being_a_label(address: bytes) -> None:
    label = label_address(address)
    assert len(label) <= 63
    if address[:12] != bytes(10) + b"\xff\xff":
        assert parse_address_label(label) == address


@pytest.mark.parametrize(
    "label", [b"", b"web", b"1-2-3", b"1-2-3-4-5", b"1-2-3-256", b"01-2-3-4", b"fe80--1%eth0", b"\xff", b"-"]
)
def test_what_is_no_address(label: bytes) -> None:
    assert parse_address_label(label) is None


@pytest.mark.parametrize(
    ("name", "protocol", "ports"),
    [
        (b"_http", b"_tcp", [HTTP]),
        (b"http", b"tcp", [HTTP]),
        (b"http", b"_tcp", [HTTP]),
        (b"_", b"_tcp", [HTTP, UNNAMED]),
        (b"_dns", b"_", [DNS]),
        (b"_", b"_", [HTTP, DNS, UNNAMED]),
        (b"__http", b"_tcp", []),
        (b"_http", b"_udp", []),
        (b"_\xff", b"_tcp", []),
    ],
)
def test_ports_by_name_and_protocol(name: bytes, protocol: bytes, ports: list[Port]) -> None:
    assert PortFilter.from_labels(name, protocol).pick([HTTP, DNS, UNNAMED]) == ports


def test_any_port_will_do_without_labels() -> None:
    assert ANY.pick(NO_PORTS) == list(NO_PORTS)


@pytest.mark.parametrize(
    ("addresses", "ports", "records"),
    [
        (["10.0.0.1"], (HTTP,), ["100 80 web.default.svc.k8s."]),
        (["10.0.0.1", "fd00::1"], (HTTP,), ["50 80 web.default.svc.k8s."]),
        (["10.0.0.1"], (HTTP, DNS), ["50 80 web.default.svc.k8s.", "50 53 web.default.svc.k8s."]),
        (["10.0.0.1"], (HTTP, HTTP._replace(protocol="udp")), ["50 80 web.default.svc.k8s."]),
        (["10.0.0.1"], (HTTP, Port("x", "tcp", ANY_PORT)), ["50 80 web.default.svc.k8s."]),
        (["10.0.0.1"], (UNNAMED,), ["100 8080 web.default.svc.k8s."]),
        (["10.0.0.1"], NO_PORTS, []),
    ],
)
def test_weights_count_what_there_was_before_duplicates_went(
    addresses: list[str], ports: tuple[Port, ...], records: list[str]
) -> None:
    node = PUBLISHER.publish_service(WEB, service(*addresses, ports=ports), ())
    assert show(node, Rtype.SRV) == records


@pytest.mark.parametrize(("count", "weight"), [(1, 100), (3, 33), (7, 14), (100, 1), (250, 1)])
def test_a_weight_is_a_hundredth_at_least(count: int, weight: int) -> None:
    slices = [slice_of(*((f"10.0.0.{at}", "", "") for at in range(count)))]
    node = PUBLISHER.publish_service(WEB, service(), slices)
    assert {line.split()[0] for line in show(node, Rtype.SRV) or ()} == {str(weight)}


def test_addresses_of_a_headless_service_are_those_of_all_slices_each_once() -> None:
    slices = [
        slice_of(("10.0.0.2", "", ""), ("10.0.0.1", "", "")),
        slice_of(("10.0.0.1", "", ""), ("fd00::1", "", ""), ports=(DNS,)),
    ]
    node = PUBLISHER.publish_service(WEB, service(), slices)
    assert show(node, Rtype.A) == ["0a000002", "0a000001"]
    assert show(node, Rtype.AAAA) == [address_of("fd00::1").hex()]


@pytest.mark.parametrize(
    ("endpoint", "plain", "by_pod"),
    [
        (("10.0.0.1", "", ""), "10-0-0-1", "10-0-0-1"),
        (("10.0.0.1", "db-0", "pod"), "db-0", "db-0"),
        (("10.0.0.1", "DB-0", ""), "db-0", "db-0"),
        (("10.0.0.1", "", "Pod"), "10-0-0-1", "pod"),
        (("10.0.0.1", "h" * 64, ""), "10-0-0-1", "10-0-0-1"),
        (("2001:db8::", "", ""), "2001-db8--0", "2001-db8--0"),
    ],
)
def test_the_name_of_an_endpoint(endpoint: tuple[str, str, str], plain: str, by_pod: str) -> None:
    slices = [slice_of(endpoint)]
    for publisher, label in ((PUBLISHER, plain), (Publisher(pod_names=True), by_pod)):
        node = publisher.publish_service(WEB, service(), slices)
        assert show(node, Rtype.SRV) == [f"100 80 {label}.web.default.svc.k8s."]
        own = join([label.encode()], WEB)
        assert show(publisher.publish_endpoint(own, label.encode(), service(), slices), Rtype.SRV) == [
            f"100 80 {label}.web.default.svc.k8s."
        ]
        owner = slices[0].owner
        assert list(publisher.name_endpoints(slices[0], address_of(endpoint[0]), ZONE)) == [own]
        assert publisher.name_endpoint(next(slices[0].endpoints()), owner, ZONE) == own


def test_several_endpoints_may_share_a_hostname() -> None:
    slices = [slice_of(("10.0.0.1", "db", ""), ("10.0.0.2", "db", ""), ("10.0.0.3", "other", ""))]
    node = PUBLISHER.publish_endpoint(join([b"db"], WEB), b"db", service(), slices)
    assert show(node, Rtype.A) == ["0a000001", "0a000002"]
    assert show(node, Rtype.SRV) == ["50 80 db.web.default.svc.k8s."]


def test_a_pods_name_is_no_name_of_an_endpoint_unless_asked_for() -> None:
    slices = [slice_of(("10.0.0.1", "", "web-abc"))]
    name = join([b"web-abc"], WEB)
    assert PUBLISHER.publish_endpoint(name, b"web-abc", service(), slices) is None
    assert Publisher(pod_names=True).publish_endpoint(name, b"web-abc", service(), slices) is not None


@pytest.mark.parametrize(
    ("label", "empty"), [(b"_tcp", True), (b"tcp", True), (b"_", True), (b"_udp", False), (b"__tcp", False)]
)
def test_a_protocol_stands_above_its_ports(label: bytes, empty: bool) -> None:  # noqa: FBT001 - a column of the table
    for found, slices in ((service("10.0.0.1"), []), (service(), [slice_of(("10.0.0.1", "", ""))])):
        node = PUBLISHER.publish_endpoint(join([label], WEB), label, found, slices)
        assert (node is EMPTY) is empty
        assert (node is None) is not empty


def test_an_endpoint_called_like_a_protocol_is_an_endpoint() -> None:
    node = PUBLISHER.publish_endpoint(join([b"tcp"], WEB), b"tcp", service(), [slice_of(("10.0.0.1", "tcp", ""))])
    assert show(node, Rtype.A) == ["0a000001"]


@pytest.mark.parametrize("name", ["10.0.0.1", "fd00::1", "a..b", "x" * 64, ".".join(["x" * 60] * 5)])
def test_an_external_name_that_is_none_does_not_exist(name: str) -> None:
    assert PUBLISHER.publish_service(WEB, service(external_name=name), ()) is None


@pytest.mark.parametrize("name", ["example.com", "example.com.", "EXAMPLE.com", "_srv.example.com"])
def test_an_external_name_is_absolute(name: str) -> None:
    node = PUBLISHER.publish_service(WEB, service(external_name=name), ())
    assert show(node, Rtype.CNAME) == [from_text(name.rstrip(".") + ".").hex()]


def test_nothing_is_below_an_external_name() -> None:
    found = service(external_name="example.com")
    http = PortFilter.from_labels(b"_http", b"_tcp")
    assert PUBLISHER.publish_port(join([b"_http", b"_tcp"], WEB), http, found, ()) is None
    assert PUBLISHER.publish_endpoint(join([b"_tcp"], WEB), b"_tcp", found, ()) is None


def test_two_lone_underscores_before_an_external_name_change_nothing() -> None:
    found = service(external_name="example.com")
    name = join([b"_", b"_"], WEB)
    assert show(PUBLISHER.publish_port(name, ANY, found, ()), Rtype.CNAME) == [from_text("example.com.").hex()]
    assert PUBLISHER.publish_endpoint(join([b"_"], WEB), b"_", found, ()) is EMPTY


def test_an_address_of_ipv4_may_be_mapped_into_ipv6() -> None:
    assert parse_address_label(b"--ffff-a01-203") == address_of("10.1.2.3")


def test_records_of_a_pod() -> None:
    name = from_text("10-0-0-1.default.pod.k8s.")
    node = PUBLISHER.publish_pod(name, address_of("10.0.0.1"))
    assert show(node, Rtype.A) == ["0a000001"]
    assert show(node, Rtype.AAAA) == []
    assert show(node, Rtype.SRV) == ["100 0 10-0-0-1.default.pod.k8s."]


def test_the_version_is_that_of_the_specification() -> None:
    records = publish_version(from_text("dns-version.k8s.")).get(Rtype.TXT)
    assert records is not None
    assert (records.rrset.ttl, records.rrset.rdatas) == (28800, (b"\x051.1.0",))


def test_names_that_would_be_too_long_are_none() -> None:
    long = Name(from_text(".".join(["z" * 60] * 4) + "."))
    assert name_service(("default", "web"), ZONE) == WEB
    assert name_service(("default", "web"), long) is None
    assert name_service(("default", ""), ZONE) is None
    with pytest.raises(ValueError, match="at most 255"):
        make_soa(long, 5, 1)
