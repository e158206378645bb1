from svcdns.kube.api.throttle import DEFAULT_BURST, TokenBucket


def test_without_a_rate_nothing_waits() -> None:
    bucket = TokenBucket(0, 0, lambda: 5.0)
    assert [bucket.reserve() for _ in range(1000)] == [0.0] * 1000


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    bucket = TokenBucket(4, 3, lambda: 100.0)
    assert [bucket.reserve() for _ in range(6)] == [0.0, 0.0, 0.0, 0.25, 0.5, 0.75]


def test_a_quiet_time_earns_no_more_than_the_burst() -> None:
    now = 100.0
    bucket = TokenBucket(4, 2, lambda: now)
    for _ in range(2):
        bucket.reserve()
    now = 900.0
    assert [bucket.reserve() for _ in range(3)] == [0.0, 0.0, 0.25]


def test_a_rate_alone_has_the_default_burst() -> None:
    bucket = TokenBucket(1, 0, lambda: 0.0)
    assert [bucket.reserve() for _ in range(DEFAULT_BURST + 1)] == [0.0] * DEFAULT_BURST + [1.0]
