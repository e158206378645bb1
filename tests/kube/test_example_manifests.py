"""The manifests that the examples in their own comments ask for, as a cluster holds them."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from svcdns.kube.cluster import Cluster
from svcdns.kube.manifests.controlplane import Options
from svcdns.kube.manifests.source import Manifests
from svcdns.kube.objects import Key, Kind

EXAMPLES = Path(__file__).parents[2] / "configs" / "manifests"


@pytest.fixture
def shop() -> Cluster:
    """The cluster of the example manifests, which nothing is to be complained of."""
    cluster = Cluster(list(Kind), lambda: 0.0)
    complaints: list[str] = []
    Manifests([EXAMPLES], Options(), list(Kind), cluster, lambda _level, sentence: complaints.append(sentence)).load()
    assert complaints == []
    return cluster


@pytest.mark.parametrize(
    ("key", "addresses", "endpoints"),
    [
        (("default", "kubernetes"), ["10.96.0.1"], []),
        (("default", "web"), ["10.111.210.249"], ["web-deployment-0", "web-deployment-1", "web-deployment-2"]),
        (("shop", "db"), [], ["db-0", "db-1", "db-2"]),
        (("shop", "db-primary"), ["10.97.56.33"], ["db-0"]),
        (("shop", "api"), ["10.107.141.188"], []),
        (("shop", "gateway"), ["10.96.0.80"], ["gateway"]),
        (("shop", "payments"), [], []),
        (("shop", "front"), [], []),
        (("shop", "mail"), [], ["main", "backup"]),
        (("shop", "stock"), [], ["192.0.2.40"]),
        (
            ("shop", "cache"),
            ["10.104.57.236", "fd00:10:96::5e81"],
            ["cache-daemonset-0", "cache-daemonset-0"],
        ),
    ],
)
def test_the_examples_hold_every_kind_of_service(
    shop: Cluster, key: Key, addresses: list[str], endpoints: list[str]
) -> None:
    service = shop.services.get(key)
    assert service is not None
    assert [str(ip_address(address)) for address in service.addresses] == addresses
    found = [endpoint for slice_ in shop.slices.of(key) for endpoint in slice_.endpoints()]
    assert [each.hostname or each.pod or str(ip_address(each.address)) for each in found] == endpoints


def test_the_examples_are_in_two_namespaces(shop: Cluster) -> None:
    assert sorted(shop.namespaces.keys()) == [("", "default"), ("", "shop")]
    assert len(shop.services) == 11
