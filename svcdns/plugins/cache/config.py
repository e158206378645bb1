"""What a `cache` directive says."""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from svcdns.corefile import Directive, Option
from svcdns.corefile.values import parse_choice, parse_duration, parse_integer
from svcdns.dns.name import Name, from_text, is_within

SMALLEST_CAPACITY = 1024

_CAPACITY = 9984
_LONGEST_SUCCESS = 3600
_LONGEST_DENIAL = 1800
_MOST = 2**31 - 1
_LONGEST_SERVFAIL = 300.0
_CLIENT_TIMER = 1.8
_PERCENTAGE = re.compile(r"([0-9]{1,3})%")
_OPTIONS = ("success", "denial", "prefetch", "serve_stale", "servfail", "disable", "keepttl")
_SIDES = ("success", "denial")


@dataclass(frozen=True, slots=True)
class Side:
    """What is kept of one kind: answers or denials.

    Attributes:
        capacity: How many.
        longest: The highest TTL, in seconds.
        shortest: The lowest TTL, in seconds.
        disabled: Names in these zones are left out.
    """

    capacity: int
    longest: int
    shortest: int = 0
    disabled: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class Prefetch:
    """When to fetch an answer again before its time is over.

    Attributes:
        amount: After how many hits.
        gap: How many seconds may lie between two of them.
        fraction: Which part of the time must at most be left, from 0 to 1.
    """

    amount: int
    gap: float = 60.0
    fraction: float = 0.1


@dataclass(frozen=True, slots=True)
class Stale:
    """When to answer with what has expired.

    Attributes:
        period: How many seconds ago it may have expired.
        timeout: How many seconds an upstream has to do better first; None to answer at once.
    """

    period: float = 3600.0
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What a directive says.

    Attributes:
        zones: The zones written; the server block's where there are none.
        success: What is kept of answers.
        denial: What is kept of denials.
        servfail: How many seconds SERVFAIL is kept.
        prefetch: When to fetch again early, if at all.
        stale: When to answer with what has expired, if at all.
        keepttl: Whether TTLs stand still.
    """

    zones: tuple[Name, ...]
    success: Side
    denial: Side
    servfail: float = 5.0
    prefetch: Prefetch | None = None
    stale: Stale | None = None
    keepttl: bool = False

    @property
    def terms(self) -> Hashable:
        """What decides which answers are kept, and for how long; what is kept on other terms must not be told."""
        return self.zones, self.success, self.denial, self.servfail


def parse(directive: Directive) -> Settings:
    """Read a directive."""
    words = directive.words
    longest = None
    if words and _is_ttl(words[0]):
        longest = directive.value(parse_integer, words[0], 1, _MOST)
        words = words[1:]
    settings = Settings(
        zones=tuple(from_text(zone) for zone in directive.zones(words)),
        success=Side(_CAPACITY, longest or _LONGEST_SUCCESS),
        denial=Side(_CAPACITY, longest or _LONGEST_DENIAL),
    )
    for option in directive.options:
        settings = _apply(settings, option)
    return settings


def find_slip(directive: Directive, zones: Sequence[Name]) -> str:
    """Say what a directive hardly means: a first argument that is no number is a zone, as for CoreDNS.

    Args:
        directive: A directive that can be read.
        zones: The zones of its server block.

    Returns:
        What is odd about it; empty where that may be meant.
    """
    word = directive.words[0] if directive.words else ""
    if not word or _is_ttl(word):
        return ""
    written = [from_text(zone) for zone in directive.zones([word])]
    if not _is_duration(word) and any(is_within(a, [b]) or is_within(b, [a]) for a in written for b in zones):
        return ""
    return f"'{word}' is read as a zone, and only names in it are kept; a TTL is a plain number of seconds"


def _is_ttl(word: str) -> bool:
    return word.lstrip("+-").isdecimal()


def _is_duration(word: str) -> bool:
    try:
        parse_duration(word)
    except ValueError:
        return False
    return True


def _apply(settings: Settings, option: Option) -> Settings:
    match option.name, option.words:
        case "success", words:
            return replace(settings, success=_size(settings.success, option, words))
        case "denial", words:
            return replace(settings, denial=_size(settings.denial, option, words))
        case "prefetch", words:
            return replace(settings, prefetch=_prefetch(option, words))
        case "serve_stale", words:
            return replace(settings, stale=_stale(option, words))
        case "servfail", (word,):
            return replace(settings, servfail=option.value(parse_duration, word, 0.0, _LONGEST_SERVFAIL))
        case "servfail", _:
            raise option.expected("DURATION")
        case "disable", words:
            return _disable(settings, option, words)
        case "keepttl", ():
            return replace(settings, keepttl=True)
        case "keepttl", _:
            raise option.expected("nothing")
    raise option.unknown(_OPTIONS)


def _size(side: Side, option: Option, words: tuple[str, ...]) -> Side:
    if not 1 <= len(words) <= 3:
        raise option.expected("CAPACITY [TTL [MINTTL]]")
    capacity = max(option.value(parse_integer, words[0], 1, _MOST), SMALLEST_CAPACITY)
    longest = option.value(parse_integer, words[1], 1, _MOST) if len(words) > 1 else side.longest
    shortest = option.value(parse_integer, words[2], 0, longest) if len(words) > 2 else side.shortest
    return replace(side, capacity=capacity, longest=longest, shortest=shortest)


def _prefetch(option: Option, words: tuple[str, ...]) -> Prefetch | None:
    if not 1 <= len(words) <= 3:
        raise option.expected("AMOUNT [DURATION [PERCENTAGE%]]")
    prefetch = Prefetch(option.value(parse_integer, words[0], 0, _MOST))
    if len(words) > 1:
        prefetch = replace(prefetch, gap=option.value(parse_duration, words[1]))
    if len(words) > 2:
        prefetch = replace(prefetch, fraction=option.value(_parse_percentage, words[2]))
    return prefetch if prefetch.amount else None


def _parse_percentage(text: str) -> float:
    match = _PERCENTAGE.fullmatch(text)
    if match is None or not 10 <= int(match[1]) <= 90:
        raise ValueError("expected a percentage from 10% to 90%")
    return int(match[1]) / 100


def _stale(option: Option, words: tuple[str, ...]) -> Stale:
    match words:
        case ():
            return Stale()
        case (period,):
            return Stale(option.value(parse_duration, period))
        case (period, "verify", timeout):
            return Stale(option.value(parse_duration, period), option.value(parse_duration, timeout))
        case (period, refresh):
            verify = option.value(parse_choice, refresh, ("immediate", "verify")) == "verify"
            return Stale(option.value(parse_duration, period), _CLIENT_TIMER if verify else None)
    raise option.expected("[DURATION [immediate|verify [TIMEOUT]]]")


def _disable(settings: Settings, option: Option, words: tuple[str, ...]) -> Settings:
    if not words:
        raise option.expected("success|denial [ZONES...]")
    kind = option.value(parse_choice, words[0], _SIDES)
    zones = tuple(from_text(zone) for zone in option.zones(words[1:])) or (from_text("."),)
    if kind == "success":
        return replace(settings, success=replace(settings.success, disabled=settings.success.disabled + zones))
    return replace(settings, denial=replace(settings.denial, disabled=settings.denial.disabled + zones))
