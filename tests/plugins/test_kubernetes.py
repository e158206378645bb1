import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path

import ifaddr
import pytest

from svcdns.chain import Environment
from svcdns.dns.message import Lease, Query, Rcode, Response
from svcdns.dns.name import ROOT, Name, from_text, to_text
from svcdns.dns.records import RRset, Rtype
from svcdns.dns.zone import Zone
from svcdns.errors import ConfigError
from svcdns.kube.api.config import ApiConfig
from svcdns.kube.cluster import Cluster
from svcdns.kube.directory import Pods
from svcdns.kube.objects import Kind
from svcdns.kube.schema import make_soa
from svcdns.plugins.kubernetes import Kubernetes, setup
from svcdns.plugins.kubernetes.config import Folders, Settings, read_settings
from svcdns.plugins.kubernetes.plugin import LocalAddresses
from svcdns.plugins.kubernetes.sources import Source, open_source
from tests.fakes import Kept, directives, environment, running, set_up
from tests.kube.api.fake_api import FakeApi, namespace, service
from tests.kube.api.following import until
from tests.kube.sample import make_cluster

ZONE = from_text("cluster.local.")
KINDS = (Kind.SERVICE, Kind.ENDPOINT_SLICE, Kind.NAMESPACE)

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: 10.96.0.10
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: ExternalName, externalName: www.example.com}
---
apiVersion: v1
kind: Service
metadata: {name: another, namespace: prod, labels: {tier: back}}
spec: {clusterIP: 10.96.0.11}
"""

REST = Response(Rcode.NOTIMP, plugin="rest")


async def rest(query: Query) -> Response:
    return REST


def answer(text: str) -> Query:
    name, rtype = text.split()
    return Query(from_text(name), Rtype[rtype])


@pytest.fixture
def corefile(tmp_path: Path) -> Path:
    """A Corefile's path, with manifests beside it."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "all.yaml").write_text(MANIFEST)
    return tmp_path / "Corefile"


def make_plugin(text: str, corefile: Path, lent: Environment | None = None) -> Kubernetes:
    plugin = setup(directives(text, "kubernetes", str(corefile)), lent or environment())
    assert isinstance(plugin, Kubernetes)
    return plugin


def settings_of(text: str, path: str = "/etc/dns/Corefile", zones: tuple[Name, ...] = (ROOT,)) -> Settings:
    return read_settings(directives(text, "kubernetes", path)[0], zones, environment().warn)


def over(cluster: Cluster, text: str = "kubernetes cluster.local", **lent: object) -> Kubernetes:
    """Make a plugin over a cluster that nothing keeps current."""

    async def stay() -> None:
        return

    return Kubernetes(settings_of(text), Source(cluster, stay, dict), environment(**lent))


# --- answers ---------------------------------------------------------------------------------------------------------


async def test_names_of_the_cluster_are_answered_and_others_are_for_the_rest(corefile: Path) -> None:
    plugin = make_plugin(
        """
        kubernetes cluster.local 10.in-addr.arpa {
            manifests manifests
            fallthrough 10.in-addr.arpa
        }
        """,
        corefile,
    )
    web = await plugin.handle(answer("web.default.svc.cluster.local. A"), rest)
    assert web.replace(repeat=None) == Response(
        answer=(RRset(from_text("web.default.svc.cluster.local."), Rtype.A, 5, [bytes([10, 96, 0, 10])]),),
        aa=True,
        plugin="kubernetes",
    )
    assert (await plugin.handle(answer("nothing.default.svc.cluster.local. A"), rest)).rcode == Rcode.NXDOMAIN
    assert (await plugin.handle(answer("www.example.com. A"), rest)) is REST
    assert (await plugin.handle(answer("1.2.3.10.in-addr.arpa. PTR"), rest)) is REST
    assert (await plugin.handle(answer("10.0.96.10.in-addr.arpa. A"), rest)).rcode == Rcode.NOERROR


async def test_an_answer_from_memory_takes_one_step(corefile: Path) -> None:
    plugin = make_plugin("kubernetes cluster.local {\nmanifests manifests\n}", corefile)
    step = plugin.handle(answer("web.default.svc.cluster.local. A"), rest)
    with pytest.raises(StopIteration) as stop:
        step.send(None)
    assert stop.value.value.rcode == Rcode.NOERROR


async def test_the_zones_of_the_block_are_the_default(corefile: Path) -> None:
    lent = environment(zones=(from_text("k8s."),))
    plugin = make_plugin("kubernetes {\nmanifests manifests\n}", corefile, lent)
    assert (await plugin.handle(answer("web.default.svc.k8s. A"), rest)).answer[0].rtype == Rtype.A
    assert (await plugin.handle(answer("web.default.svc.cluster.local. A"), rest)) is REST


async def test_an_address_range_stands_for_its_reverse_zones(corefile: Path) -> None:
    plugin = make_plugin("kubernetes cluster.local 10.96.0.0/15 {\nmanifests manifests\n}", corefile)
    pointer = await plugin.handle(answer("10.0.96.10.in-addr.arpa. PTR"), rest)
    assert to_text(pointer.answer[0].rdatas[0]) == "web.default.svc.cluster.local."
    assert (await plugin.handle(answer("97.10.in-addr.arpa. SOA"), rest)).answer[0].rtype == Rtype.SOA
    assert (await plugin.handle(answer("98.10.in-addr.arpa. SOA"), rest)) is REST


# --- what others know ------------------------------------------------------------------------------------------------

ADDRESS = RRset(from_text("example.com."), Rtype.A, 60, [bytes([192, 0, 2, 1])])
UPSTREAM_ZONE = Zone(from_text("com."), lambda: make_soa(from_text("com."), 30, 1), "forward", Lease())
OUTSIDE = RRset(from_text("outside.default.svc.cluster.local."), Rtype.CNAME, 5, [from_text("example.com.")])


def resolver(response: Response, asked: list[Query]) -> Callable[[Query], Awaitable[Response]]:
    async def resolve(query: Query) -> Response:
        asked.append(query)
        return response

    return resolve


@pytest.mark.parametrize(
    ("last", "rcode", "further", "authority"),
    [
        (Response(answer=(ADDRESS,), plugin="forward"), Rcode.NOERROR, (ADDRESS,), ()),
        (Response(answer=(ADDRESS,), additional=(ADDRESS,), ad=True, plugin="cache"), Rcode.NOERROR, (ADDRESS,), ()),
        (UPSTREAM_ZONE.nodata, Rcode.NOERROR, (), (UPSTREAM_ZONE.denial,)),
        (UPSTREAM_ZONE.nxdomain, Rcode.NXDOMAIN, (), (UPSTREAM_ZONE.denial,)),
        (Response(Rcode.SERVFAIL, plugin="forward"), Rcode.SERVFAIL, (), ()),
        (Response(Rcode.REFUSED, plugin="forward"), Rcode.REFUSED, (), ()),
        (Response(Rcode.SERVFAIL), Rcode.SERVFAIL, (), ()),
        (Response(Rcode.REFUSED), Rcode.NOERROR, (), ()),
        (Response(Rcode.SERVFAIL, answer=(OUTSIDE,), plugin="kubernetes"), Rcode.SERVFAIL, (), ()),
    ],
    ids=["data", "no more than data", "nodata", "nxdomain", "failure", "refusal", "too deep", "nobody", "loop"],
)
async def test_an_external_name_ends_as_its_last_step_does(
    last: Response, rcode: Rcode, further: tuple[RRset, ...], authority: tuple[RRset, ...]
) -> None:
    asked: list[Query] = []
    plugin = over(make_cluster(), resolve=resolver(last, asked))
    question = answer("outside.default.svc.cluster.local. A").replace(do=True, edns=True, depth=2)
    response = await plugin.handle(question, rest)
    assert asked == [question.replace(name=from_text("example.com."), depth=3)]
    assert response == Response(rcode, (OUTSIDE, *further), authority, aa=True, plugin="kubernetes")


async def test_every_link_inside_counts_towards_the_depth() -> None:
    asked: list[Query] = []
    plugin = over(make_cluster(), resolve=resolver(Response(answer=(ADDRESS,), plugin="forward"), asked))
    response = await plugin.handle(answer("onward.default.svc.cluster.local. A"), rest)
    assert asked == [Query(from_text("example.com."), Rtype.A, depth=2)]
    assert [rrset.rtype for rrset in response.answer] == [Rtype.CNAME, Rtype.CNAME, Rtype.A]


async def test_nobody_is_asked_for_other_types_of_an_external_name() -> None:
    asked: list[Query] = []
    plugin = over(make_cluster(), resolve=resolver(Response(), asked))
    for rtype in ("HTTPS", "TXT", "SRV", "CNAME", "ANY", "MX"):
        response = await plugin.handle(answer(f"outside.default.svc.cluster.local. {rtype}"), rest)
        assert (response.rcode, response.answer) == (Rcode.NOERROR, (OUTSIDE,))
    assert asked == []


# --- start, readiness, reload ----------------------------------------------------------------------------------------


def test_it_is_unready_until_every_list_is_in() -> None:
    cluster = make_cluster(kinds=[Kind.SERVICE])
    plugin = over(cluster)
    assert plugin.unready == "no list of endpointslices, namespaces, pods yet"
    for kind in (Kind.NAMESPACE, Kind.POD, Kind.ENDPOINT_SLICE):
        cluster.swap(kind, make_cluster().store(kind))
    assert plugin.unready == ""


def test_what_stands_against_it_is_said() -> None:
    cluster = make_cluster(kinds=[Kind.SERVICE, Kind.NAMESPACE, Kind.POD])

    async def stay() -> None:
        return

    faults = {Kind.ENDPOINT_SLICE: "list endpointslices: 403 Forbidden", Kind.SERVICE: "watch services: reset"}
    source = Source(cluster, stay, lambda: faults)
    plugin = Kubernetes(settings_of("kubernetes cluster.local"), source, environment())
    assert plugin.unready == "no list of endpointslices yet (list endpointslices: 403 Forbidden)"
    cluster.deny(Kind.ENDPOINT_SLICE)
    assert plugin.unready
    cluster.swap(Kind.ENDPOINT_SLICE, make_cluster().store(Kind.ENDPOINT_SLICE))
    assert plugin.unready == ""


@pytest.mark.parametrize(("kinds", "warnings"), [((), 1), (tuple(Kind), 0)])
async def test_the_log_says_when_the_start_is_late(
    kinds: tuple[Kind, ...], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await over(make_cluster(kinds=kinds), "kubernetes cluster.local {\nstartup_timeout 0\n}").run()
    assert len(caplog.records) == warnings


def test_only_another_source_is_read_anew(corefile: Path) -> None:
    (corefile.parent / "more").mkdir()
    (corefile.parent / "more" / "web.yml").write_text(MANIFEST)
    lent = environment(keep=Kept())

    def opened(options: str) -> Source:
        directive = directives(f"kubernetes cluster.local {{\n{options}\n}}", "kubernetes", str(corefile))[0]
        return open_source(directive, read_settings(directive, (ROOT,), lent.warn), lent)

    first = opened("manifests manifests")
    assert opened("manifests manifests\nttl 30\npods insecure\nnamespaces default\nfallthrough") is first
    for options in ("manifests more", "manifests manifests\nloopback", "manifests manifests\npods verified"):
        assert opened(options) is not first
    assert opened("manifests manifests\nnoendpoints").cluster is not first.cluster


def test_a_manifest_that_makes_no_sense_ends_the_start(corefile: Path) -> None:
    (corefile.parent / "manifests" / "all.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: [1]\n"
    )
    with pytest.raises(ConfigError) as error:
        make_plugin("kubernetes cluster.local {\nmanifests manifests\n}", corefile)
    assert error.value.path.endswith("all.yaml")


def test_a_folder_that_is_not_there_ends_the_start_with_the_line_that_names_it(corefile: Path) -> None:
    with pytest.raises(ConfigError) as error:
        make_plugin("kubernetes cluster.local {\nmanifests manifests\nmanifests manifests gone\n}", corefile)
    found = f"found '{corefile.parent / 'gone'}', expected a file or folder: No such file or directory"
    assert str(error.value) == f"{corefile}:4: manifests: {found}"


@pytest.mark.parametrize(
    ("options", "example"),
    [
        ("", "web.default.svc.cluster.local A"),
        ("labels tier=back", "another.prod.svc.cluster.local A"),
        ("namespaces prod", "another.prod.svc.cluster.local A"),
        ("ignore empty_service", "outside.default.svc.cluster.local CNAME"),
        ("labels tier=none", "cluster.local SOA"),
    ],
)
async def test_manifests_give_an_example_that_is_answered(options: str, example: str, corefile: Path) -> None:
    plugin = make_plugin(f"kubernetes 10.in-addr.arpa cluster.local {{\nmanifests manifests\n{options}\n}}", corefile)
    assert plugin.example == example
    name, rtype = example.split()
    assert (await plugin.handle(answer(f"{name}. {rtype}"), rest)).answer


def service_manifest(name: str, spec: str) -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n"


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([""], "0 Services in 0 namespaces in 1 file"),
        ([service_manifest("web", "")], "1 Service in 1 namespace in 1 file"),
        ([service_manifest("web", ""), MANIFEST], "3 Services in 2 namespaces in 2 files"),
    ],
)
def test_what_a_folder_holds_is_logged(
    texts: list[str], found: str, corefile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = corefile.parent / "manifests"
    for index, text in enumerate(texts):
        (folder / f"{index}.yaml").write_text(text)
    (folder / "all.yaml").unlink()
    with caplog.at_level(logging.INFO):
        make_plugin("kubernetes cluster.local {\nmanifests manifests\n}", corefile)
    assert f"{folder}: {found}" in caplog.messages


@pytest.mark.parametrize(
    ("manifest", "example"),
    [
        (service_manifest("web", "ipFamilies: [IPv6]"), "web.default.svc.cluster.local AAAA"),
        (
            service_manifest("six", "ipFamilies: [IPv6]") + service_manifest("web", "ipFamilies: [IPv4]"),
            "web.default.svc.cluster.local A",
        ),
        (
            service_manifest("db", "clusterIP: None, selector: {app: db}")
            + "apiVersion: v1\nkind: Pod\nmetadata: {name: db, labels: {app: db}}",
            "db.default.svc.cluster.local A",
        ),
        (service_manifest("db", "clusterIP: None"), "cluster.local SOA"),
        (
            service_manifest("a", "type: ExternalName, externalName: gone.default.svc.cluster.local"),
            "a.default.svc.cluster.local CNAME",
        ),
        (
            service_manifest("a", "type: ExternalName, externalName: c.default.svc.cluster.local")
            + service_manifest("b", "clusterIP: None, selector: {app: db}")
            + "apiVersion: v1\nkind: Pod\nmetadata: {name: db, labels: {app: db}}\n---\n"
            + service_manifest("c", "type: NodePort").replace("name: c", "name: c, namespace: prod")
            + service_manifest("d", "type: ClusterIP"),
            "d.default.svc.cluster.local A",
        ),
        (
            service_manifest("a", "type: ExternalName, externalName: b.default.svc.cluster.local")
            + service_manifest("b", "clusterIP: None, selector: {app: db}")
            + "apiVersion: v1\nkind: Pod\nmetadata: {name: db, labels: {app: db}}",
            "b.default.svc.cluster.local A",
        ),
        ("", "cluster.local SOA"),
    ],
)
async def test_whatever_a_folder_holds_there_is_an_example(manifest: str, example: str, corefile: Path) -> None:
    (corefile.parent / "manifests" / "all.yaml").write_text(manifest)
    plugin = make_plugin("kubernetes cluster.local {\nmanifests manifests\n}", corefile)
    assert plugin.example == example
    name, rtype = example.split()
    assert (await plugin.handle(answer(f"{name}. {rtype}"), rest)).answer


def test_an_api_server_gives_no_example() -> None:
    assert over(make_cluster()).example == ""


# --- the addresses that the server answers at ------------------------------------------------------------------------


def test_bound_addresses_are_the_servers() -> None:
    bound = [("10.0.0.1", 53), ("10.0.0.1", 53), ("fe80::1%eth0", 53)]
    assert LocalAddresses(lambda: bound)() == [ip_address("10.0.0.1").packed, ip_address("fe80::1").packed]


@pytest.mark.parametrize("bound", [[], [("0.0.0.0", 53)], [("::", 53)]])
def test_without_them_those_of_all_interfaces_are(bound: list[tuple[str, int]]) -> None:
    local = LocalAddresses(lambda: bound)
    texts = {str(each.ip if each.is_IPv4 else each.ip[0]) for card in ifaddr.get_adapters() for each in card.ips}
    assert set(local()) == {ip_address(text).packed for text in texts}
    assert local() is local()


# --- options ---------------------------------------------------------------------------------------------------------


def test_without_options_the_defaults_are_corednss() -> None:
    settings = settings_of("kubernetes cluster.local")
    assert settings.source == ApiConfig(KINDS)
    assert settings.startup_timeout == 5
    assert settings.kinds == KINDS
    assert settings.options._asdict() == {
        "zones": (ZONE,),
        "ttl": 5,
        "pods": Pods.DISABLED,
        "namespaces": frozenset(),
        "fallthrough": (),
        "pod_names": False,
        "ignore_empty": False,
    }


def test_every_option_is_read() -> None:
    settings = settings_of(
        """
        kubernetes cluster.local in-addr.arpa {
            endpoint https://10.0.0.1:6443
            tls cert.pem key.pem ca.pem
            apiserver_qps 20.5
            apiserver_burst 40
            apiserver_max_inflight 7
            namespaces default prod
            namespaces shop
            labels app in (web, db), !canary
            pods verified
            endpoint_pod_names
            noendpoints
            ignore empty_service
            ttl 0
            fallthrough example.com
            fallthrough in-addr.arpa 10.0.0.0/8
            startup_timeout 1m30s
        }
        """
    )
    assert settings.source == ApiConfig(
        (Kind.SERVICE, Kind.NAMESPACE, Kind.POD),
        endpoint="https://10.0.0.1:6443",
        certificate="cert.pem",
        key="key.pem",
        authority="ca.pem",
        labels="app in (web, db), !canary",
        qps=20.5,
        burst=40,
        max_inflight=7,
    )
    assert settings.kinds == (Kind.SERVICE, Kind.NAMESPACE, Kind.POD)
    assert settings.labels.selector.matches({"app": "web"})
    assert settings.startup_timeout == 90
    assert settings.options._asdict() == {
        "zones": (ZONE, from_text("in-addr.arpa.")),
        "ttl": 0,
        "pods": Pods.VERIFIED,
        "namespaces": frozenset({"default", "prod", "shop"}),
        "fallthrough": (from_text("in-addr.arpa."), from_text("10.in-addr.arpa.")),
        "pod_names": True,
        "ignore_empty": True,
    }


def test_manifests_are_relative_to_the_corefile() -> None:
    settings = settings_of(
        """
        kubernetes cluster.local {
            manifests one two.yaml
            manifests /three
            service_cidr 10.0.0.0/16
            pod_cidr fd00::/64 10.1.0.0/16
            loopback
            namespace_labels team=a
        }
        """
    )
    defaults = Folders()
    assert settings.source == Folders(
        (Path("/etc/dns/one"), Path("/etc/dns/two.yaml"), Path("/three")),
        (IPv4Network("10.0.0.0/16"), defaults.service_cidr[1]),
        (IPv4Network("10.1.0.0/16"), IPv6Network("fd00::/64")),
        loopback=True,
    )
    assert settings.namespace_labels.text == "team=a"


@pytest.mark.parametrize(
    ("options", "source"),
    [
        ("kubeconfig /etc/kube", ApiConfig(KINDS, kubeconfig="/etc/kube")),
        ("kubeconfig /etc/kube staging", ApiConfig(KINDS, kubeconfig="/etc/kube", context="staging")),
        ("endpoint 10.0.0.1:8080", ApiConfig(KINDS, endpoint="10.0.0.1:8080")),
    ],
)
def test_api_servers(options: str, source: ApiConfig) -> None:
    assert settings_of(f"kubernetes cluster.local {{\n{options}\n}}").source == source


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ("endpoint http://a http://b", "Corefile:3: endpoint: only the first URL is used: http://a"),
        (
            "endpoint http://a\nkubeconfig k",
            "Corefile:3: endpoint: ignored, since 'kubeconfig' says where the API server",
        ),
        ("tls a b c\nkubeconfig k", "Corefile:3: tls: ignored, since 'kubeconfig' says where the API server is"),
        ("tls a b c", "Corefile:3: tls: ignored, since it counts beside 'endpoint' alone"),
    ],
)
def test_what_is_hardly_meant_is_logged(options: str, warning: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        settings_of(f"kubernetes cluster.local {{\n{options}\n}}", "Corefile")
    assert caplog.messages[0].startswith(warning)


@pytest.mark.parametrize("options", ["ignore", "fallthrough", "pods disabled", "ttl 3600", "startup_timeout 0"])
def test_odd_options_are_fine(options: str) -> None:
    assert settings_of(f"kubernetes cluster.local {{\n{options}\n}}")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("multicluster clusterset.local", "'multicluster' is an option of CoreDNS that svcdns does not have yet"),
        ("zonal", "'zonal' is an option of CoreDNS that svcdns does not have yet"),
        ("resyncperiod 5m", "resyncperiod: CoreDNS itself has dropped it: remove the line"),
        ("upstream", "upstream: CoreDNS itself has dropped it: remove the line"),
        ("namespace default", "unknown option 'namespace', did you mean 'namespaces'?"),
        ("endpoint", "endpoint: found no arguments, expected URL"),
        ("endpoint ftp://a", "endpoint: found 'ftp://a', expected a URL such as https://10.0.0.1:6443"),
        ("tls a b", "tls: found 'a b', expected CERTIFICATE KEY CA"),
        ("kubeconfig", "kubeconfig: found no arguments, expected FILE [CONTEXT]"),
        ("kubeconfig a b c", "kubeconfig: found 'a b c', expected FILE [CONTEXT]"),
        ("apiserver_qps -1", "apiserver_qps: found '-1', expected a number that is not negative"),
        ("apiserver_qps fast", "apiserver_qps: found 'fast', expected a number that is not negative"),
        ("apiserver_qps nan", "apiserver_qps: found 'nan', expected a number that is not negative"),
        ("apiserver_burst 1.5", "apiserver_burst: found '1.5', expected a number from 0 to 2147483647"),
        ("apiserver_max_inflight", "apiserver_max_inflight: found no arguments, expected NUMBER"),
        ("namespaces", "namespaces: found no arguments, expected NAMESPACE..."),
        ("labels", "labels: found no arguments, expected SELECTOR"),
        ("labels a=b=c", "labels: found 'a=b=c', "),
        ("namespace_labels ,", "namespace_labels: found ',', "),
        ("namespaces a\nnamespace_labels b=c", "namespace_labels: found beside 'namespaces', expected one of the two"),
        ("pods", "pods: found no arguments, expected disabled|insecure|verified"),
        ("pods all", "pods: found 'all', expected 'disabled', 'insecure' or 'verified'"),
        ("endpoint_pod_names yes", "endpoint_pod_names: found 'yes', expected nothing after it"),
        ("noendpoints yes", "noendpoints: found 'yes', expected nothing after it"),
        ("ignore services", "ignore: found 'services', expected 'empty_service'"),
        ("ttl", "ttl: found no arguments, expected SECONDS"),
        ("ttl 3601", "ttl: found '3601', expected a number from 0 to 3600"),
        ("ttl -1", "ttl: found '-1', expected a number from 0 to 3600"),
        ("fallthrough a..b", "fallthrough: found 'a..b', "),
        ("startup_timeout 5", "startup_timeout: found '5', expected a duration with its unit"),
        ("startup_timeout -5s", "startup_timeout: found '-5s', expected a duration"),
        ("manifests", "manifests: found no arguments, expected PATH..."),
        ('manifests a ""', "manifests: found an empty path, expected PATH..."),
        ("manifests a\nkubeconfig b", "kubeconfig: found beside 'manifests', expected one source of objects"),
        ("manifests a\nendpoint http://b", "endpoint: found beside 'manifests', expected one source of objects"),
        ("loopback", "loopback: needs 'manifests' beside it, expected one source of objects"),
        ("manifests a\nloopback yes", "loopback: found 'yes', expected nothing after it"),
        ("manifests a\nservice_cidr 10.0.0.1/8", "service_cidr: found '10.0.0.1/8', expected an address range such as"),
        ("manifests a\nservice_cidr 10.0.0.0/8 11.0.0.0/8", "service_cidr: found '10.0.0.0/8 11.0.0.0/8', expected at"),
        ("manifests a\npod_cidr 10.0.0.0/31", "pod_cidr: found '10.0.0.0/31', expected an address range of at least 4"),
        ("manifests a\npod_cidr fd00::1", "pod_cidr: found 'fd00::1', expected an address range of at least 4"),
        ("manifests a\npod_cidr", "pod_cidr: found no arguments, expected CIDR..."),
    ],
)
def test_an_option_that_makes_no_sense_is_an_error_with_its_line(options: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        settings_of(f"kubernetes cluster.local {{\n{options}\n}}", "Corefile")
    assert str(error.value).startswith(f"Corefile:{3 + options.count(chr(10))}: {reason}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kubernetes in-addr.arpa", "Corefile:2: kubernetes: found reverse zones alone"),
        ("kubernetes 10.0.0.0/8 fd00::/8", "Corefile:2: kubernetes: found reverse zones alone"),
        ("kubernetes a..b", "Corefile:2: kubernetes: found 'a..b'"),
        (f"kubernetes {'.'.join(['z' * 60] * 4)}", "Corefile:2: kubernetes: found 'zzz"),
        ("kubernetes a\nkubernetes b", "Corefile:3: kubernetes: found again in the server block after Corefile:2,"),
    ],
)
def test_a_directive_that_makes_no_sense_is_an_error_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        setup(directives(text, "kubernetes"), environment())
    assert str(error.value).startswith(reason)


# --- the API server --------------------------------------------------------------------------------------------------


async def test_a_service_is_answered_as_soon_as_the_api_server_tells_of_it() -> None:
    lent = environment()
    async with FakeApi() as api:
        api.put("namespaces", namespace("default"))
        [plugin] = set_up(f"kubernetes cluster.local {{\nendpoint {api.url}\n}}", "kubernetes", lent)
        assert plugin.unready
        assert (await plugin.handle(answer("web.default.svc.cluster.local. A"), rest)).rcode == Rcode.SERVFAIL
        async with running(lent, [plugin]):
            await until(lambda: not plugin.unready)
            assert (await plugin.handle(answer("web.default.svc.cluster.local. A"), rest)).rcode == Rcode.NXDOMAIN
            assert isinstance(lent.keep, Kept)
            [source] = lent.keep.resources.values()
            assert isinstance(source, Source)
            api.put("services", service("web", "10.96.0.10"))
            await until(lambda: ("default", "web") in source.cluster.services)
            [web] = (await plugin.handle(answer("web.default.svc.cluster.local. A"), rest)).answer
            assert web.rdatas == (bytes([10, 96, 0, 10]),)


async def test_what_the_api_server_denies_is_named_and_the_rest_is_answered() -> None:
    lent = environment()
    async with FakeApi() as api:
        api.put("namespaces", namespace("default"))
        api.put("services", service("web", "10.96.0.10"))
        api.forbidden.add("endpointslices")
        [plugin] = set_up(f"kubernetes cluster.local {{\nendpoint {api.url}\n}}", "kubernetes", lent)
        async with running(lent, [plugin]):
            await until(
                lambda: plugin.unready.startswith("no list of endpointslices yet (") and "403" in plugin.unready
            )
            assert re.match(r"no list of endpointslices yet \((list|watch) endpointslices: 403 ", plugin.unready)
            [web] = (await plugin.handle(answer("web.default.svc.cluster.local. A"), rest)).answer
            assert web.rdatas == (bytes([10, 96, 0, 10]),)
            below = await plugin.handle(answer("10-0-0-1.web.default.svc.cluster.local. A"), rest)
            assert (below.rcode, below.ede) == (Rcode.SERVFAIL, (14, "endpointslices not listed yet"))


def test_outside_of_a_cluster_the_api_server_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError) as error:
        set_up("kubernetes cluster.local", "kubernetes", environment())
    expected = "found no cluster around this process, expected 'endpoint', 'kubeconfig' or 'manifests' ("
    assert str(error.value).startswith(f"Corefile:2: kubernetes: {expected}")


def test_a_kubeconfig_that_cannot_be_read_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        set_up(f"kubernetes cluster.local {{\nkubeconfig {tmp_path}/none\n}}", "kubernetes", environment())
    assert str(error.value) == f"Corefile:2: kubernetes: {tmp_path}/none: No such file or directory"


async def test_a_slow_chase_can_be_cancelled() -> None:
    never: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    async def resolve(query: Query) -> Response:
        return await never

    plugin = over(make_cluster(), resolve=resolve)
    task = asyncio.ensure_future(plugin.handle(answer("outside.default.svc.cluster.local. A"), rest))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
