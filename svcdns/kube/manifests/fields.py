"""What the fields of a manifest may be, where their type alone does not say it.

A check that fails raises ValueError with ``FIELD: expected ...``, which msgspec reports with the path above it.

Source: Kubernetes, "Object Names and IDs"; RFC 1123 section 2.1.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from svcdns.corefile.vocabulary import list_words
from svcdns.kube.objects import FAMILIES, IPV6_OCTETS, octets

_LARGEST_PORT = 65535


class Fields(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """Fields in the API's camel case, of which unknown ones are passed over; values without cycles."""


class Form(NamedTuple):
    """What a text may look like, for the machine and for people."""

    pattern: re.Pattern[str]
    expected: str


LABEL = Form(
    re.compile(r"(?=.{1,63}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"),
    "expected up to 63 lower-case letters, digits and hyphens, with no hyphen at either end",
)
SUBDOMAIN = Form(
    re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*"),
    "expected up to 253 lower-case letters, digits, hyphens and dots, with a letter or digit at either end",
)
PORT_NAME = Form(
    re.compile(LABEL.pattern.pattern, re.IGNORECASE | re.ASCII),
    "expected up to 63 letters, digits and hyphens, with no hyphen at either end",
)
HOST = Form(
    re.compile(SUBDOMAIN.pattern.pattern + r"\.?", re.IGNORECASE | re.ASCII),
    "expected a name such as www.example.com",
)


def check_form(field: str, value: str | None, form: Form) -> None:
    """Check a text, which may be left out."""
    if value and not form.pattern.fullmatch(value):
        raise ValueError(f"{field}: {form.expected}")


def check_choice(field: str, value: str | None, choices: Collection[str]) -> None:
    """Check a word, which may be left out."""
    if value:
        check_word(field, value, choices)


def check_word(field: str, value: str, choices: Collection[str]) -> None:
    """Check a word that must be there."""
    if value not in choices:
        raise ValueError(f"{field}: expected {list_words(choices)}")


def check_port(field: str, value: int) -> None:
    """Check a port's number."""
    if not 1 <= value <= _LARGEST_PORT:
        raise ValueError(f"{field}: expected a port from 1 to {_LARGEST_PORT}")


def check_target(field: str, value: int | str | None) -> None:
    """Check a port's number or name, which may be left out or, as in the API, 0."""
    number = value if isinstance(value, int) else 0
    digits = isinstance(value, str) and value.isdecimal()
    if digits or not 0 <= number <= _LARGEST_PORT:
        raise ValueError(f"{field}: expected a port from 1 to {_LARGEST_PORT} or a port's name")


def check_address(field: str, value: str, family: str | None = None) -> None:
    """Check an address of either family, or of the one that is named."""
    packed = octets(value)
    if packed is None or (family and family != FAMILIES[len(packed) == IPV6_OCTETS]):
        raise ValueError(f"{field}: expected an {family or 'IP'} address")
