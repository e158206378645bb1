import pickle
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from svcdns.metrics import SIZE_BUCKETS, TIME_BUCKETS, Exposition, Metrics, Report, number


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_a_counter_is_written_as_go_writes_it(metrics: Metrics) -> None:
    metrics.counter("coredns_dns_do_requests_total", "Counter of DNS requests.", ("zone", "server")).labels(
        ".", "dns://:53"
    ).value += 3
    assert metrics.expose() == (
        "# HELP coredns_dns_do_requests_total Counter of DNS requests.\n"
        "# TYPE coredns_dns_do_requests_total counter\n"
        'coredns_dns_do_requests_total{server="dns://:53",zone="."} 3\n'
    )


def test_a_counter_without_labels_has_no_braces(metrics: Metrics) -> None:
    metrics.counter("coredns_panics_total", "Panics.").labels()
    assert metrics.expose().endswith("\ncoredns_panics_total 0\n")


def test_a_family_without_children_is_not_shown(metrics: Metrics) -> None:
    metrics.counter("a_total", "A.", ("x",))
    assert metrics.expose() == ""


def test_families_and_children_come_in_the_order_of_their_text(metrics: Metrics) -> None:
    later = metrics.gauge("b", "B.", ("x",))
    later.labels("2")
    later.labels("1")
    metrics.gauge("a", "A.").labels()
    samples = [line for line in metrics.expose().splitlines() if not line.startswith("#")]
    assert samples == ["a 0", 'b{x="1"} 0', 'b{x="2"} 0']


def test_buckets_hold_what_lower_ones_hold(metrics: Metrics) -> None:
    histogram = metrics.histogram("h", "H.", ("s",), (0, 0.00025, 100.0)).labels("x")
    for value in (0.0, 0.0001, 0.00025, 99.5, 101):
        histogram.observe(value)
    assert [line for line in metrics.expose().splitlines() if not line.startswith("#")] == [
        'h_bucket{s="x",le="0"} 1',
        'h_bucket{s="x",le="0.00025"} 3',
        'h_bucket{s="x",le="100"} 4',
        'h_bucket{s="x",le="+Inf"} 5',
        'h_sum{s="x"} 200.50035',
        'h_count{s="x"} 5',
    ]


def test_a_histogram_without_labels_has_only_its_bounds(metrics: Metrics) -> None:
    metrics.histogram("h", "H.", (), (1,)).labels().observe(2)
    assert 'h_bucket{le="1"} 0\nh_bucket{le="+Inf"} 1\nh_sum 2\nh_count 1\n' in metrics.expose()


def test_the_same_name_gives_the_same_family_and_child(metrics: Metrics) -> None:
    for _ in range(2):
        metrics.counter("a_total", "A.", ("x",)).labels("1").value += 1
    assert metrics.expose().endswith('a_total{x="1"} 2\n')


@pytest.mark.parametrize(
    "again",
    [
        lambda metrics: metrics.counter("a_total", "A.", ("y",)),
        lambda metrics: metrics.gauge("a_total", "A.", ("x",)),
        lambda metrics: metrics.counter("a_total", "A.", ("x",)).labels("1", "2"),
    ],
)
def test_one_name_with_two_shapes_is_an_error(metrics: Metrics, again: Callable[[Metrics], object]) -> None:
    metrics.counter("a_total", "A.", ("x",))
    with pytest.raises(ValueError, match=r"a_total is a counter|argument"):
        again(metrics)


def test_a_gauge_can_be_asked_when_it_is_read(metrics: Metrics) -> None:
    held: list[int] = []
    metrics.gauge("entries", "Entries.").labels().follow(lambda: len(held))
    held.append(1)
    assert metrics.expose().endswith("\nentries 1\n")


def test_a_cleared_family_shows_only_what_comes_again(metrics: Metrics) -> None:
    family = metrics.gauge("enabled", "Enabled.", ("name",))
    family.labels("old").value = 1
    family.clear()
    family.labels("new").value = 1
    assert metrics.expose().endswith('gauge\nenabled{name="new"} 1\n')


def test_what_is_special_in_values_and_descriptions_is_escaped(metrics: Metrics) -> None:
    metrics.counter("a_total", 'back\\slash\n"', ("x",)).labels('q"b\\n\n').value += 1
    text = metrics.expose()
    assert text.startswith('# HELP a_total back\\\\slash\\n"\n')
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels == {"x": 'q"b\\n\n'}


def test_families_of_others_are_sorted_in(metrics: Metrics) -> None:
    metrics.counter("a_total", "A.").labels()
    metrics.counter("z_total", "Z.").labels()
    others = [Exposition("process_open_fds", "Files.", "gauge", ["process_open_fds 3"])]
    families = text_string_to_metric_families(metrics.expose(others))
    assert [family.name for family in families] == ["a", "process_open_fds", "z"]


def test_every_histogram_passes_the_parser_of_prometheus(metrics: Metrics) -> None:
    for bounds in (TIME_BUCKETS, SIZE_BUCKETS):
        metrics.histogram(f"h{len(bounds)}", "H.", ("x",), bounds).labels("y").observe(17.5)
    for family in text_string_to_metric_families(metrics.expose()):
        values = {sample.labels.get("le", sample.name): sample.value for sample in family.samples}
        assert family.type == "histogram"
        assert values["+Inf"] == values[f"{family.name}_count"] == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7.0, "7"),
        (0.1, "0.1"),
        (0.00025, "0.00025"),
        (1e-5, "1e-05"),
        (8.192, "8.192"),
        (999999, "999999"),
        (1e6, "1e+06"),
        (-2e6, "-2e+06"),
        (123456789, "1.23456789e+08"),
        (1700000000.25, "1.70000000025e+09"),
        (1e16, "1e+16"),
        (1.5e300, "1.5e+300"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_a_number_is_written_as_go_writes_it(value: float, text: str) -> None:
    assert number(value) == text


def _taken(metrics: Metrics) -> list[Report]:
    """Return what *metrics* gives away, as another process gets it."""
    reports: list[Report] = pickle.loads(pickle.dumps(metrics.take()))  # noqa: S301 - what was just written
    return reports


def test_what_other_processes_count_is_added(metrics: Metrics) -> None:
    others = [Metrics(), Metrics()]
    for each in (metrics, *others):
        each.counter("a_total", "A.", ("x",)).labels("1").value += 2
        each.histogram("h", "H.", (), (1, 2)).labels().observe(1.5)
    others[0].counter("b_total", "B.").labels().value += 1
    for each in others * 2:  # what was taken once is not taken again
        metrics.add(_taken(each), id(each))
    text = metrics.expose()
    assert 'a_total{x="1"} 6\n' in text
    assert "b_total 1\n" in text
    assert 'h_bucket{le="1"} 0\nh_bucket{le="2"} 3\nh_bucket{le="+Inf"} 3\nh_sum 4.5\nh_count 3\n' in text


def test_what_other_processes_have_is_added_until_they_are_gone(metrics: Metrics) -> None:
    other = Metrics()
    for each, size in ((metrics, 3), (other, 4)):
        each.gauge("entries", "E.").labels().follow(lambda size=size: size)  # type: ignore[misc]
        each.gauge("info", "I.").labels().value = 1
    for _ in range(2):
        metrics.add(_taken(other), "other")
    assert "entries 7\n" in metrics.expose()
    assert "info 1\n" in metrics.expose()
    metrics.forget("other")
    assert "entries 3\n" in metrics.expose()
