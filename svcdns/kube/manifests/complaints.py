"""What people should know about manifests that are no faults: an API server would not have it, or it does nothing."""

from collections.abc import Iterable, Iterator

from svcdns.kube.manifests import bodies
from svcdns.kube.manifests.documents import Document
from svcdns.kube.objects import EXTERNAL_NAME, octets


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
