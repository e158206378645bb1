"""Tables of cases whose ids begin with the rule that they prove."""

from collections.abc import Sequence
from typing import Any

import pytest

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


def cases(names: str, rows: Sequence[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Run a test with each row: what it proves, then the values of *names*."""
    return pytest.mark.parametrize(names.split(), [pytest.param(*row[1:], id=row[0]) for row in rows])
