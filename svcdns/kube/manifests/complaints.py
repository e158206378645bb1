"""What people should know about manifests that are no faults: an API server would not have it, or it does nothing."""

from collections.abc import Iterable, Iterator, Sequence

from svcdns.kube.manifests import bodies
from svcdns.kube.manifests.documents import Document
from svcdns.kube.objects import EXTERNAL_NAME, SERVICE_NAME_LABEL, octets


def find_shared_addresses(documents: Iterable[Document]) -> Iterator[str]:
    """Say which Services write a cluster IP that one before them has, a sentence each."""
    holders: dict[bytes | None, Document] = {}
    for document in documents:
        if not isinstance(document.body, bodies.Service) or document.body.spec.type == EXTERNAL_NAME:
            continue
        for address in document.body.spec.addresses:
            first = holders.setdefault(octets(address), document)
            if first is not document:
                yield (
                    f"{document.path}:{document.line}: {document} has the cluster IP {address} of {first} at "
                    f"{first.path}:{first.line}, too; both are answered, an API server would refuse one"
                )


def find_orphans(documents: Sequence[Document]) -> Iterator[str]:
    """Say which EndpointSlices and Endpoints belong to no Service that is written, a sentence each."""
    services = {document.key for document in documents if isinstance(document.body, bodies.Service)}
    for document in documents:
        namespace, owner = document.key
        if isinstance(document.body, bodies.EndpointSlice):
            owner = (document.body.metadata.labels or {}).get(SERVICE_NAME_LABEL, "")
        elif not isinstance(document.body, bodies.Endpoints):
            continue
        if (namespace, owner) not in services:
            lacking = f"Service {namespace}/{owner}" if owner else f"label {SERVICE_NAME_LABEL}"
            where = f"{document.path}:{document.line}"
            yield f"{where}: {document}: found no {lacking}, so it is not answered by name"
