"""What people should know about manifests that are no faults: an API server would not have it, or it does nothing."""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from svcdns.kube.manifests import bodies
from svcdns.kube.manifests.documents import Document
from svcdns.kube.manifests.endpoints import PodIndex
from svcdns.kube.objects import EXTERNAL_NAME, SERVICE_NAME_LABEL, Key


class Complaint(NamedTuple):
    """A sentence about an object that is written.

    Attributes:
        document: The object.
        reason: What is doubtful about it.
        other: Whom that concerns, too.
        remark: What is said behind that one.
    """

    document: Document
    reason: str
    other: Document | None = None
    remark: str = ""

    @property
    def topic(self) -> tuple[str, ...]:
        """What is complained of, without the lines, which an edit above moves."""
        return (*_name(self.document), self.reason, *_name(self.other))

    def __str__(self) -> str:
        text = f"{_place(self.document)}: {self.document} {self.reason}"
        return text if self.other is None else f"{text} {self.other} at {_place(self.other)}, {self.remark}"


def find_complaints(documents: Sequence[Document], index: PodIndex) -> Iterator[Complaint]:
    """Yield what is doubtful in a folder.

    Args:
        documents: What is written, one for each object.
        index: The Pods.
    """
    yield from _find_slips(documents)
    yield from _find_shared_addresses(documents)
    yield from _find_orphans(documents)
    yield from _find_unpicked(documents, index)


def _find_slips(documents: Iterable[Document]) -> Iterator[Complaint]:
    """Say which fields are hardly meant."""
    for document in documents:
        for line, path, nearest in document.slips:
            yield Complaint(document._replace(line=line), f"has {path}, which is passed over: is {nearest} meant?")


def _find_shared_addresses(documents: Iterable[Document]) -> Iterator[Complaint]:
    """Say which Services write a cluster IP that one before them has."""
    holders: dict[IPv4Address | IPv6Address, Document] = {}
    for document in documents:
        if not isinstance(document.body, bodies.Service) or document.body.spec.type == EXTERNAL_NAME:
            continue
        for address in document.body.spec.addresses:
            first = holders.setdefault(ip_address(address), document)
            if first is not document:
                yield Complaint(document, f"has the cluster IP {address} of", first, "which an API server would refuse")


def _find_orphans(documents: Sequence[Document]) -> Iterator[Complaint]:
    """Say which EndpointSlices and Endpoints belong to no Service that is written."""
    services = {document.key for document in documents if isinstance(document.body, bodies.Service)}
    for document, (namespace, owner) in _find_owners(documents):
        if (namespace, owner) not in services:
            lacking = f"Service {namespace}/{owner}" if owner else f"label {SERVICE_NAME_LABEL}"
            yield Complaint(document, f"is not answered by name: found no {lacking}")


def _find_unpicked(documents: Sequence[Document], index: PodIndex) -> Iterator[Complaint]:
    """Say which headless Services have no address: their selector, for which Endpoints stand back, picks no Pod."""
    written = {owner for each, owner in _find_owners(documents) if isinstance(each.body, bodies.EndpointSlice)}
    for document in documents:
        if isinstance(document.body, bodies.Service) and document.body.spec.headless and document.key not in written:
            selector = document.body.spec.selector
            if selector and not index.select(document.key[0], selector):
                labels = ", ".join(f"{label}={value}" for label, value in selector.items())
                yield Complaint(document, f"has no address: found no Pod with {labels} in its namespace")


def _find_owners(documents: Iterable[Document]) -> Iterator[tuple[Document, Key]]:
    """Yield EndpointSlices and Endpoints, each with the key of its Service; a slice without the label names none."""
    for document in documents:
        if isinstance(document.body, bodies.EndpointSlice):
            labels = document.body.metadata.labels or {}
            yield document, (document.key[0], labels.get(SERVICE_NAME_LABEL, ""))
        elif isinstance(document.body, bodies.Endpoints):
            yield document, document.key


def _place(document: Document) -> str:
    return f"{document.path}:{document.line}"


def _name(document: Document | None) -> tuple[str, ...]:
    return () if document is None else (document.path, str(document))
