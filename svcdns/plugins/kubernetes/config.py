"""What a `kubernetes` directive says: its zones and options, read into values.

Source: CoreDNS, plugin kubernetes, section "Syntax".
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import NamedTuple

from svcdns.corefile import Directive, Option
from svcdns.corefile.values import parse_choice, parse_duration, parse_integer
from svcdns.dns.name import ROOT, Name, from_text, to_text
from svcdns.kube.api.config import ApiConfig
from svcdns.kube.directory import Options, Pods
from svcdns.kube.manifests.addresses import POD_RANGES, SERVICE_RANGES, SMALLEST_RANGE, Ranges
from svcdns.kube.objects import Kind
from svcdns.kube.reverse import is_reverse
from svcdns.kube.schema import make_soa
from svcdns.kube.selector import EVERYTHING, Selector, parse_selector

MAX_TTL = 3600

_DEFAULT_TTL = 5
_DEFAULT_STARTUP_TIMEOUT = 5.0
_LARGEST = 2**31 - 1
_NOT_YET = frozenset({"multicluster", "zonal"})
_DROPPED = frozenset({"resyncperiod", "upstream"})
_TLS_FILES = 3
_API_OPTIONS = ("endpoint", "tls", "kubeconfig", "apiserver_qps", "apiserver_burst", "apiserver_max_inflight")
_FOLDER_OPTIONS = ("loopback", "service_cidr", "pod_cidr")


class Folders(NamedTuple):
    """Manifests as a source of objects.

    Attributes:
        paths: Files and folders.
        service_cidr: Where Services get their addresses.
        pod_cidr: Where Pods get theirs.
        loopback: Whether both get those of this host instead.
    """

    paths: tuple[Path, ...] = ()
    service_cidr: Ranges = SERVICE_RANGES
    pod_cidr: Ranges = POD_RANGES
    loopback: bool = False


class Selection(NamedTuple):
    """A label selector, and the text that it was read from, which the API server takes."""

    text: str = ""
    selector: Selector = EVERYTHING


class Settings(NamedTuple):
    """All that a directive says.

    Attributes:
        options: What to show.
        source: Where objects come from.
        written: Which option names a path of manifests.
        kinds: The kinds of object that are needed.
        labels: Which objects count, Namespaces apart.
        namespace_labels: Which Namespaces count.
        startup_timeout: When the log calls the start unsynced, in seconds.
    """

    options: Options
    source: ApiConfig | Folders
    written: Mapping[Path, Option]
    kinds: tuple[Kind, ...]
    labels: Selection
    namespace_labels: Selection
    startup_timeout: float

    @property
    def of_source(self) -> tuple[Hashable, ...]:
        """What the objects depend on: directives in which this is equal can share them."""
        return (self.source, self.kinds, self.labels, self.namespace_labels)


def read_settings(directive: Directive, zones: Sequence[Name], warn: Callable[[str], None]) -> Settings:
    """Read a directive.

    Args:
        directive: The directive.
        zones: Those of the server block, which count where the directive names none.
        warn: Told, with file and line, of options that change nothing.

    Raises:
        ConfigError: It cannot be used.
    """
    reader = _Reader(warn)
    for option in directive.options:
        reader.read(option)
    own = tuple(from_text(zone) for zone in directive.zones(directive.words)) or tuple(zones)
    if all(is_reverse(zone) for zone in own):
        raise directive.error("found reverse zones alone, expected at least one zone for names")
    for zone in own:
        try:
            make_soa(zone, reader.ttl, 0)
        except ValueError:
            raise directive.error(f"found '{to_text(zone)}', expected a zone with room for names below it") from None
    return Settings(
        reader.options(own),
        reader.source(),
        reader.written,
        reader.kinds(),
        reader.labels,
        reader.namespace_labels,
        reader.startup_timeout,
    )


@dataclass(slots=True)
class _Reader:
    """Takes in one option after the other; most count once, and then the last one."""

    warn: Callable[[str], None]
    seen: dict[str, Option] = field(default_factory=dict)
    ttl: int = _DEFAULT_TTL
    pods: Pods = Pods.DISABLED
    namespaces: list[str] = field(default_factory=list)
    fallthrough: tuple[Name, ...] = ()
    ignore_empty: bool = False
    labels: Selection = Selection()  # noqa: RUF009 - immutable
    namespace_labels: Selection = Selection()  # noqa: RUF009 - immutable
    startup_timeout: float = _DEFAULT_STARTUP_TIMEOUT
    api: ApiConfig = ApiConfig(())  # noqa: RUF009 - immutable
    folders: Folders = Folders()  # noqa: RUF009 - immutable
    written: dict[Path, Option] = field(default_factory=dict)

    def read(self, option: Option) -> None:
        """Take in *option*."""
        if option.name in _NOT_YET:
            raise option.unsupported()
        if option.name in _DROPPED:
            raise option.error("CoreDNS itself has dropped it: remove the line")
        read = _OPTIONS.get(option.name)
        if read is None:
            raise option.unknown(_OPTIONS)
        read(self, option)
        self.seen[option.name] = option

    def options(self, zones: tuple[Name, ...]) -> Options:
        """Return what to show."""
        return Options(
            zones,
            self.ttl,
            self.pods,
            frozenset(self.namespaces),
            self.fallthrough,
            pod_names="endpoint_pod_names" in self.seen,
            ignore_empty=self.ignore_empty,
        )

    def kinds(self) -> tuple[Kind, ...]:
        """Return the kinds of object that the options need."""
        needless = {Kind.ENDPOINT_SLICE} if "noendpoints" in self.seen else set()
        if self.pods is not Pods.VERIFIED:
            needless.add(Kind.POD)
        return tuple(kind for kind in Kind if kind not in needless)

    def source(self) -> ApiConfig | Folders:
        """Return where objects come from, once all options are read."""
        manifests = self.seen.get("manifests")
        for name in _FOLDER_OPTIONS if manifests is None else _API_OPTIONS:
            if name in self.seen:
                reason = "needs 'manifests' beside it" if manifests is None else "found beside 'manifests'"
                raise self.seen[name].error(f"{reason}, expected one source of objects")
        if "namespaces" in self.seen and "namespace_labels" in self.seen:
            raise self.seen["namespace_labels"].error("found beside 'namespaces', expected one of the two")
        if manifests is not None:
            return self.folders
        if self.api.kubeconfig:
            self._ignore("since 'kubeconfig' says where the API server is", "endpoint", "tls")
        elif not self.api.endpoint:
            self._ignore("since it counts beside 'endpoint' alone", "tls")
        return replace(
            self.api,
            kinds=self.kinds(),
            labels=self.labels.text,
            namespace_labels=self.namespace_labels.text,
        )

    def _ignore(self, reason: str, *names: str) -> None:
        """Say of options that they change nothing, which CoreDNS passes over in silence."""
        for name in names:
            if name in self.seen:
                self.warn(str(self.seen[name].error(f"ignored, {reason}")))

    def read_endpoint(self, option: Option) -> None:
        """Read ``endpoint URL...``, of which CoreDNS uses the first."""
        if not option.words:
            raise option.expected("URL")
        if len(option.words) > 1:
            self.warn(str(option.error(f"only the first URL is used: {option.words[0]}")))
        self.api = replace(self.api, endpoint=option.value(_parse_url, option.words[0]))

    def read_tls(self, option: Option) -> None:
        """Read ``tls CERTIFICATE KEY CA``."""
        if len(option.words) != _TLS_FILES:
            raise option.expected("CERTIFICATE KEY CA")
        certificate, key, authority = option.words
        self.api = replace(self.api, certificate=certificate, key=key, authority=authority)

    def read_kubeconfig(self, option: Option) -> None:
        """Read ``kubeconfig FILE [CONTEXT]``."""
        match option.words:
            case (file,):
                self.api = replace(self.api, kubeconfig=file, context="")
            case (file, context):
                self.api = replace(self.api, kubeconfig=file, context=context)
            case _:
                raise option.expected("FILE [CONTEXT]")

    def read_qps(self, option: Option) -> None:
        """Read ``apiserver_qps NUMBER``."""
        self.api = replace(self.api, qps=option.value(_parse_rate, _only(option, "NUMBER")))

    def read_burst(self, option: Option) -> None:
        """Read ``apiserver_burst NUMBER``."""
        self.api = replace(self.api, burst=option.value(parse_integer, _only(option, "NUMBER"), 0, _LARGEST))

    def read_max_inflight(self, option: Option) -> None:
        """Read ``apiserver_max_inflight NUMBER``."""
        self.api = replace(self.api, max_inflight=option.value(parse_integer, _only(option, "NUMBER"), 0, _LARGEST))

    def read_namespaces(self, option: Option) -> None:
        """Read ``namespaces NAMESPACE...``; several lines add up."""
        self.namespaces += _some(option, "NAMESPACE...")

    def read_labels(self, option: Option) -> None:
        """Read ``labels SELECTOR``."""
        self.labels = _select(option)

    def read_namespace_labels(self, option: Option) -> None:
        """Read ``namespace_labels SELECTOR``."""
        self.namespace_labels = _select(option)

    def read_pods(self, option: Option) -> None:
        """Read ``pods disabled|insecure|verified``."""
        modes = [mode.value for mode in Pods]
        self.pods = Pods(option.value(parse_choice, _only(option, "|".join(modes)), modes))

    def read_ttl(self, option: Option) -> None:
        """Read ``ttl SECONDS``."""
        self.ttl = option.value(parse_integer, _only(option, "SECONDS"), 0, MAX_TTL)

    def read_fallthrough(self, option: Option) -> None:
        """Read ``fallthrough [ZONE...]``."""
        self.fallthrough = tuple(from_text(zone) for zone in option.zones(option.words)) or (ROOT,)

    def read_ignore(self, option: Option) -> None:
        """Read ``ignore empty_service``; the word alone means nothing, as in CoreDNS."""
        if option.words:
            option.value(parse_choice, option.words[0], ("empty_service",))
            self.ignore_empty = True

    def read_startup_timeout(self, option: Option) -> None:
        """Read ``startup_timeout DURATION``."""
        self.startup_timeout = option.value(parse_duration, _only(option, "DURATION"))

    def read_flag(self, option: Option) -> None:
        """Read an option that is only there or not."""
        if option.words:
            raise option.expected("nothing after it")

    def read_manifests(self, option: Option) -> None:
        """Read ``manifests PATH...``, relative to the Corefile; several lines add up."""
        folder = Path(option.path).parent
        if "" in option.words:
            raise option.error("found an empty path, expected PATH...")
        paths = [folder / word for word in _some(option, "PATH...")]
        self.folders = self.folders._replace(paths=(*self.folders.paths, *paths))
        self.written |= dict.fromkeys(paths, option)

    def read_loopback(self, option: Option) -> None:
        """Read ``loopback``."""
        self.read_flag(option)
        self.folders = self.folders._replace(loopback=True)

    def read_service_cidr(self, option: Option) -> None:
        """Read ``service_cidr CIDR...``."""
        self.folders = self.folders._replace(service_cidr=_ranges(option, self.folders.service_cidr))

    def read_pod_cidr(self, option: Option) -> None:
        """Read ``pod_cidr CIDR...``."""
        self.folders = self.folders._replace(pod_cidr=_ranges(option, self.folders.pod_cidr))


_OPTIONS: dict[str, Callable[[_Reader, Option], None]] = {
    "apiserver_burst": _Reader.read_burst,
    "apiserver_max_inflight": _Reader.read_max_inflight,
    "apiserver_qps": _Reader.read_qps,
    "endpoint": _Reader.read_endpoint,
    "endpoint_pod_names": _Reader.read_flag,
    "fallthrough": _Reader.read_fallthrough,
    "ignore": _Reader.read_ignore,
    "kubeconfig": _Reader.read_kubeconfig,
    "labels": _Reader.read_labels,
    "loopback": _Reader.read_loopback,
    "manifests": _Reader.read_manifests,
    "namespace_labels": _Reader.read_namespace_labels,
    "namespaces": _Reader.read_namespaces,
    "noendpoints": _Reader.read_flag,
    "pod_cidr": _Reader.read_pod_cidr,
    "pods": _Reader.read_pods,
    "service_cidr": _Reader.read_service_cidr,
    "startup_timeout": _Reader.read_startup_timeout,
    "tls": _Reader.read_tls,
    "ttl": _Reader.read_ttl,
}


def _some(option: Option, syntax: str) -> tuple[str, ...]:
    """Return the words of *option*, of which there must be some."""
    if not option.words:
        raise option.expected(syntax)
    return option.words


def _only(option: Option, syntax: str) -> str:
    """Return the one word of *option*."""
    if len(option.words) != 1:
        raise option.expected(syntax)
    return option.words[0]


def _select(option: Option) -> Selection:
    """Read a label selector, which may be written in several words."""
    text = " ".join(_some(option, "SELECTOR"))
    return Selection(text, option.value(parse_selector, text))


def _ranges(option: Option, before: Ranges) -> Ranges:
    """Read address ranges, at most one of each family; the other family's stays what it was *before*."""
    ipv4 = []
    ipv6 = []
    for word in _some(option, "CIDR..."):
        network = option.value(_parse_network, word)
        if isinstance(network, IPv4Network):
            ipv4.append(network)
        else:
            ipv6.append(network)
    if max(len(ipv4), len(ipv6)) > 1:
        raise option.expected("at most one range of IPv4 and one of IPv6")
    return (*ipv4, before[0])[0], (*ipv6, before[1])[0]


def _parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError("expected an address range such as 10.96.0.0/12 or fd00:10:96::/112") from None
    if network.num_addresses < SMALLEST_RANGE:
        raise ValueError(f"expected an address range of at least {SMALLEST_RANGE} addresses")
    return network


def _parse_rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= _LARGEST:
        raise ValueError("expected a number that is not negative")
    return rate


def _parse_url(text: str) -> str:
    """Check the API server's URL, in which the scheme may be left out."""
    scheme, mark, host = text.partition("://")
    if mark and (scheme not in ("http", "https") or not host.strip("/")):
        raise ValueError("expected a URL such as https://10.0.0.1:6443")
    return text
