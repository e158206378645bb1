"""The Pods of a folder: those written there, and those that its workloads would make.

A workload whose Pods or ReplicaSets are written too, as in a dump of a whole cluster, makes none of its own.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from svcdns.kube.manifests.bodies import Pod, PodSpec, PodStatus, StatefulSet, Workload
from svcdns.kube.manifests.documents import Document
from svcdns.kube.objects import Key

_POD_NAME_LABEL = "statefulset.kubernetes.io/pod-name"
_LOST = "Unknown"
_POD_INDEX_LABEL = "apps.kubernetes.io/pod-index"


class RunningPod(NamedTuple):
    """A Pod whose containers run.

    Attributes:
        origin: Where it, or what makes it, is written.
        key: Namespace and name.
        labels: Its labels.
        spec: What it runs.
        status: How it is.
        terminating: Whether it was told to end.
    """

    origin: Document
    key: Key
    labels: Mapping[str, str]
    spec: PodSpec
    status: PodStatus = PodStatus()
    terminating: bool = False

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self.status.ready and not self.terminating

    @property
    def listed(self) -> bool:
        """Whether an API server would list it to us, who ask for no Pod that is at its end or that its node lost."""
        return not self.terminating and self.status.phase != _LOST


def find_pods(documents: Iterable[Document]) -> list[RunningPod]:
    """Return all Pods that run, in the order of *documents*; one that is written goes before one that would be made."""
    documents = list(documents)
    controllers = {
        (owner.kind, document.key[0], owner.name)
        for document in documents
        for owner in document.body.metadata.owner_references or ()
    }
    written = {document.key for document in documents if isinstance(document.body, Pod)}
    pods: dict[Key, RunningPod] = {}
    for document in documents:
        match document.body:
            case Pod(metadata=metadata, spec=spec, status=status) if status is None or not status.over:
                pods[document.key] = RunningPod(
                    document,
                    document.key,
                    metadata.labels or {},
                    spec,
                    status or PodStatus(),
                    terminating=metadata.deletion_timestamp is not None,
                )
            case Workload() as workload if (document.kind, *document.key) not in controllers:
                made = _make_pods(document, workload)
                pods.update((pod.key, pod) for pod in made if pod.key not in written)
    return list(pods.values())


def _make_pods(origin: Document, workload: Workload) -> Iterator[RunningPod]:
    """Make the Pods of a workload: ``NAME-0`` and so on for a StatefulSet, ``NAME-KIND-0`` for the others.

    Source: apps/v1, StatefulSet, "Pod Identity".
    """
    namespace, name = origin.key
    spec = workload.spec
    template = spec.template.spec
    labels = (spec.template.metadata and spec.template.metadata.labels) or {}
    if not isinstance(workload, StatefulSet):
        for index in spec.indexes:
            yield RunningPod(origin, (namespace, f"{name}-{origin.kind.lower()}-{index}"), labels, template)
        return
    for index in spec.indexes:
        pod = f"{name}-{index}"
        identity = msgspec.structs.replace(template, hostname=pod, subdomain=spec.service_name)
        own_labels = {_POD_NAME_LABEL: pod, _POD_INDEX_LABEL: str(index)}
        yield RunningPod(origin, (namespace, pod), {**labels, **own_labels}, identity)
