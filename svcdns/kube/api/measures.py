"""What is counted of the API server as a source: the names are CoreDNS's where it has them."""

from svcdns.metrics import PROGRAMMING_BUCKETS, REQUEST_BUCKETS, Metrics


class Measures:
    """The families of metrics of one process, shared by all its sources.

    Attributes:
        requests: Requests by status code, ``<error>`` where no response came.
        durations: How long requests other than watches took, in seconds.
        rate_limits: How long they waited for the limit of requests before that, in seconds.
        programming: From the change of a slice to the answers that it changes, in seconds.
        ages: Seconds since a kind was known to be current.
        denied: 1 where the API server does not let us list or watch a kind.
        lists: Lists put in force, by what made them necessary.
        repairs: Lists that became necessary because the watch had lost events.
        skipped: Objects that could not be decoded.
        failures: Requests that came to nothing or broke off.
        errors: Failures that are our own fault.
    """

    def __init__(self, metrics: Metrics) -> None:
        coredns, own = "coredns_kubernetes_", "svcdns_kubernetes_"
        client = f"{coredns}rest_client_"
        self.requests = metrics.counter(
            f"{client}requests_total", "Requests to the API server.", ("code", "method", "host")
        )
        self.durations = metrics.histogram(
            f"{client}request_duration_seconds",
            "Duration of requests to the API server, watches left out.",
            ("verb", "host"),
            REQUEST_BUCKETS,
        )
        self.rate_limits = metrics.histogram(
            f"{client}rate_limiter_duration_seconds",
            "How long requests to the API server were held back by apiserver_qps, watches left out.",
            ("verb", "host"),
            REQUEST_BUCKETS,
        )
        self.programming = metrics.histogram(
            f"{coredns}dns_programming_duration_seconds",
            "From the change of a Pod or Service, as its endpoint slice tells, to the answers.",
            ("service_kind",),
            PROGRAMMING_BUCKETS,
        )
        self.ages = metrics.gauge(f"{own}data_age_seconds", "Time since a kind was known to be current.", ("kind",))
        self.denied = metrics.gauge(
            f"{own}denied", "Whether the API server refuses to list or watch a kind.", ("kind",)
        )
        self.lists = metrics.counter(f"{own}lists_total", "Whole lists put in force, by cause.", ("kind", "cause"))
        self.repairs = metrics.counter(f"{own}repairs_total", "Times an audit found that events were lost.", ("kind",))
        self.skipped = metrics.counter(f"{own}skipped_objects_total", "Objects that could not be read.", ("kind",))
        self.failures = metrics.counter(f"{own}failures_total", "Requests that failed or broke off.", ("kind",))
        self.errors = metrics.counter(f"{own}errors_total", "Faults of our own in following a kind.", ("kind",))
