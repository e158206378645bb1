"""What a kubeconfig says of who we are.

This is the one user of the kubernetes package.

Source: Kubernetes, "Organizing Cluster Access Using kubeconfig Files", "Authenticating" (client-go credential plugins).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException
from kubernetes.aio.config.kube_config import KubeConfigLoader

from svcdns.kube.api.account import Access

_LEEWAY = 60.0


class Kubeconfig:
    """A kubeconfig as it is now.

    Args:
        path: The file.
        context: The context in it; empty for its current one.

    Attributes:
        plugged: Whether a credential plugin says who we are.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no kubeconfig, or has no such context.
    """

    def __init__(self, path: str, context: str) -> None:
        self._path = Path(path)
        with _explaining():
            content = yaml.load(self._path.read_bytes(), Loader=yaml.CSafeLoader)
            if not isinstance(content, dict):
                raise ConfigException(f"{path}: expected a kubeconfig")
            self._user = _user_of(content, context or content.get("current-context", ""))
            self.plugged = bool({"exec", "auth-provider"} & self._user.keys())
            # The package would renew a token without checking the certificate of whom it sends the secrets to.
            self._user.get("auth-provider", {}).get("config", {}).pop("refresh-token", None)
            folder = str(self._path.parent.absolute())
            self._loader = KubeConfigLoader(content, active_context=context or None, config_base_path=folder)

    async def read(self) -> Access:
        """Return what it says, with what a credential plugin says.

        Raises:
            OSError: A file that it names cannot be read.
            ValueError: It cannot be used, or the plugin failed.
        """
        found = Configuration()
        with _explaining():
            await self._loader.load_and_set(found)
            if not found.host.startswith(("http://", "https://")):
                complaint = f"found the server '{found.host}', expected a URL such as https://10.0.0.1:6443"
                raise ConfigException(f"{self._path}: {complaint}")
            if "exec" in self._user and not found.api_key and not found.cert_file:
                raise ConfigException("the credential plugin of the kubeconfig failed")
            expiry = getattr(self._loader, "exec_plugin_expiry", None)
            token = self._path.parent / self._user["tokenFile"] if "tokenFile" in self._user else None
            files = [self._path, token, found.ssl_ca_cert, found.cert_file, found.key_file]
            return Access(
                host=found.host,
                authorization=found.api_key.get("BearerToken", "").strip(),
                authority=found.ssl_ca_cert or "",
                certificate=found.cert_file or "",
                key=found.key_file or "",
                checked=found.verify_ssl,
                server_name=found.tls_server_name or "",
                proxy=found.proxy or "",
                expiry=float("inf") if expiry is None else expiry.timestamp() - _LEEWAY,
                files=tuple(str(file) for file in files if file),
            )


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


@contextmanager
def _explaining() -> Iterator[None]:
    """Say what is wrong with the file: the package raises whatever comes up when it is not as it expects."""
    try:
        yield
    except (OSError, ValueError):
        raise
    except (ConfigException, yaml.YAMLError) as error:
        raise ValueError(str(error)) from error
    except Exception as error:
        raise ValueError(f"expected a kubeconfig: {error}") from error
