"""Where a directive's objects come from, as resources that outlive a reload."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from svcdns.chain import Environment, Resource, Tell
from svcdns.corefile import Directive
from svcdns.errors import describe
from svcdns.kube.api.config import ApiConfig
from svcdns.kube.api.source import ApiSource
from svcdns.kube.cluster import Change, Cluster
from svcdns.kube.objects import Kind
from svcdns.plugins.kubernetes.config import Folders, Settings

log = logging.getLogger(__name__)


class Source(Resource):
    """A cluster, and what keeps it current.

    Args:
        cluster: The cluster.
        follow: Keeps it current until cancelled; None where another process does.
        faults: Returns what keeps kinds from being current.
    """

    def __init__(
        self,
        cluster: Cluster,
        follow: Callable[[], Coroutine[Any, Any, None]] | None = None,
        faults: Callable[[], Mapping[Kind, str]] = dict,
    ) -> None:
        self.cluster = cluster
        self.faults = faults
        self._follow = follow

    async def run(self) -> None:
        """Keep the cluster current until cancelled."""
        if self._follow is not None:
            await self._follow()

    def inherit(self) -> "Source":
        """Return the cluster without what keeps it current."""
        self.publish(lambda _: None)
        return Source(self.cluster)

    def publish(self, tell: Tell) -> None:
        """Have *tell* called with each change of the cluster."""
        self.cluster.tell = tell

    def learn(self, change: object) -> None:
        """Take in a change of the cluster."""
        assert isinstance(change, Change)  # noqa: S101 - that is what `publish` tells
        self.cluster.learn(change)


def open_source(directive: Directive, settings: Settings, environment: Environment) -> Source:
    """Return the source that *settings* name: the one in use, where an earlier Corefile asked for the same.

    Raises:
        ConfigError: Manifests cannot be read, or it is not to be found out where the API server is.
    """

    def make() -> Source:
        cluster = Cluster(settings.kinds, environment.wall)
        if isinstance(settings.source, Folders):
            return _open_folders(settings.source, settings, cluster)
        try:
            return _open_api(settings.source, cluster, environment)
        except ValueError as error:
            raise directive.error(str(error)) from error

    return environment.keep(("kubernetes", *settings.of_source), make)


def _open_folders(folders: Folders, settings: Settings, cluster: Cluster) -> Source:
    """Read manifests, which must be right at the start."""
    from svcdns.kube.manifests.controlplane import Options  # noqa: PLC0415 - takes 0.02 s, which a Pod saves
    from svcdns.kube.manifests.source import Manifests  # noqa: PLC0415 - as above

    options = Options(
        settings.labels.selector,
        settings.namespace_labels.selector,
        folders.service_cidr,
        folders.pod_cidr,
        folders.loopback,
    )
    manifests = Manifests(folders.paths, options, settings.kinds, cluster, log.log)
    try:
        manifests.load()
    except OSError as error:
        option = settings.written[Path(error.filename)]
        raise option.error(f"found '{error.filename}', expected a file or folder: {describe(error)}") from None
    found = (
        _count(len(cluster.services), "Service"),
        _count(len(cluster.namespaces), "namespace"),
        _count(manifests.files, "file"),
    )
    log.info("%s: %s", ", ".join(map(str, folders.paths)), " in ".join(found))
    return Source(cluster, manifests.run)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _open_api(config: ApiConfig, cluster: Cluster, environment: Environment) -> Source:
    source = ApiSource(config, cluster, environment.metrics, clock=environment.clock, wall=environment.wall)
    return Source(cluster, source.run, lambda: source.faults)
