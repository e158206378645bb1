"""What an API server's failures mean: one class for each way to go on.

`errors.Expired` means: list again. A plain `errors.ClusterError` is an answer that broke off or makes no sense.

Source: Kubernetes API conventions, "HTTP Status codes"; RFC 9110 section 10.2.3 (Retry-After).
"""

from email.utils import parsedate_to_datetime

from svcdns.errors import ClusterError, Expired
from svcdns.kube.decode import Status

LONGEST_WAIT = 300.0
"""How many seconds we wait at most because we were asked to: a slip of a proxy must not cut us off for a day."""

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


def read_wait(text: str, now: float) -> float | None:
    """Return the seconds to wait that a Retry-After asks for, `LONGEST_WAIT` at most; None where it says nothing.

    Args:
        text: The header's value, a number of seconds or a date.
        now: Unix time in seconds.
    """
    if text.isascii() and text.isdecimal():
        return min(float(text), LONGEST_WAIT)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now), LONGEST_WAIT)
    except (ValueError, OverflowError):
        return None
