"""Which proxy the environment names."""

import pytest

from svcdns.kube.api.proxies import find_proxy

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("environment", "url", "found"),
    [
        ({}, "https://10.96.0.1:443", ""),
        ({"HTTPS_PROXY": PROXY}, "https://10.96.0.1:443", PROXY),
        ({"https_proxy": PROXY}, "https://10.96.0.1:443", PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other:1"}, "https://api", PROXY),
        ({"HTTPS_PROXY": "proxy:3128"}, "https://api", PROXY),
        ({"HTTPS_PROXY": PROXY}, "http://api", ""),
        ({"HTTP_PROXY": PROXY}, "http://api", PROXY),
        ({"HTTPS_PROXY": PROXY}, "", ""),
    ],
)
def test_the_scheme_says_which_variable_counts(environment: dict[str, str], url: str, found: str) -> None:
    assert find_proxy(url, environment) == found


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_is_asked_directly(host: str) -> None:
    assert find_proxy(f"http://{host}:8080", {"HTTP_PROXY": PROXY}) == ""


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("*", "api.example.org", True),
        ("10.96.0.0/12", "10.96.0.1", True),
        ("example.org, 10.96.0.0/12", "10.96.0.1", True),
        ("10.96.0.0/12", "10.112.0.1", False),
        ("10.96.0.0/12", "api.example.org", False),
        ("10.96.0.1/12", "10.97.0.1", True),
        ("fd00:10:96::/112", "[fd00:10:96::1]", True),
        ("fd00:10:96::/112", "10.96.0.1", False),
        ("10.96.0.0/x", "10.96.0.1", False),
        ("10.96.0.1", "10.96.0.1", True),
        ("10.96.0.1", "10.96.0.11", False),
        ("fd00:10:96::1", "[fd00:10:96:0::1]", True),
        ("10.96.0.1:6443", "10.96.0.1", True),
        ("10.96.0.1:443", "10.96.0.1", False),
        ("[fd00:10:96::1]:6443", "[fd00:10:96::1]", True),
        ("example.org", "example.org", True),
        ("example.org", "api.example.org", True),
        ("Example.ORG", "API.example.org", True),
        ("example.org", "badexample.org", False),
        (".example.org", "api.example.org", True),
        (".example.org", "example.org", False),
        ("*.example.org", "api.example.org", True),
        ("*example.org", "api.example.org", False),
        ("example.org:6443", "api.example.org", True),
        ("example.org:443", "api.example.org", False),
        ("", "api.example.org", False),
        (" ,:6443,.", "api.example.org", False),
    ],
)
def test_some_are_excepted(exceptions: str, host: str, *, direct: bool) -> None:
    found = find_proxy(f"https://{host}:6443", {"HTTPS_PROXY": PROXY, "NO_PROXY": exceptions})
    assert found == ("" if direct else PROXY)


def test_a_scheme_has_its_port() -> None:
    environment = {"HTTPS_PROXY": PROXY, "HTTP_PROXY": PROXY, "NO_PROXY": "api:443"}
    assert find_proxy("https://api", environment) == ""
    assert find_proxy("http://api", environment) == PROXY
