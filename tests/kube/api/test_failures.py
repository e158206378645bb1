import pytest

from svcdns.kube.api.failures import LONGEST_WAIT, read_wait

NOW = 1767225600.5
"""Half a second into 2026."""


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("7", 7),
        ("0", 0),
        ("Thu, 01 Jan 2026 00:00:08 GMT", 7.5),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0),
        ("Fri, 02 Jan 2026 00:00:00 GMT", LONGEST_WAIT),
        ("86400", LONGEST_WAIT),
        ("9" * 400, LONGEST_WAIT),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Thu, 01 Jan 99999999999 00:00:08 GMT", None),
    ],
)
def test_a_wish_to_wait_is_a_number_of_seconds_or_a_date(text: str, wait: float | None) -> None:
    assert read_wait(text, NOW) == wait
