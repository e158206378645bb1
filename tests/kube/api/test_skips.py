from svcdns.kube.api.skips import INTERVAL, MOST_NAMED, Skips
from svcdns.kube.structs import Retained


def broken(name: str, version: int = 1) -> Retained:
    return Retained(("shop", name), str(version), f"services shop/{name} at version {version}: no")


def test_an_object_is_named_again_only_after_a_while() -> None:
    now = 100.0
    skips = Skips(lambda: now)
    assert skips.describe(broken("a")) == "services shop/a at version 1: no"
    assert [skips.describe(broken("a", version)) for version in range(2, 50)] == [""] * 48
    assert skips.describe(broken("b")) == "services shop/b at version 1: no; since the last such line 48 more"
    now += INTERVAL
    assert skips.describe(broken("a", 50)) == "services shop/a at version 50: no"


def test_of_many_objects_the_first_are_named() -> None:
    skips = Skips(lambda: 0.0)
    lines = [skips.describe(broken(f"s{number}")) for number in range(5000)]
    assert all(lines[:MOST_NAMED])
    assert not any(lines[MOST_NAMED:])
