"""The comparison: what each of svcdns's answers should be, and which are not."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from tests.parity.answers import Answer, Question, Reply
from tests.parity.cases import Case
from tests.parity.differences import DIFFERENCES
from tests.parity.evidence import Evidence
from tests.parity.legs import Leg
from tests.parity.questions import World


class Mismatch(NamedTuple):
    """An answer that no row accounts for.

    Attributes:
        question: The question.
        theirs: What CoreDNS answers.
        expected: What svcdns should.
        ours: What it does.
        rows: The rows that made the one of the other.
    """

    question: Question
    theirs: Answer
    expected: Answer
    ours: Answer
    rows: tuple[str, ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """What of the answer is not as it should be."""
        return tuple(each for each in Answer._fields if getattr(self.ours, each) != getattr(self.expected, each))

    def __str__(self) -> str:
        lines = [f"{self.question} (rows {', '.join(self.rows) or 'none'})"]
        for field in self.fields:
            lines += [f"  {who} {field} {getattr(getattr(self, who), field)}" for who in ("theirs", "expected", "ours")]
        return "\n".join(lines)


class Comparison:
    """Compares the answers of one leg.

    Args:
        leg: The leg.
        world: The objects.
        theirs: CoreDNS's replies.
        ours: Those of svcdns.

    Attributes:
        ours: See above.
    """

    def __init__(
        self, leg: Leg, world: World, theirs: Mapping[Question, Reply], ours: Mapping[Question, Reply]
    ) -> None:
        self._leg = leg
        self._theirs = theirs
        self.ours = ours
        self._evidence = Evidence(leg, world, {question: reply.answer for question, reply in theirs.items()})
        self._expected: dict[Question, tuple[Answer, tuple[str, ...]]] = {}

    def expect(self, question: Question) -> Answer:
        """Return what svcdns must answer."""
        return self._expect(question)[0]

    def _expect(self, question: Question) -> tuple[Answer, tuple[str, ...]]:
        if question not in self._expected:
            name = question.folded
            zone = self._evidence.zone(name)
            case = Case(question, name, zone, self._leg, self._evidence, self.expect, self.ours[question])
            answer, rows = self._theirs[question].answer._replace(echoed=True, chained=True), []
            for row in DIFFERENCES:
                if row.applies(case) and (other := row.expect(case, answer)) != answer:
                    answer = other
                    rows.append(row.id)
            self._expected[question] = answer, tuple(rows)
        return self._expected[question]

    @property
    def used(self) -> Counter[str]:
        """How often each row of the table makes a difference."""
        return Counter(row for question in self.ours for row in self._expect(question)[1])

    def mismatches(self) -> list[Mismatch]:
        """Return the answers of svcdns that are not as they must be."""
        found = []
        for question, reply in self.ours.items():
            expected, rows = self._expect(question)
            if reply.answer != expected:
                found.append(Mismatch(question, self._theirs[question].answer, expected, reply.answer, rows))
        return found
