"""What all questions to upstreams share."""

import resource
import time

import pytest

from svcdns.net.poller import MOST_QUESTIONS, Poller
from svcdns.tasks import Tasks


@pytest.mark.parametrize(
    ("files", "limit"),
    [(1024, 512), (2 * MOST_QUESTIONS + 2, MOST_QUESTIONS), (resource.RLIM_INFINITY, MOST_QUESTIONS)],
)
def test_a_half_of_the_open_files_is_for_questions(monkeypatch: pytest.MonkeyPatch, files: int, limit: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert Poller(time.monotonic, Tasks().spawn).limit == limit
