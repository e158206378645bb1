"""How long an upstream is waited for."""

import pytest

from svcdns.net.roundtrip import FIRST_TIMEOUT, LONGEST_TIMEOUT, SHORTEST_TIMEOUT, RoundTrip


def steady(seconds: float, times: int = 20) -> RoundTrip:
    """Have an upstream answer at the first packet, always as fast."""
    trip = RoundTrip()
    for _ in range(times):
        trip.note_answer(seconds, seconds)
    return trip


def sent_until(trip: RoundTrip, answered: float) -> list[float]:
    """Tell when packets leave for a question whose first is answered after *answered* seconds, and learn from it."""
    sent = [0.0]
    while len(sent) < 3 and sent[-1] + trip.timeout * 2 ** (len(sent) - 1) < answered:
        sent.append(sent[-1] + trip.timeout * 2 ** (len(sent) - 1))
    trip.note_answer(answered, answered - sent[-1])
    return sent


def test_without_an_answer_it_is_50_milliseconds() -> None:
    assert RoundTrip().timeout == FIRST_TIMEOUT == 0.05


@pytest.mark.parametrize("seconds", [0.0002, 0.001, 0.005])
def test_a_near_upstream_is_given_20_milliseconds(seconds: float) -> None:
    assert steady(seconds).timeout == SHORTEST_TIMEOUT == 0.02


def test_a_steady_upstream_is_given_little_more_than_it_takes() -> None:
    assert 0.1 < steady(0.1).timeout < 0.11


def test_nobody_is_given_more_than_half_a_second() -> None:
    assert steady(3).timeout == LONGEST_TIMEOUT == 0.5


@pytest.mark.parametrize("seconds", [0.051, 0.06, 0.1, 0.2, 0.4])
def test_a_slow_upstream_is_soon_asked_once(seconds: float) -> None:
    trip = RoundTrip()
    counts = [len(sent_until(trip, seconds)) for _ in range(10)]
    assert counts[-5:] == [1] * 5


@pytest.mark.parametrize("seconds", [0.6, 1.0])
def test_a_very_slow_upstream_is_asked_thrice_at_most_once(seconds: float) -> None:
    trip = RoundTrip()
    counts = [len(sent_until(trip, seconds)) for _ in range(10)]
    assert max(counts[1:]) == 2


def test_a_lost_packet_does_not_make_a_fast_upstream_slow() -> None:
    trip = steady(0.001)
    trip.note_answer(0.021, 0.001)
    assert trip.timeout == SHORTEST_TIMEOUT


def test_the_first_packet_lost_of_all_is_taken_for_lost() -> None:
    trip = RoundTrip()
    trip.note_answer(0.0502, 0.0002)
    assert trip.timeout == SHORTEST_TIMEOUT


def test_two_questions_in_a_row_that_need_a_second_packet_buy_time() -> None:
    trip = steady(0.001)
    for _ in range(2):
        trip.note_answer(0.021, 0.001)
    assert trip.timeout == 2 * SHORTEST_TIMEOUT
    trip.note_answer(0.001, 0.001)
    assert trip.timeout == SHORTEST_TIMEOUT
