"""What all tests share: how Hypothesis looks for counterexamples."""

from hypothesis import HealthCheck, settings

# A busy machine makes no test fail: neither a case nor its making has a time limit of its own.
settings.register_profile("svcdns", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("svcdns")
