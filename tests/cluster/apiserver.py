"""A real kube-apiserver over a real etcd on loopback, for tests and benchmarks.

No controllers run, so nobody makes EndpointSlices, gives Services' Pods addresses or finishes the deletion of a
Namespace: tests create what they need.
"""

import asyncio
import json
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests import programs
from tests.ports import free_port

TOKEN = "admin-token"
SERVICE_RANGE = "10.96.0.0/16,fd00:10:96::/112"

PATHS = {
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}

Object = dict[str, Any]

_START_TIME = 60


class ApiServer:
    """A kube-apiserver and its etcd.

    Args:
        folder: Where keys, data and logs go.

    Attributes:
        folder: See above.
        port: The API server's port on 127.0.0.1; it keeps it across restarts.
        url: Where it is asked.
        certificate: The file of its serving certificate, which is its own CA.
        admin: The files of an administrator's client certificate, which is its own CA, and of its key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.certificate = folder / "certificates" / "apiserver.crt"
        self.admin = folder / "admin.crt", folder / "admin.key"
        self._etcd_port = free_port()
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start both programs and wait until the API server is ready."""
        key = self.folder / "sa.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        certificate, secret = map(str, self.admin)
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        who = ["-subj", "/O=system:masters/CN=admin"]
        subprocess.run(
            ["openssl", "req", "-x509", *curve, *who, "-keyout", secret, "-out", certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
        self.start_etcd()
        self.start_server()

    def stop(self) -> None:
        """End both programs."""
        self.kill_server()
        _end(self._etcd)

    def start_etcd(self) -> None:
        """Start etcd over the data that there are."""
        url = f"http://127.0.0.1:{self._etcd_port}"
        self._etcd = self._spawn(
            "etcd",
            "--data-dir", str(self.folder / "etcd"),
            "--unsafe-no-fsync",
            "--listen-client-urls", url,
            "--advertise-client-urls", url,
            "--listen-peer-urls", f"http://127.0.0.1:{free_port()}",
        )  # fmt: skip

    def start_server(self) -> None:
        """Start the API server, anew after `kill_server`, and wait until it is ready."""
        key = str(self.folder / "sa.key")
        self._server = self._spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            f"--client-ca-file={self.admin[0]}",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        )
        deadline = time.monotonic() + _START_TIME
        while not self._is_ready():
            log = self.folder / "kube-apiserver.log"
            assert self._server.poll() is None, f"the API server ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"the API server is not ready after {_START_TIME} s; see {log}"
            time.sleep(0.1)

    def kill_server(self) -> None:
        """End the API server at once, its connections with it."""
        _end(self._server, signal.SIGKILL)
        self._server = None

    def pause_server(self) -> None:
        """Have the API server go on holding its connections without a word."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def resume_server(self) -> None:
        """Undo `pause_server`."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def compact(self) -> None:
        """Have etcd forget its history, so that older resource versions are gone (410)."""
        command = [str(programs.path("etcdctl")), f"--endpoints=http://127.0.0.1:{self._etcd_port}"]
        status = subprocess.run(
            [*command, "endpoint", "status", "-w", "json"], check=True, capture_output=True, text=True
        )
        revision = json.loads(status.stdout)[0]["Status"]["header"]["revision"]
        subprocess.run([*command, "compact", str(revision)], check=True, capture_output=True)

    def write_kubeconfig(self, url: str | None = None, token: str = TOKEN) -> Path:
        """Write a kubeconfig with administrator's rights and return its path.

        Args:
            url: Where to reach the server, if not at `url`: through a proxy, say.
            token: The token.
        """
        path = self.folder / "kubeconfig"
        cluster = {"server": url or self.url, "certificate-authority": str(self.certificate)}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                    "clusters": [{"name": "test", "cluster": cluster}],
                    "users": [{"name": "admin", "user": {"token": token}}],
                }
            )
        )
        return path

    def trust(self) -> ssl.SSLContext:
        """Return a context that trusts the server's certificate."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        return context

    def _is_ready(self) -> bool:
        if not self.certificate.exists():
            return False
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.urlopen(request, context=self.trust(), timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def _spawn(self, name: str, *flags: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen([str(programs.path(name)), *flags], stdout=log, stderr=log)


class Client:
    """Makes requests of an API server as its administrator."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def create(self, obj: Object) -> Object:
        """Create an object and return it as it is now."""
        return await self.ask("POST", _collection(obj), obj)

    async def apply(self, obj: Object) -> Object:
        """Create an object, or change it to what is written here."""
        path = f"{_path(obj)}?fieldManager=test&force=true"
        return await self.ask("PATCH", path, obj, content_type="application/apply-patch+yaml")

    async def patch(self, obj: Object, change: Object, subresource: str = "") -> Object:
        """Merge *change* into an object."""
        path = _path(obj) + (f"/{subresource}" if subresource else "")
        return await self.ask("PATCH", path, change, content_type="application/merge-patch+json")

    async def delete(self, obj: Object) -> None:
        """Delete an object."""
        await self.ask("DELETE", _path(obj))

    async def ask(
        self, method: str, path: str, body: Object | None = None, content_type: str = "application/json"
    ) -> Object:
        """Make a request and return its answer.

        Raises:
            aiohttp.ClientResponseError: The server refuses it; the message is the server's.
        """
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        async with self._session.request(method, self._url + path, data=data, headers=headers) as response:
            answer: Object = await response.json()
            if response.status >= 400:
                raise aiohttp.ClientResponseError(
                    response.request_info, (), status=response.status, message=str(answer.get("message"))
                )
            return answer


@asynccontextmanager
async def client_of(server: ApiServer) -> AsyncIterator[Client]:
    """Open a client for as long as the block lasts."""
    connector = aiohttp.TCPConnector(ssl=server.trust())
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(session, server.url)
    for _ in range(3):
        await asyncio.sleep(0)  # connections that were aborted close in the loop's next turns


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run an API server until the block ends."""
    server = ApiServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def service(name: str, namespace: str = "default", **spec: Any) -> Object:
    """Make a Service; without more it has a cluster IP and the port ``http`` 80."""
    body = {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]} | spec
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": body,
    }


def endpoint_slice(
    name: str, service: str, *addresses: str, namespace: str = "default", port: int = 8080, **more: Any
) -> Object:
    """Make a slice of ready endpoints of a Service, with the port ``http``."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv6" if any(":" in address for address in addresses) else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    } | more


def namespace(name: str) -> Object:
    """Make a Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _collection(obj: Object) -> str:
    return PATHS[obj["kind"]].format(namespace=obj["metadata"].get("namespace", "default"))


def _path(obj: Object) -> str:
    return f"{_collection(obj)}/{obj['metadata']['name']}"


def _end(process: subprocess.Popen[bytes] | None, number: signal.Signals = signal.SIGTERM) -> None:
    if process is None:
        return
    process.send_signal(signal.SIGCONT)
    process.send_signal(number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
