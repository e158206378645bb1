"""A Corefile's text to its server blocks, with imports and environment given as literals."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pytest

from svcdns.corefile import Corefile, Source, parse
from svcdns.corefile.vocabulary import COREDNS_DIRECTIVES

NONE: Mapping[str, str] = MappingProxyType({})
NOT_YET = {"dnssec", "route53", "tls"}


@pytest.fixture
def warnings() -> list[str]:
    """What `corefile` warned of."""
    return []


@pytest.fixture
def corefile(warnings: list[str]) -> Callable[..., Corefile]:
    """Parse a text named Corefile; `files` gives what `IMPORTER PATTERN` finds."""

    def parse_text(
        text: str,
        files: Mapping[str, list[Source]] | None = None,
        environ: Mapping[str, str] = NONE,
    ) -> Corefile:
        return parse(
            text,
            "Corefile",
            known=COREDNS_DIRECTIVES - NOT_YET,
            environ=environ,
            read=lambda pattern, importer: (files or {}).get(f"{importer} {pattern}", []),
            warn=warnings.append,
        )

    return parse_text
