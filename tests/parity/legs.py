"""The Corefiles under which both servers are compared, with what the table of differences must know of each."""

from pathlib import Path
from typing import NamedTuple

from tests.parity.answers import Name
from tests.parity.questions import EVIDENCE, TYPES
from tests.ports import free_port

CONFIGS = Path(__file__).parent.parent.parent / "configs"
CLUSTER = "cluster.local."
REVERSE = ("in-addr.arpa.", "ip6.arpa.")
FEW_TYPES = (*EVIDENCE, "ANY")


class Leg(NamedTuple):
    """One Corefile.

    Attributes:
        name: What the test calls it.
        corefile: A server block; ``SOURCE`` stands for where objects come from, ``UPSTREAM`` for the upstream's port,
            ``LOCAL`` for an address of this machine, ``PORT0``, ``PORT1`` and ``PORT2`` for free ports.
        zones: The zones of `kubernetes`.
        fallthrough: Where names that do not exist are for the upstream.
        ttl: The TTL of the cluster's records.
        forwards: Whether there is an upstream.
        caches: Whether its answers are kept.
        pods: Whether names of Pods exist.
        pod_names: Whether endpoints are named after their Pods.
        hidden: Namespaces that `namespace_labels` hides.
        local: The address of this machine, not of loopback, that ``LOCAL`` stands for; none where there is none.
        synced: Whether the API server is there.
        known: A name with an address.
        types: The types asked for.
        manifests: Whether svcdns reads the objects from a manifest.
    """

    name: str
    corefile: str
    zones: tuple[Name, ...] = (CLUSTER, *REVERSE)
    fallthrough: tuple[Name, ...] = ()
    ttl: int = 5
    forwards: bool = False
    caches: bool = False
    pods: bool = False
    pod_names: bool = False
    hidden: frozenset[str] = frozenset()
    local: str = ""
    synced: bool = True
    known: Name = "web.shop.svc.cluster.local."
    types: tuple[str, ...] = FEW_TYPES
    manifests: bool = False

    def write(self, path: Path, source: str, upstream: int) -> Path:
        """Write the Corefile to *path* for objects from *source*, and return the path."""
        words = {"SOURCE": source, "UPSTREAM": str(upstream), "LOCAL": self.local or "127.0.0.2"}
        words |= {f"PORT{at}": str(free_port()) for at in range(3)}
        text = self.corefile
        for word, meaning in words.items():
            text = text.replace(word, meaning)
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def primary(self) -> Name:
        """The zone of the cluster's names."""
        return next(zone for zone in self.zones if zone not in REVERSE and not zone.endswith(REVERSE))


def adapt(path: Path) -> str:
    """Return a Corefile of ours, changed to stay on loopback and to ask the servers of a test."""
    text = path.read_text(encoding="utf-8")
    for before, after in (
        (".:53 {", ". {\n    bind 127.0.0.1"),
        ("health {", "health 127.0.0.1:PORT0 {"),
        ("ready\n", "ready 127.0.0.1:PORT1\n"),
        ("ip6.arpa {", "ip6.arpa {\n       SOURCE"),
        ("prometheus :9153", "prometheus 127.0.0.1:PORT2"),
        ("/etc/resolv.conf", "127.0.0.1:UPSTREAM"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    return text


PLAIN = """
. {
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        SOURCE
        pods verified
    }
}
"""

LEGS = (
    Leg(
        "kubeadm",
        adapt(CONFIGS / "kubeadm.Corefile"),
        fallthrough=REVERSE,
        ttl=30,
        forwards=True,
        caches=True,
        pods=True,
        types=TYPES,
    ),
    Leg("plain", PLAIN, pods=True, types=TYPES),
    Leg("manifests", PLAIN, pods=True, manifests=True),
    Leg(
        "chosen-namespaces",
        """
. {
    bind 127.0.0.1
    kubernetes cluster.local 10.96.0.0/16 10.244.0.0/16 fd00::/16 {
        SOURCE
        namespaces shop svc kube-system
        ignore empty_service
        endpoint_pod_names
        ttl 0
    }
    forward . 127.0.0.1:UPSTREAM
}
""",
        zones=(CLUSTER, "96.10.in-addr.arpa.", "244.10.in-addr.arpa.", "0.0.d.f.ip6.arpa."),
        ttl=0,
        forwards=True,
        pod_names=True,
    ),
    Leg(
        "labelled-namespaces",
        """
. {
    bind 127.0.0.1
    kubernetes in-addr.arpa ip6.arpa cluster.local {
        SOURCE
        namespace_labels shown=yes
        endpoint_pod_names
        pods insecure
        ttl 3600
        fallthrough
    }
    forward . 127.0.0.1:UPSTREAM
}
""",
        zones=(*REVERSE, CLUSTER),
        fallthrough=(".",),
        ttl=3600,
        forwards=True,
        pods=True,
        pod_names=True,
        hidden=frozenset({"hidden", "kube-system", "default"}),
    ),
    Leg(
        "without-endpoints",
        """
. {
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa {
        SOURCE
        noendpoints
    }
}
""",
        zones=(CLUSTER, "in-addr.arpa."),
    ),
    Leg(
        "everywhere",
        """
. {
    kubernetes {
        SOURCE
        pods insecure
    }
    loadbalance
}
""".replace(". {", "cluster.local in-addr.arpa ip6.arpa {"),
        pods=True,
    ),
    Leg(
        "bound",
        """
. {
    bind 127.0.0.1 LOCAL
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        SOURCE
        labels tier=front
    }
}
""",
    ),
    Leg(
        "unsynced",
        """
. {
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        SOURCE
        startup_timeout 1ms
        fallthrough in-addr.arpa ip6.arpa
    }
    forward . 127.0.0.1:UPSTREAM
}
""",
        fallthrough=REVERSE,
        forwards=True,
        synced=False,
        known="www.example.net.",
    ),
)
