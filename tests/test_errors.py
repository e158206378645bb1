from svcdns.errors import ClusterError, ConfigError, Expired, SvcdnsError, UpstreamError, WireError


def test_a_config_error_reads_as_path_line_and_reason() -> None:
    error = ConfigError("Corefile", 3, "found 'x', expected 'y'")
    assert str(error) == "Corefile:3: found 'x', expected 'y'"
    assert (error.path, error.line, error.reason) == ("Corefile", 3, "found 'x', expected 'y'")


def test_an_upstream_error_names_the_upstream() -> None:
    error = UpstreamError("192.0.2.1:53", "timed out")
    assert (str(error), error.upstream, error.reason) == ("192.0.2.1:53: timed out", "192.0.2.1:53", "timed out")


def test_every_error_is_of_the_tree_and_has_a_reason() -> None:
    for kind in (WireError, ClusterError, Expired):
        error: SvcdnsError = kind("because")
        assert (str(error), error.reason) == ("because", "because")
    assert issubclass(Expired, ClusterError)
