"""How long to wait for an upstream before it is asked again.

TCP's rule with DNS's figures: a lost packet of a steady upstream costs little, and a slow upstream is not asked over
and over. Which of two equal packets was answered cannot be seen, so it is judged by what is known, and where two
questions in a row needed a second packet, the next waits twice as long, until one is answered at the first.

Source: RFC 6298; RFC 8085 section 3.1.1.
"""

FIRST_TIMEOUT = 0.05
SHORTEST_TIMEOUT = 0.02
LONGEST_TIMEOUT = 0.5

_GAIN = 1 / 8
_DEVIATION_GAIN = 1 / 4
_DEVIATIONS = 4
_MOST_DOUBLINGS = 5


class RoundTrip:
    """The smoothed time that an upstream takes to answer, and its deviation, in seconds."""

    __slots__ = ("_deviation", "_repeated", "_smoothed")

    def __init__(self) -> None:
        self._smoothed: float | None = None
        self._deviation = 0.0
        self._repeated = 0

    @property
    def timeout(self) -> float:
        """When to ask again, in seconds after the question was sent."""
        if self._smoothed is None:
            return FIRST_TIMEOUT
        estimate = max(SHORTEST_TIMEOUT, self._smoothed + _DEVIATIONS * self._deviation)
        doublings = min(max(0, self._repeated - 1), _MOST_DOUBLINGS)
        return min(LONGEST_TIMEOUT, estimate * (1 << doublings))

    def note_answer(self, since_first: float, since_last: float) -> None:
        """Learn from an answer.

        Args:
            since_first: Seconds since the question was sent first.
            since_last: Seconds since it was sent last; the same where it was sent once.
        """
        if since_first == since_last:
            self._repeated = 0
            self._add(since_first)
            return
        self._repeated += 1
        expected = FIRST_TIMEOUT if self._smoothed is None else self._smoothed
        answered_last = since_last < expected if self._smoothed is None else since_last >= expected / 2
        self._add(since_last if answered_last else since_first)

    def _add(self, sample: float) -> None:
        if self._smoothed is None:
            self._smoothed, self._deviation = sample, sample / 2
            return
        self._deviation += _DEVIATION_GAIN * (abs(self._smoothed - sample) - self._deviation)
        self._smoothed += _GAIN * (sample - self._smoothed)
