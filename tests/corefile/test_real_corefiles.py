"""The Corefiles that distributions of Kubernetes install."""

from collections.abc import Callable

import pytest

from svcdns.corefile import Corefile, Source

KUBEADM = """
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""

KUBEADM_OLD = """
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
"""

MINIKUBE = """
.:53 {
    log
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    hosts {
       192.168.49.1 host.minikube.internal
       fallthrough
    }
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""

K3S = """
.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    hosts /etc/coredns/NodeHosts {
      ttl 60
      reload 15s
      fallthrough
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
    import /etc/coredns/custom/*.override
}
import /etc/coredns/custom/*.server
"""

EKS = """
.:53 {
    errors
    health {
        lameduck 5s
      }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
"""

AKS = r"""
.:53 {
    errors
    ready
    health {
      lameduck 5s
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
      ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
    import custom/*.override
    template ANY ANY internal.cloudapp.net {
      match "^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$"
      rcode NXDOMAIN
      fallthrough
    }
    template ANY ANY reddog.microsoft.com {
      rcode NXDOMAIN
    }
}
import custom/*.server
"""

HELM = """
.:53 {
    errors
    health {
        lameduck 10s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus 0.0.0.0:9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
    log {
        class denial
    }
}
"""

DEPLOYMENT = """
.:53 {
    errors
    health {
      lameduck 5s
    }
    ready
    kubernetes cluster.local 10.96.0.0/12 {
      fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
stub.example:53 {
    errors
    cache 30
    loop
    forward . 192.0.2.1 192.0.2.2
}
"""

KOPS = """
.:53 {
    errors
    health {
      lameduck 5s
    }
    ready
    kubernetes cluster.local. in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
      ttl 30
    }
    hosts /rootfs/etc/hosts k8s.local {
      ttl 30
      fallthrough
    }
    prometheus :9153
    forward . /etc/resolv.conf {
      max_concurrent 1000
    }
    cache 30
    dns64
    loop
    reload
    loadbalance
}
"""

KUBESPRAY = """
corp.example lab.example:5353 {
    log
    errors
    rewrite name suffix corp.example internal.example
    forward . 192.0.2.53
    loadbalance
    cache 5
    reload
    hosts /etc/coredns/hosts {
        fallthrough
    }
}
.:53 {
    errors {
        consolidate 5m ".* i/o timeout$" warning
    }
    health {
        lameduck 5s
    }
    rewrite name regex (.*)\\.svc\\.alias {1}.svc.cluster.local
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      endpoint_pod_names
      fallthrough in-addr.arpa ip6.arpa
    }
    k8s_external apps.example
    prometheus :9153
    forward . /etc/resolv.conf {
      prefer_udp
      max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""

GARDENER = r"""
.:8053 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    loop
    import custom/*.override
    errors
    log . {
        class error
    }
    health
    ready
    rewrite stop {
      name regex (^(?:[^\.]+\.)+)svc\.foo\.bar\.example {1}svc.cluster.local
      answer name (^(?:[^\.]+\.)+)svc\.cluster\.local {1}svc.foo.bar.example
      answer value (^(?:[^\.]+\.)+)svc\.cluster\.local {1}svc.foo.bar.example
    }
    forward . /etc/resolv.conf
    cache 30
    reload
    loadbalance round_robin
}
import custom/*.server
"""

OPENSHIFT = """
# corp
corp.example:5353 {
    forward . 192.0.2.1 {
        policy random
    }
    errors
    log . {
        class error
    }
    bufsize 512
    cache 900 {
        denial 9984 30
    }
}
.:5353 {
    bufsize 512
    errors
    log . {
        class error
    }
    health {
        lameduck 20s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    prometheus 127.0.0.1:9153
    forward . tls://192.0.2.3 {
        tls_servername dns.example
        tls
        policy sequential
    }
    cache 900 {
        denial 9984 30
    }
    reload
}
hostname.bind:5353 {
    chaos
}
"""

NODE_LOCAL = """
cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.0.11 {
            force_tcp
    }
    prometheus :9253
    health 169.254.20.10:8080
    }
in-addr.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.0.11 {
            force_tcp
    }
    prometheus :9253
    }
ip6.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.0.11 {
            force_tcp
    }
    prometheus :9253
    }
.:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . /etc/resolv.conf
    prometheus :9253
    }
"""


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (KUBEADM, [10]),
        (KUBEADM_OLD, [10]),
        (MINIKUBE, [12]),
        (K3S, [11]),
        (EKS, [10]),
        (AKS, [12]),
        (HELM, [11]),
        (DEPLOYMENT, [10, 4]),
        (KOPS, [12]),
        (KUBESPRAY, [8, 12]),
        (GARDENER, [12]),
        (OPENSHIFT, [5, 10, 1]),
        (NODE_LOCAL, [8, 7, 7, 7]),
    ],
)
def test_every_installed_corefile_is_read_whole(
    corefile: Callable[..., Corefile], warnings: list[str], text: str, counts: list[int]
) -> None:
    assert [len(block.directives) for block in corefile(text).blocks] == counts
    assert [warning for warning in warnings if "no file matches" not in warning] == []


def test_the_options_of_kubeadms_corefile(corefile: Callable[..., Corefile]) -> None:
    (block,) = corefile(KUBEADM).blocks
    (kubernetes,) = block.named("kubernetes")
    (cache,) = block.named("cache")
    assert kubernetes.words == ("cluster.local", "in-addr.arpa", "ip6.arpa")
    assert [(option.name, option.words) for option in kubernetes.options] == [
        ("pods", ("insecure",)),
        ("fallthrough", ("in-addr.arpa", "ip6.arpa")),
        ("ttl", ("30",)),
    ]
    assert [(option.name, option.words) for option in cache.options] == [
        ("disable", ("success", "cluster.local")),
        ("disable", ("denial", "cluster.local")),
    ]


def test_a_regular_expression_keeps_its_backslashes(corefile: Callable[..., Corefile]) -> None:
    template = corefile(AKS).blocks[0].named("template")[0]
    assert template.options[0].words == (r"^(?:[^.]+\.){4,}internal\.cloudapp\.net\.$",)


def test_k3s_takes_what_users_add(corefile: Callable[..., Corefile]) -> None:
    files = {
        "Corefile /etc/coredns/custom/*.override": [Source("/etc/coredns/custom/a.override", "log\n")],
        "Corefile /etc/coredns/custom/*.server": [
            Source("/etc/coredns/custom/a.server", "corp.example {\n forward . 192.0.2.1\n}\n"),
            Source("/etc/coredns/custom/b.server", "lab.example:5353 {\n forward . 192.0.2.2\n}"),
        ],
    }
    blocks = corefile(K3S, files).blocks
    assert [block.zones for block in blocks] == [(".",), ("corp.example.",), ("lab.example.",)]
    assert len(blocks[0].named("log")) == 1
