"""The words of CoreDNS's Corefiles, and what to say about a word that is none."""

import difflib
from collections.abc import Collection, Iterable

from svcdns.corefile.lexer import show

COREDNS_DIRECTIVES = frozenset({
    "root", "metadata", "geoip", "cancel", "proxyproto", "quic", "grpc_server", "https", "https3", "timeouts",
    "multisocket", "reload", "nsid", "bufsize", "bind", "debug", "trace", "ready", "health", "pprof", "shed",
    "prometheus", "errors", "log", "dnstap", "local", "dns64", "any", "chaos", "loadbalance", "tsig", "rewrite",
    "autopath", "acl", "cache", "header", "dnssec", "tls", "minimal", "template", "transfer", "hosts", "route53",
    "azure", "clouddns", "k8s_external", "kubernetes", "file", "auto", "secondary", "etcd", "loop", "forward",
    "grpc", "erratic", "whoami", "on", "sign", "view", "nomad",
})  # fmt: skip
"""Every directive of CoreDNS 1.14.7; `import` is part of the language."""

_RETIRED = {
    "proxy": "CoreDNS itself has dropped it: write 'forward'",
    "federation": "CoreDNS itself has dropped it: remove the line",
}


def describe_unknown_directive(name: str, known: Collection[str]) -> str:
    """Say why *name*, which is not in *known*, is no directive."""
    if name in COREDNS_DIRECTIVES:
        return f"{show(name)} is a directive of CoreDNS that svcdns does not have yet"
    if name in _RETIRED:
        return f"unknown directive {show(name)}; {_RETIRED[name]}"
    if name.endswith("{"):
        return f"unknown directive {show(name)}, expected a space before '{{'"
    return describe_unknown("directive", name, known)


def describe_unknown(kind: str, word: str, known: Collection[str]) -> str:
    """Say that *word* is no *kind*, and name the nearest of *known* or, where none is near, all of them."""
    if not known:
        return f"unknown {kind} {show(word)}, expected none"
    near = difflib.get_close_matches(word.lower(), known, n=1)
    if near:
        return f"unknown {kind} {show(word)}, did you mean '{near[0]}'?"
    return f"unknown {kind} {show(word)}, expected {list_words(sorted(known))}"


def list_words(words: Iterable[str]) -> str:
    """Join *words* for a message: `'a', 'b' or 'c'`."""
    *others, last = (f"'{word}'" for word in words)
    return f"{', '.join(others)} or {last}" if others else last
