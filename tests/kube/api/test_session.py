import asyncio
import gc
import json
import re
import socket
import ssl
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from svcdns.errors import ClusterError
from svcdns.kube.api.account import Account
from svcdns.kube.api.config import ApiConfig, Pace
from svcdns.kube.api.session import make_socket
from svcdns.kube.api.source import ApiSource
from svcdns.kube.cluster import Cluster
from svcdns.kube.objects import Kind
from svcdns.metrics import Metrics
from tests.kube.api.fake_api import FakeApi, Fault, refuse_with, reset_at_once, say_nothing, service, stall, well
from tests.kube.api.following import Following, following, until

KINDS = (Kind.SERVICE,)


class Tls:
    """A certificate authority, and what it issued for server and client."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert("127.0.0.1").configure_cert(self.server)

    @property
    def pem(self) -> bytes:
        return self.ca.cert_pem.bytes()

    def demand_certificates(self) -> None:
        """Take only clients with a certificate of this authority."""
        self.server.verify_mode = ssl.CERT_REQUIRED
        self.server.load_verify_locations(cadata=self.pem.decode())

    def issue(self, certificate: Path, key: Path) -> None:
        """Write a client certificate and its key."""
        issued = self.ca.issue_cert("svcdns@example.org")
        key.write_bytes(issued.private_key_pem.bytes())
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))


@pytest.fixture(scope="module")
def tls() -> Tls:
    return Tls()


@pytest.fixture
async def api(tls: Tls) -> AsyncIterator[FakeApi]:
    async with FakeApi(tls.server) as running:
        running.put("services", service("web"))
        yield running


@pytest.fixture
def account(tmp_path: Path, tls: Tls, monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> Path:
    """Return the folder that a Pod has, with a token and an authority."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.port))
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("first\n")
    (folder / "ca.crt").write_bytes(tls.pem)
    return folder


def make_source(**written: Any) -> ApiSource:
    return ApiSource(ApiConfig(KINDS, **written), Cluster(KINDS, lambda: 1.0), Metrics())


def write_kubeconfig(path: Path, server: str, cluster: dict[str, Any] | None = None, **user: Any) -> str:
    """Write a kubeconfig of two contexts, of which the current one leads nowhere."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "other",
        "contexts": [
            {"name": "other", "context": {"cluster": "other", "user": "me"}},
            {"name": "this", "context": {"cluster": "this", "user": "me"}},
        ],
        "clusters": [
            {"name": "other", "cluster": {"server": "https://127.0.0.1:1"}},
            {"name": "this", "cluster": {"server": server, **(cluster or {})}},
        ],
        "users": [{"name": "me", "user": user}],
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


def rewrite(path: str, **changes: Any) -> None:
    """Change some of a kubeconfig."""
    content = yaml.safe_load(Path(path).read_text())
    Path(path).write_text(yaml.safe_dump(content | changes))


async def synced(follows: Following) -> None:
    await until(lambda: follows.names() == {"web"})


# In the cluster


async def test_a_pod_has_address_authority_and_token_around_it(api: FakeApi, account: Path) -> None:
    api.tokens = {"first"}
    async with following("", *KINDS, service_account=str(account)) as follows:
        await synced(follows)
        assert {each.headers["authorization"].lower() for each in api.seen} == {"bearer first"}


def test_the_cluster_around_a_pod_may_have_an_ipv6_address(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00:10:96::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    config = ApiConfig(KINDS, service_account=str(account))
    assert Account(config, lambda: 1.0).access.host == "https://[fd00:10:96::1]:443"


async def test_a_new_token_is_used_for_the_next_request(api: FakeApi, account: Path) -> None:
    async with following("", *KINDS, service_account=str(account)) as follows:
        await synced(follows)
        api.tokens = {"second"}
        (account / "token").write_text("second")
        api.put("services", service("db"))
        api.cut()
        await until(lambda: "db" in follows.names())
        assert [each.headers["authorization"].lower() for each in api.seen] == ["bearer first", "bearer second"]


async def test_an_old_token_is_tried_until_there_is_a_new_one(api: FakeApi, account: Path) -> None:
    api.tokens = {"second"}
    async with following("", *KINDS, service_account=str(account)) as follows:
        await until(lambda: "401 Unauthorized" in follows.source.faults.get(Kind.SERVICE, ""))
        (account / "token").write_text("second")
        await synced(follows)


async def test_a_token_that_cannot_be_read_leaves_the_old_one(api: FakeApi, account: Path) -> None:
    async with following("", *KINDS, service_account=str(account)) as follows:
        await synced(follows)
        (account / "token").unlink()
        api.put("services", service("db"))
        api.cut()
        await until(lambda: "db" in follows.names())
        assert {each.headers["authorization"].lower() for each in api.seen} == {"bearer first"}


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "token", "ca.crt"])
def test_without_a_cluster_around_there_is_no_source(
    missing: str, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing.isupper():
        monkeypatch.delenv(missing)
    else:
        (account / missing).unlink()
    with pytest.raises(ValueError, match=missing):
        make_source(service_account=str(account))


def test_the_kubernetes_package_is_imported_for_kubeconfigs_alone(account: Path) -> None:
    code = f"""
import sys
from svcdns.kube.api.account import Account
from svcdns.kube.api.config import ApiConfig
Account(ApiConfig((), service_account={str(account)!r}), lambda: 1.0)
sys.exit("kubernetes" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_token_without_a_letter_is_refused(account: Path) -> None:
    (account / "token").write_text("\n")
    with pytest.raises(ValueError, match="expected a token"):
        make_source(service_account=str(account))


@pytest.mark.parametrize("content", ["no certificate", ""])
def test_an_authority_that_is_none_is_refused(content: str, account: Path) -> None:
    (account / "ca.crt").write_text(content)
    with pytest.raises(ValueError, match=r"ca\.crt: .*certificate"):
        make_source(service_account=str(account))


# An endpoint


async def test_an_endpoint_is_asked_with_a_client_certificate_and_with_the_next_one(tmp_path: Path) -> None:
    tls, next_tls = Tls(), Tls()
    tls.demand_certificates()
    authority, certificate, key = tmp_path / "ca.crt", tmp_path / "tls.crt", tmp_path / "tls.key"
    authority.write_bytes(tls.pem + next_tls.pem)
    tls.issue(certificate, key)
    written: dict[str, Any] = {"authority": str(authority), "certificate": str(certificate), "key": str(key)}
    async with FakeApi(tls.server) as api:
        api.put("services", service("web"))
        async with following(api, *KINDS, **written) as follows:
            await synced(follows)
            await api.stop()
            next_tls.demand_certificates()
            api.tls = next_tls.server
            await api.start()
            await until(lambda: follows.source.faults)
            next_tls.issue(certificate, key)
            api.put("services", service("db"))
            await until(lambda: "db" in follows.names())


def test_an_endpoint_without_a_scheme_is_asked_plainly_unless_there_is_an_authority(tls: Tls, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(tls.pem)
    for authority, url in (("", "http://api:8080"), (str(tmp_path / "ca.crt"), "https://api:8080")):
        config = ApiConfig(KINDS, endpoint="api:8080/", authority=authority)
        assert Account(config, lambda: 1.0).access.host == url


@pytest.mark.parametrize("missing", ["authority", "certificate"])
def test_files_of_an_endpoint_that_cannot_be_read_are_refused(missing: str) -> None:
    with pytest.raises(ValueError, match="/no/such/file: No such file"):
        make_source(endpoint="https://127.0.0.1:1", **{missing: "/no/such/file"})


def test_a_key_of_another_certificate_is_refused(tls: Tls, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.crt", "one.key", "other.crt", "other.key")]
    tls.issue(*files[:2])
    tls.issue(*files[2:])
    with pytest.raises(ValueError, match=r"one\.crt, .*other\.key: .*mismatch"):
        make_source(endpoint="https://127.0.0.1:1", certificate=str(files[0]), key=str(files[3]))


# A kubeconfig


async def test_a_kubeconfig_has_relative_files_and_inline_ones(api: FakeApi, tls: Tls, tmp_path: Path) -> None:
    api.tokens = {"secret"}
    (tmp_path / "ca.crt").write_bytes(tls.pem)
    path = write_kubeconfig(tmp_path / "config", api.url, {"certificate-authority": "ca.crt"}, token="secret")
    async with following("", *KINDS, kubeconfig=path, context="this") as follows:
        await synced(follows)


async def test_a_token_file_of_a_kubeconfig_is_read_again(api: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first")
    cluster = {"insecure-skip-tls-verify": True}
    path = write_kubeconfig(tmp_path / "config", api.url, cluster, tokenFile="token")
    async with following("", *KINDS, kubeconfig=path, context="this") as follows:
        await synced(follows)
        (tmp_path / "token").write_text("second\n")
        api.tokens = {"second"}
        api.put("services", service("db"))
        api.cut()
        await until(lambda: "db" in follows.names())


async def test_a_kubeconfig_without_a_user_asks_as_nobody(api: FakeApi, tls: Tls, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(tls.pem)
    path = write_kubeconfig(tmp_path / "config", api.url, {"certificate-authority": "ca.crt"})
    rewrite(path, users=[], contexts=[{"name": "this", "context": {"cluster": "this"}}])
    async with following("", *KINDS, kubeconfig=path, context="this") as follows:
        await synced(follows)
        assert all("authorization" not in each.headers for each in api.seen)


@pytest.mark.parametrize("form", ["files", "data", "plugin"])
async def test_a_user_may_have_a_certificate(tmp_path: Path, form: str) -> None:
    tls = Tls()
    tls.demand_certificates()
    certificate, key = tmp_path / "me.crt", tmp_path / "me.key"
    tls.issue(certificate, key)
    user: dict[str, Any] = {"client-certificate": certificate.name, "client-key": key.name}
    if form == "data":
        user = {f"{name}-data": b64encode((tmp_path / file).read_bytes()).decode() for name, file in user.items()}
    elif form == "plugin":
        status = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}
        credential = {"apiVersion": "v1", "kind": "ExecCredential", "status": status}
        user = {"exec": {"apiVersion": "v1", "command": "echo", "args": [json.dumps(credential)]}}
    cluster = {"certificate-authority-data": b64encode(tls.pem).decode()}
    async with FakeApi(tls.server) as api:
        api.put("services", service("web"))
        path = write_kubeconfig(tmp_path / "config", api.url, cluster, **user)
        async with following("", *KINDS, kubeconfig=path, context="this") as follows:
            await synced(follows)


async def test_a_server_may_have_another_name_in_its_certificate(tmp_path: Path) -> None:
    ca = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("api.example").configure_cert(context)
    cluster = {
        "certificate-authority-data": b64encode(ca.cert_pem.bytes()).decode(),
        "tls-server-name": "api.example",
    }
    async with FakeApi(context) as api:
        api.put("services", service("web"))
        path = write_kubeconfig(tmp_path / "config", api.url, cluster)
        async with following("", *KINDS, kubeconfig=path, context="this") as follows:
            await synced(follows)


async def test_a_server_may_be_behind_a_proxy(tmp_path: Path) -> None:
    async with FakeApi() as api:
        api.put("services", service("web"))
        path = write_kubeconfig(tmp_path / "config", "http://api.invalid", {"proxy-url": api.url})
        async with following("", *KINDS, kubeconfig=path, context="this") as follows:
            await synced(follows)
            api.always = refuse_with(503)
            api.cut()
            await until(lambda: "503" in follows.source.faults.get(Kind.SERVICE, ""))
            api.always = well
            api.put("services", service("db"))
            await until(lambda: "db" in follows.names())


async def test_a_server_may_be_behind_a_proxy_that_the_environment_names(
    api: FakeApi, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeApi() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//me:secret@"))
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # which the other API server is not asked through
        proxy.put("services", service("web"))
        async with following("", *KINDS, endpoint="http://api.invalid") as follows:
            await synced(follows)
        assert {each.headers["proxy-authorization"] for each in proxy.seen} == {"Basic bWU6c2VjcmV0"}
        async with following("", *KINDS, service_account=str(account)) as follows:
            await synced(follows)


async def test_a_password_for_another_purpose_is_not_sent(
    api: FakeApi, account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    api.tokens = {"first"}
    async with following("", *KINDS, service_account=str(account)) as follows:
        await synced(follows)


async def test_a_credential_plugin_is_run_again_when_its_token_is_refused(api: FakeApi, tmp_path: Path) -> None:
    credential = tmp_path / "credential.json"

    def issue(token: str) -> None:
        status = {"token": token}
        version = "client.authentication.k8s.io/v1"
        credential.write_text(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status}))

    code = f"print(open({str(credential)!r}).read())"
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": ["-c", code]}
    path = write_kubeconfig(tmp_path / "config", api.url, {"insecure-skip-tls-verify": True}, exec=plugin)
    api.tokens = {"second"}
    issue("first")
    async with following("", *KINDS, kubeconfig=path, context="this") as follows:
        await until(lambda: "401" in follows.source.faults.get(Kind.SERVICE, ""))
        issue("second")
        await synced(follows)


async def test_a_credential_plugin_that_fails_makes_no_request_as_nobody(api: FakeApi, tmp_path: Path) -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}
    path = write_kubeconfig(tmp_path / "config", api.url, {"insecure-skip-tls-verify": True}, exec=plugin)
    async with following("", *KINDS, kubeconfig=path, context="this") as follows:
        await until(lambda: "credential plugin" in follows.source.faults.get(Kind.SERVICE, ""))
        assert api.seen == []


async def test_credentials_that_expire_are_fetched_in_time(tmp_path: Path) -> None:
    status = {"token": "t", "expirationTimestamp": "2026-01-01T00:10:00Z"}
    credential = {"apiVersion": "v1", "kind": "ExecCredential", "status": status}
    plugin = {"apiVersion": "v1", "command": "echo", "args": [json.dumps(credential)]}
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", {"insecure-skip-tls-verify": True}, exec=plugin)
    now = 1767225600.0
    account = Account(ApiConfig(KINDS, kubeconfig=path, context="this"), lambda: now)
    await account.log_in()
    assert not account.changed
    now += 560
    assert account.changed


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        ("", "expected a kubeconfig"),
        ("- a", "expected a kubeconfig"),
        ("{", "expected"),
        ("current-context: x", "'x'"),
        ("{current-context: x, contexts: [{name: x, context: {cluster: y}}], clusters: []}", "y"),
        ("{current-context: x, contexts: [{name: x}]}", "context"),
        ("{contexts: 3, current-context: x}", "expected a kubeconfig"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None, complaint: str) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=complaint):
        make_source(kubeconfig=str(path))


@pytest.mark.parametrize("server", ["", "10.0.0.1:6443", "api"])
def test_a_kubeconfig_whose_server_is_no_url_is_refused(tmp_path: Path, server: str) -> None:
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", {"server": server})
    with pytest.raises(ValueError, match="expected a URL such as"):
        make_source(kubeconfig=path, context="this")


def test_a_context_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1")
    with pytest.raises(ValueError, match="'nowhere'"):
        make_source(kubeconfig=path, context="nowhere")


async def test_a_kubeconfig_that_becomes_unusable_is_an_error_of_the_cluster(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", token="t")
    account = Account(ApiConfig(KINDS, kubeconfig=path), lambda: 1.0)
    rewrite(path, contexts=[])
    with pytest.raises(ClusterError, match="credentials: "):
        await account.log_in()


def test_a_kubeconfig_that_is_gone_is_an_error_of_the_cluster(tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", token="t")
    account = Account(ApiConfig(KINDS, kubeconfig=path), lambda: 1.0)
    Path(path).unlink()
    with pytest.raises(ClusterError, match=f"^credentials: {re.escape(path)}: No such file or directory$"):
        asyncio.run(account.log_in())


# Connections


@pytest.mark.parametrize("fault", [well, say_nothing, stall, reset_at_once, refuse_with(503), refuse_with(401)])
@pytest.mark.parametrize("secure", [True, False])
async def test_nothing_is_left_open(fault: Fault, tls: Tls, tmp_path: Path, *, secure: bool) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_bytes(tls.pem)
    async with FakeApi(tls.server if secure else None) as api:
        api.put("services", service("web"))
        quick: dict[str, Any] = {"answer": 0.05, "silence": 0.05, "list_silence": 0.05, "check": 0.1}
        async with following(api, *KINDS, quickly=quick, authority=str(authority) if secure else "") as follows:
            await synced(follows)
            api.always = fault
            api.cut()
            authority.touch()  # so that the next request is made by another session
            asked = len(api.seen)
            await until(lambda: len(api.seen) > asked + (0 if fault is well else 3))
        await until(lambda: not api.connected)
        gc.collect()  # what is still open is an error now: a ResourceWarning


# Sockets


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other options")
def test_sockets_notice_within_twenty_seconds_that_the_other_end_is_gone() -> None:
    address = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))
    with make_socket(address, Pace()) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count = (
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + interval * count < 20
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) < 20_000
