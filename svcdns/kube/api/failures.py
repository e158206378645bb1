"""What an API server's failures mean: one class for each way to go on.

`errors.Expired` means: list again. A plain `errors.ClusterError` is an answer that broke off or makes no sense.

Source: Kubernetes API conventions, "HTTP Status codes".
"""

from svcdns.errors import ClusterError, Expired
from svcdns.kube.decode import Status

_GONE, _UNAUTHORIZED, _TOO_MANY_REQUESTS = 410, 401, 429


class UnreachableError(ClusterError):
    """No response came: the API server, or the way to it, is away."""


class RefusalError(ClusterError):
    """The API server answered with an error.

    Args:
        reason: What it said.
        code: The HTTP status code.
        wait: After how many seconds it wants to be asked again, if it said so.
    """

    def __init__(self, reason: str, code: int, wait: float | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.wait = wait

    @property
    def general(self) -> bool:
        """Whether it speaks of the API server as a whole and not of this request."""
        return self.code in (_UNAUTHORIZED, _TOO_MANY_REQUESTS) or self.code >= 500


def make_failure(status: Status, code: int, wait: float | None = None) -> ClusterError:
    """Return what a failure means.

    Args:
        status: The API server's account of it.
        code: The HTTP status code.
        wait: After how many seconds it wants to be asked again, if it said so.
    """
    reason = f"{code} {status.reason}: {status.message}".strip(": ")
    if code == _GONE or status.reason == "Expired" or "Too large resource version" in status.message:
        return Expired(reason)
    return RefusalError(reason, code, wait)
