"""Who we are at which API server.

A Pod has all that it needs in its environment and two files. Kubeconfigs and credential plugins are the kubernetes
package's affair; it takes longer to import than all of svcdns, so it is imported where a kubeconfig is named.

Source: Kubernetes, "Accessing the Kubernetes API from a Pod", "Organizing Cluster Access Using kubeconfig Files",
"Authenticating" (client-go credential plugins).
"""

import asyncio
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from svcdns.errors import ClusterError, describe_with_file
from svcdns.kube.api.config import ApiConfig
from svcdns.kube.api.proxies import find_proxy

if TYPE_CHECKING:
    from svcdns.kube.api.kubeconfig import Kubeconfig

_ALONE = "found no cluster around this process, expected 'endpoint', 'kubeconfig' or 'manifests'"
_LOGIN_TIME = 60.0

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Tells one state of some files from another: inode, time and size of each, None where there is none."""


class Access(NamedTuple):
    """What it takes to be let in.

    Attributes:
        host: The URL of the API server; empty as long as nothing is known.
        authorization: What requests say of who we are; empty where they say nothing.
        authority: The file of the certificates that the API server's is checked against; empty for the system's.
        certificate: The file of the client certificate, if there is one.
        key: The file of its key.
        checked: Whether the API server's certificate is checked.
        server_name: The name in it, where that is not the host's.
        proxy: The URL of the proxy that stands before it, if any.
        expiry: From when on to log in again, in Unix time.
        files: All files that this was read from.
    """

    host: str = ""
    authorization: str = ""
    authority: str = ""
    certificate: str = ""
    key: str = ""
    checked: bool = True
    server_name: str = ""
    proxy: str = ""
    expiry: float = float("inf")
    files: tuple[str, ...] = ()

    def make_context(self) -> ssl.SSLContext:
        """Return what connections are secured with.

        Raises:
            OSError: A file cannot be read, or holds no certificate or key.
        """
        with _naming(self.authority):
            context = ssl.create_default_context(cafile=self.authority or None)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as Go, whose users have such authorities
        if self.certificate:
            with _naming(self.certificate, self.key):
                context.load_cert_chain(self.certificate, self.key or None)
        if not self.checked:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Account:
    """Who we are at which API server, by the files as they are now.

    Args:
        config: What the operator wrote.
        wall: Unix time in seconds, for credentials that expire.

    Attributes:
        access: What was read last; nothing until a credential plugin has run.

    Raises:
        ValueError: It cannot be used.
    """

    def __init__(self, config: ApiConfig, wall: Callable[[], float]) -> None:
        self._config = config
        self._wall = wall
        self._stamp: Stamp = ()
        self.access = Access()
        try:
            self._check()
        except OSError as error:
            raise ValueError(describe_with_file(error)) from error

    @property
    def changed(self) -> bool:
        """Whether it is time to log in again."""
        return self._stamp != _stamp(self.access.files) or self._wall() >= self.access.expiry

    async def log_in(self) -> ssl.SSLContext:
        """Read everything anew and return what connections are secured with.

        Raises:
            ClusterError: The files cannot be used now, or a credential plugin failed.
        """
        files, stamp = self.access.files, _stamp(self.access.files)
        try:
            async with asyncio.timeout(_LOGIN_TIME):
                access = await self._read()
                context = await asyncio.to_thread(access.make_context)  # reads authorities for 20 ms
        except TimeoutError as error:
            raise ClusterError(f"credentials: a credential plugin took longer than {_LOGIN_TIME:.0f} s") from error
        except OSError as error:
            raise ClusterError(f"credentials: {describe_with_file(error)}") from error
        except ValueError as error:
            raise ClusterError(f"credentials: {error}") from error
        self.access = access
        self._stamp = stamp if access.files == files else _stamp(access.files)
        return context

    def _check(self) -> None:
        """Raise what is wrong with the files, as far as it shows without running a credential plugin."""
        if self._config.kubeconfig and _kubeconfig(self._config).plugged:
            return
        reading = self._read()
        try:
            reading.send(None)  # there is nothing to wait for
        except StopIteration as done:
            self.access = done.value
            self.access.make_context()

    async def _read(self) -> Access:
        if self._config.kubeconfig:
            access = await _kubeconfig(self._config).read()
        elif self._config.endpoint:
            access = _read_endpoint(self._config)
        else:
            access = _read_service_account(self._config)
        return access if access.proxy else access._replace(proxy=find_proxy(access.host, os.environ))


def _kubeconfig(config: ApiConfig) -> "Kubeconfig":
    from svcdns.kube.api.kubeconfig import Kubeconfig  # noqa: PLC0415 - takes 0.15 s and 20 MB, which others save

    return Kubeconfig(config.kubeconfig, config.context)


def _read_endpoint(config: ApiConfig) -> Access:
    written = config.endpoint.rstrip("/")
    scheme = "https" if config.authority else "http"
    return Access(
        host=written if "://" in written else f"{scheme}://{written}",
        authority=config.authority,
        certificate=config.certificate,
        key=config.key,
        files=tuple(filter(None, (config.authority, config.certificate, config.key))),
    )


def _read_service_account(config: ApiConfig) -> Access:
    token, authority = f"{config.service_account}/token", f"{config.service_account}/ca.crt"
    host, port = (_look_up(name) for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"))
    try:
        secret = Path(token).read_text(encoding="utf-8").strip()
        Path(authority).stat()
    except OSError as error:
        raise ValueError(f"{_ALONE} ({describe_with_file(error)})") from error
    if not secret:
        raise ValueError(f"{token}: found nothing, expected a token")
    return Access(
        host=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        authorization=f"Bearer {secret}",
        authority=authority,
        files=(token, authority),
    )


def _look_up(name: str) -> str:
    """Return a variable of the environment that all Pods have."""
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"{_ALONE} ({name} is not set)")
    return value


@contextmanager
def _naming(*files: str) -> Iterator[None]:
    """Say of an error which files it is about, which OpenSSL does not."""
    try:
        yield
    except OSError as error:
        error.filename = ", ".join(filter(None, files))
        raise


def _stamp(files: tuple[str, ...]) -> Stamp:
    """Tell the state of files."""
    return tuple(_stamp_one(file) for file in files)


def _stamp_one(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
