"""What an operator writes of the API server as a source, and how quickly the source goes about its work."""

from dataclasses import dataclass

from svcdns.kube.objects import Kind

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Where the API server is, who we are there, and what is asked of it.

    Without *endpoint* and *kubeconfig* it is the API server of the cluster around the Pod; *kubeconfig* wins over
    *endpoint*.

    Attributes:
        kinds: The kinds to follow.
        endpoint: The URL of the API server.
        certificate: The file of the client certificate, used with *endpoint*.
        key: The file of its key.
        authority: The file of the certificates that the API server's is checked against.
        kubeconfig: The kubeconfig file.
        context: The context in it; empty for its current one.
        labels: The label selector for Services, EndpointSlices and Pods.
        namespace_labels: The label selector for Namespaces.
        qps: Requests a second that are not watches; 0 for any number.
        burst: How many of them may come together; 0 for the default.
        max_inflight: How many requests may wait for their answer at once; 0 for any number.
        service_account: The folder with token and authority that a Pod has.
    """

    kinds: tuple[Kind, ...]
    endpoint: str = ""
    certificate: str = ""
    key: str = ""
    authority: str = ""
    kubeconfig: str = ""
    context: str = ""
    labels: str = ""
    namespace_labels: str = ""
    qps: float = 0.0
    burst: int = 0
    max_inflight: int = 0
    service_account: str = SERVICE_ACCOUNT

    def selector(self, kind: Kind) -> dict[str, str]:
        """Return the parameters that select the objects of *kind*."""
        labels = self.namespace_labels if kind is Kind.NAMESPACE else self.labels
        fields = _LIVING if kind is Kind.POD else ""
        chosen = {"labelSelector": labels, "fieldSelector": fields}
        return {name: value for name, value in chosen.items() if value}


_LIVING = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds; pairs are chosen from at random.

    Attributes:
        connect: How long to wait for a connection.
        answer: How long to wait for the head of the response to a watch, longer where none came before.
        silence: After how long without an octet a watch is given up; bookmarks come every minute.
        list_silence: The same for lists.
        probe: Between two connects while the API server cannot be reached.
        recheck: Between two small lists while it answers with errors, or not at all.
        check: How long such a list may take; the next one does not wait for it.
        courtesy: Added to the time that the API server asks us to wait.
        audit: Between two audits of a kind.
        stretch: What every pause after a failure is multiplied with.
        keepalive: Idle time of a connection before it is probed, then between probes; whole seconds.
        dead: After how long without an acknowledgement a connection is dead.
    """

    connect: float = 5.0
    answer: float = 3.5
    silence: float = 80.0
    list_silence: float = 30.0
    probe: tuple[float, float] = (0.5, 1.0)
    recheck: tuple[float, float] = (4.1, 4.7)
    check: float = 15.0
    courtesy: tuple[float, float] = (0.1, 1.2)
    audit: tuple[float, float] = (270.0, 330.0)
    stretch: float = 1.0
    keepalive: tuple[int, int] = (10, 3)
    dead: float = 15.0
