"""Who we are at which API server, and one request at a time.

This is the one user of the kubernetes package, which supplies configuration, credentials and transport. It weighs 50
MB, so `kube.api.source` imports what leads here when a source is made and not before.

Source: Kubernetes, "Accessing the Kubernetes API from a Pod", "Organizing Cluster Access Using kubeconfig Files",
"Authenticating" (client-go credential plugins).
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import yaml
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.incluster_config import InClusterConfigLoader
from kubernetes.aio.config.kube_config import KubeConfigLoader

from svcdns.errors import ClusterError
from svcdns.kube.api.config import ApiConfig, Pace

_READ_AHEAD = 2**18
_SOURCES = "'endpoint', 'kubeconfig' or 'manifests'"
_LOGIN_TIME = 60.0
_LEEWAY = 60.0
_LOST_PROBES = 3

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Tells one state of some files from another: inode, time and size of each, None where there is none."""


class Call(NamedTuple):
    """One request.

    Attributes:
        path: The path.
        query: The parameters.
        accept: The media type.
        patience: How many seconds the head of the response may take; None for as long as the limits allow.
        limits: How long what may take.
    """

    path: str
    query: Mapping[str, str]
    accept: str
    patience: float | None
    limits: aiohttp.ClientTimeout


class Session:
    """Connections to the API server under one identity.

    Args:
        client: The client that the account made.
        pace: How long to wait for what.

    Attributes:
        identity: What the API server knows us by; equal where it is the same.
        users: How many requests are under way.
    """

    def __init__(self, client: ApiClient, pace: Pace) -> None:
        self.identity = dict(client.configuration.api_key)
        self.users = 0
        self._client = client
        connector = aiohttp.TCPConnector(
            ssl=client.rest_client.ssl_context, socket_factory=lambda address: make_socket(address, pace), limit=0
        )
        client.rest_client.pool_manager = aiohttp.ClientSession(
            connector=connector,
            trust_env=True,
            read_bufsize=_READ_AHEAD,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_send_once,),
        )
        client.user_agent = f"svcdns/{version('svcdns')}"

    async def get(self, call: Call) -> aiohttp.ClientResponse:
        """Make a request and return the response, whatever its status, with the body still to be read."""
        headers = {"Accept": call.accept, "Accept-Encoding": "identity"}
        request = await self._client.param_serialize(
            "GET", call.path, query_params=[*call.query.items()], header_params=headers, auth_settings=["BearerToken"]
        )
        async with asyncio.timeout(call.patience):
            answer = await self._client.call_api(*request, _request_timeout=call.limits)
        response: aiohttp.ClientResponse = answer.response
        return response

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


async def _send_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request; where the connection breaks off, aiohttp would send it again at once, against all limits."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientConnectionError(str(error)) from error


class Account:
    """Who we are at which API server, by the files as they are now.

    Args:
        config: What the operator wrote.
        wall: Unix time in seconds, for credentials that expire.

    Attributes:
        host: The URL of the API server; empty until a credential plugin has run.
        proxy: The URL of the proxy that the kubeconfig names for it, if any.

    Raises:
        ValueError: It cannot be used.
    """

    def __init__(self, config: ApiConfig, wall: Callable[[], float]) -> None:
        self._config = config
        self._wall = wall
        self._files: tuple[str, ...] = ()
        self._stamp: Stamp = ()
        self._expiry = float("inf")
        self.host = ""
        self.proxy = ""
        try:
            self._check()
        except Exception as error:  # the package raises whatever comes up when a file is not as it expects
            raise ValueError(_explain(error)) from error

    @property
    def changed(self) -> bool:
        """Whether it is time to log in again."""
        return self._stamp != _stamp(self._files) or self._wall() >= self._expiry

    async def log_in(self) -> ApiClient:
        """Return a client with the credentials of this moment.

        Raises:
            ClusterError: The files cannot be used now, or a credential plugin failed.
        """
        files, stamp = self._files, _stamp(self._files)
        try:
            async with asyncio.timeout(_LOGIN_TIME):
                client = await asyncio.to_thread(ApiClient, await self._configure())  # reads authorities for 20 ms
        except Exception as error:  # as above
            raise ClusterError(f"credentials: {_explain(error)}") from error
        self._stamp = stamp if self._files == files else _stamp(self._files)
        return client

    def _check(self) -> None:
        """Raise what is wrong with the files, as far as it shows without running a credential plugin."""
        if self._config.kubeconfig and {"exec", "auth-provider"} & self._read_kubeconfig()[1].keys():
            return
        configuring = self._configure()
        try:
            configuring.send(None)  # there is nothing to wait for
        except StopIteration as done:
            ApiClient(done.value)

    async def _configure(self) -> Configuration:
        """Take what the files say, and mend what the package leaves undone."""
        configuration = Configuration()
        if self._config.kubeconfig:
            files: Sequence[str | Path | None] = await self._take_kubeconfig(configuration)
        elif self._config.endpoint:
            files = self._take_endpoint(configuration)
        else:
            files = self._take_service_account(configuration)
        if token := configuration.api_key.get("BearerToken"):
            configuration.api_key["BearerToken"] = token.strip()
        configuration.disable_strict_ssl_verification = True  # as Go, whose users have such authorities
        self._files = tuple(str(file) for file in files if file)
        self.host, self.proxy = configuration.host, configuration.proxy or ""
        return configuration

    def _take_endpoint(self, configuration: Configuration) -> list[str]:
        config = self._config
        written = config.endpoint.rstrip("/")
        scheme = "https" if config.authority else "http"
        configuration.host = written if "://" in written else f"{scheme}://{written}"
        configuration.ssl_ca_cert = config.authority or None
        configuration.cert_file = config.certificate or None
        configuration.key_file = config.key or None
        return [config.authority, config.certificate, config.key]

    def _take_service_account(self, configuration: Configuration) -> list[str]:
        token, authority = f"{self._config.service_account}/token", f"{self._config.service_account}/ca.crt"
        try:
            InClusterConfigLoader(token, authority, try_refresh_token=False).load_and_set(configuration)
        except ConfigException as error:
            raise ConfigException(f"found no cluster around this process, expected {_SOURCES} ({error})") from error
        return [token, authority]

    async def _take_kubeconfig(self, configuration: Configuration) -> list[str | Path | None]:
        loader, user = self._read_kubeconfig()
        await loader.load_and_set(configuration)
        if "exec" in user and not configuration.api_key and not configuration.cert_file:
            raise ConfigException("the credential plugin of the kubeconfig failed")
        expiry = getattr(loader, "exec_plugin_expiry", None)
        self._expiry = float("inf") if expiry is None else expiry.timestamp() - _LEEWAY
        token = Path(self._config.kubeconfig).parent / user["tokenFile"] if "tokenFile" in user else None
        certificates = [configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file]
        return [self._config.kubeconfig, token, *certificates]

    def _read_kubeconfig(self) -> tuple[KubeConfigLoader, dict[str, Any]]:
        path, context = Path(self._config.kubeconfig), self._config.context
        content = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
        if not isinstance(content, dict):
            raise ConfigException(f"{path}: expected a kubeconfig")
        user = _user_of(content, context or content.get("current-context", ""))
        # The package would renew a token without checking the certificate of whom it sends the secrets to.
        user.get("auth-provider", {}).get("config", {}).pop("refresh-token", None)
        folder = str(path.parent.absolute())
        return KubeConfigLoader(content, active_context=context or None, config_base_path=folder), user


def make_socket(address: tuple[Any, ...], pace: Pace) -> socket.socket:
    """Make a socket, for an address as `getaddrinfo` gives it, that notices when the other end is gone."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    idle, interval = pace.keepalive
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", idle),
        ("TCP_KEEPINTVL", interval),
        ("TCP_KEEPCNT", _LOST_PROBES),
        ("TCP_USER_TIMEOUT", int(pace.dead * 1000)),
    ):
        if hasattr(socket, name):  # systems other than Linux lack some
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _user_of(content: dict[str, Any], context: str) -> dict[str, Any]:
    """Return the user of a context of a kubeconfig, who is put there where the file has none."""
    for entry in content.get("contexts") or ():
        if entry.get("name") == context:
            chosen = entry["context"]
            break
    else:
        raise ConfigException(f"expected the context {context!r} in the kubeconfig")
    for entry in content.get("users") or ():
        if entry.get("name") == chosen.get("user"):
            entry["user"] = entry.get("user") or {}
            user: dict[str, Any] = entry["user"]
            return user
    chosen["user"] = "anonymous"
    content["users"] = [{"name": "anonymous", "user": {}}]
    return {}


def _explain(error: Exception) -> str:
    """Say what is wrong with the files that an account comes from."""
    if isinstance(error, TimeoutError):
        return f"a credential plugin took longer than {_LOGIN_TIME:.0f} s"
    if isinstance(error, ConfigException | OSError | ValueError | yaml.YAMLError):
        return str(error)
    return f"expected a kubeconfig: {error}"


def _stamp(files: tuple[str, ...]) -> Stamp:
    """Tell the state of files."""
    return tuple(_stamp_one(file) for file in files)


def _stamp_one(file: str) -> tuple[int, int, int] | None:
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
