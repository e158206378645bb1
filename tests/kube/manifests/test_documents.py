import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from svcdns.errors import ConfigError
from svcdns.kube.manifests.documents import parse

POD = "apiVersion: v1\nkind: Pod\n"
SERVICE = "apiVersion: v1\nkind: Service\n"
LIST = "apiVersion: v1\nkind: List\n"


def name(text: str) -> list[tuple[int, str]]:
    """Return line and name of each object."""
    return [(document.line, str(document)) for document in parse("shop.yaml", text)]


def refuse(text: str) -> tuple[int, str]:
    """Return line and reason for which a text is refused."""
    with pytest.raises(ConfigError) as fault:
        parse("shop.yaml", text)
    return fault.value.line, fault.value.reason


def test_every_document_of_a_file_is_read_with_its_line_and_others_are_passed_over() -> None:
    text = """\
# A shop.
apiVersion: v1
kind: Namespace
metadata:
  name: shop
---
apiVersion: v1
kind: ConfigMap
metadata: {name: no}
data: !unknown {a: b}
---
replicas: 2
---
- kind: Service
---
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {}}
...
"""
    assert name(text) == [(2, "Namespace shop"), (17, "Service shop/web"), (22, "Deployment default/web")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "# nothing\n",
        "null",
        "[]",
        "{}",
        "services: {web: {image: web}}",
        "apiVersion: v2\nname: chart",
        "apiVersion: 1\ndatasources: [{name: web}]",
        "kind: {enabled: true}\nmetadata: {name: web}",
        "schemaVersion: 2.2.0\nmetadata: {name: web}",
        "kind: DaemonSet\nreplicas: 2",
        "apiVersion: score.dev/v1b1\nmetadata: {name: web}",
        "kind: ConfigMap\nmetadata: {name: web}",
    ],
)
def test_a_file_without_objects_holds_none(text: str) -> None:
    assert name(text) == []


def test_lists_hold_objects_and_lists() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
  spec: {}
- apiVersion: v1
  kind: List
  items:
  - apiVersion: v1
    kind: ServiceList
    items:
    - metadata: {name: b}
      spec: {}
    - metadata: {name: c}
      spec: {}
  - apiVersion: v1
    kind: ConfigMapList
    items: [{metadata: {name: d}}]
- apiVersion: v1
  kind: PodList
  items: null
"""
    assert name(text) == [(4, "Service default/a"), (14, "Service default/b"), (16, "Service default/c")]


@pytest.mark.parametrize("group", ["serving.knative.dev/v1", "example.com/v1", "apps.example.com/v1"])
@pytest.mark.parametrize("kind", ["Service", "service", "Services", "EndpointSlice", "Pod", "StatefulSet"])
def test_kinds_of_other_api_groups_are_passed_over_whatever_they_are_called(group: str, kind: str) -> None:
    assert name(f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: web}}\nspec: {{}}") == []


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("v1", "Binding ComponentStatus ConfigMap Event LimitRange Node PersistentVolume PersistentVolumeClaim"),
        ("v1", "PodTemplate ReplicationController ResourceQuota Secret ServiceAccount Status"),
        ("v1", "Config Template DeploymentConfig Route"),
        ("apps/v1", "ControllerRevision Scale"),
        ("networking.k8s.io/v1", "Ingress NetworkPolicy ServiceCIDR"),
        ("batch/v1", "Job CronJob"),
    ],
)
def test_kinds_that_have_no_part_in_names_are_passed_over(version: str, kinds: str) -> None:
    assert name("---\n".join(f"apiVersion: {version}\nkind: {kind}\n" for kind in kinds.split())) == []


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: PodList\nitems: []",
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSliceList\nitems: null",
        "apiVersion: apps/v1\nkind: StatefulSetList",
        "apiVersion: example.com/v1\nkind: ServiceList\nitems: [{metadata: {name: web}}]",
    ],
)
def test_a_list_without_objects_of_ours_holds_none(text: str) -> None:
    assert name(text) == []


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (
            "apiVersion: v1\nmetadata: {name: web}",
            1,
            "object web: kind: expected a value such as 'Service', found nothing",
        ),
        ("apiVersion: v1\nmetadata: {}\nkind:\n", 3, "object: kind: expected a value such as 'Service', found nothing"),
        ("apiVersion: v1\nitems: []", 1, "object: kind: expected a value such as 'Service', found nothing"),
        (
            POD.replace("Pod", "[Pod]") + "metadata: {}",
            2,
            "object: kind: expected a value such as 'Service', found a list",
        ),
        (POD.replace("Pod", "5") + "metadata: {}", 2, "object: kind: expected a value such as 'Service', found 5"),
        ("kind: Service\nmetadata: {name: web}", 1, "Service web: apiVersion: expected 'v1', found nothing"),
        ("kind: List\nitems: []", 1, "List: apiVersion: expected 'v1', found nothing"),
        ("kind: PodList\nitems: []", 1, "PodList: apiVersion: expected 'v1', found nothing"),
        ("kind: Pod\napiVersion: ''\nmetadata: {}", 2, "Pod: apiVersion: expected 'v1', found nothing"),
        ("kind: Pod\napiVersion: 1\nmetadata: {}", 2, "Pod: apiVersion: expected 'v1', found 1"),
        (
            LIST + "items:\n- metadata: {name: web}",
            4,
            "object web: kind: expected a value such as 'Service', found nothing",
        ),
        (
            "apiVersion: v1\nkind: ServiceList\nitems: [{apiVersion: v1, metadata: {name: web}}]",
            3,
            "object web: kind: expected a value such as 'Service', found nothing",
        ),
        (LIST + "items:\n- {kind: Pod, metadata: {}}", 4, "Pod: apiVersion: expected 'v1', found nothing"),
        (
            "apiVersion: v1\nkind: PodList\nitems: [{kind: Pod, metadata: {}}]",
            3,
            "Pod: apiVersion: expected 'v1', found nothing",
        ),
    ],
)
def test_an_object_says_its_kind_and_api_version(text: str, line: int, reason: str) -> None:
    assert refuse(text) == (line, reason)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("service", "Service"),
        ("Services", "Service"),
        ("Serivce", "Service"),
        ("POD", "Pod"),
        ("Pods", "Pod"),
        ("namespace", "Namespace"),
        ("Endpoint", "Endpoints"),
        ("endpointslice", "EndpointSlice"),
        ("EndpointSlices", "EndpointSlice"),
        ("Endpointslce", "EndpointSlice"),
        ("deployment", "Deployment"),
        ("StatefullSet", "StatefulSet"),
        ("list", "List"),
        ("EndpointList", "EndpointsList"),
    ],
)
@pytest.mark.parametrize("version", ["v1", "apps/v1", "discovery.k8s.io/v1", ""])
def test_a_kind_that_is_nearly_one_of_ours_is_refused(version: str, kind: str, expected: str) -> None:
    found = refuse(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}")
    assert found == (2, f"{kind} web: kind: expected '{expected}', found \"{kind}\"")


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        ("EndpointSlice", "discovery.k8s.io/v1beta1", "discovery.k8s.io/v1"),
        ("EndpointSlice", "v1", "discovery.k8s.io/v1"),
        ("Service", "v2", "v1"),
        ("Endpoints", "V1", "v1"),
        ("Namespace", "core/v1", "v1"),
        ("Pod", "apps/v1", "v1"),
        ("Deployment", "v1", "apps/v1"),
        ("DaemonSet", "apps/v1beta2", "apps/v1"),
        ("Deployment", "extensions/v1beta1", "apps/v1"),
        ("Deployment", "app/v1", "apps/v1"),
        ("ServiceList", "v2", "v1"),
    ],
)
def test_a_kind_has_one_api_version(kind: str, version: str, expected: str) -> None:
    found = refuse(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}")
    assert found == (1, f"{kind} web: apiVersion: expected '{expected}', found \"{version}\"")


def test_json_is_read_with_its_escapes_and_tabs() -> None:
    text = (
        '{\n\t"apiVersion": "v1", "kind": "Pod",\n\t"metadata": {"name": "web", "labels":{"path":"a\\/b",'
        '"face":"\\ud83d\\ude00",'
        '"not":"\\\\ud83d\\\\ude00"}}\n}'
    )
    (document,) = parse("web.json", text)
    assert document.body.metadata.labels == {"path": "a/b", "face": "\U0001f600", "not": "\\ud83d\\ude00"}


def test_anchors_and_merge_keys_are_followed() -> None:
    text = POD + "metadata:\n  name: web\n  labels: &own {app: web}\n  more: {<<: *own}\n  namespace: &n shop"
    (document,) = parse("web.yaml", text)
    assert document.key == ("shop", "web")


def test_times_and_what_has_colons_in_it_stay_words() -> None:
    text = POD + "metadata: {name: web, labels: {day: 2026-01-31, hour: 12:30, lap: 1:02.5, web: 1:1}}"
    (document,) = parse("web.yaml", text)
    assert document.body.metadata.labels == {"day": "2026-01-31", "hour": "12:30", "lap": "1:02.5", "web": "1:1"}


def test_a_kind_may_be_merged_too() -> None:
    text = """\
apiVersion: v1
kind: List
items:
- &first {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {}}
- <<: *first
  metadata: {name: b}
- <<: *first
  apiVersion: v1
  kind: ConfigMap
"""
    assert name(text) == [(4, "Service default/a"), (5, "Service default/b")]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (
            POD + "metadata: {name: a}\n---\nkind: Pod\n metadata: x\n",
            6,
            "expected YAML: mapping values are not allowed in this context",
        ),
        (
            "a:\n\tb: c",
            2,
            "expected YAML: while scanning for the next token, found character that cannot start any token (a tab",
        ),
        (
            '{"kind": "Pod",\n"metadata": {',
            2,
            "expected YAML: while parsing a flow node, did not find expected node content",
        ),
        (POD + "metadata: {name: a}\n---\nc: *d", 5, "expected YAML: found undefined alias"),
        (POD + "metadata:\n  name: {{ .Values.name }}\n", 4, "expected YAML with words for keys, found a mapping"),
        (
            POD + "metadata:\n  name: !secret x\n",
            4,
            "expected YAML: could not determine a constructor for the tag '!secret'",
        ),
        (
            "a: b\nc: \x01d",
            2,
            "expected YAML, found a character that it cannot hold: control characters are not allowed",
        ),
        ("a: b\nc: &c\n  d:\n  - *c", 4, "expected YAML: found an alias of what it stands in"),
        (SERVICE + "spec: {}\n" + POD, 4, "expected YAML: found the key 'apiVersion' once more: is a '---' missing?"),
        ("a: {b: {c: 1, c: 2}}", 1, "expected YAML: found the key 'c' once more: is a '---' missing?"),
        ("[{kind: Pod, apiVersion: v1}]", 1, "expected an object, of kind 'List' if need be, found a list"),
        (POD + "metadata: &m {name: a, <<: *m}", 3, "expected YAML: found an alias of what it stands in"),
        (POD + "metadata: {name: a}\n---\ngarbage\n", 5, 'expected an object, found "garbage"'),
        (LIST + "items:\n- 5", 4, "expected an object, found 5"),
        (LIST + "items:\n  kind: Pod", 4, "List: items: expected a list, found a mapping"),
        (POD + "metadata:\n  name: web\n  labels:\n    a: b\n    c: 5", 7, "Pod web: metadata.labels: expected"),
        (POD + "metadata:\n  name: web\n  labels:\n    a: b\n    5: c", 7, "Pod web: metadata.labels: expected"),
        (
            SERVICE + "metadata:\n  name: web\nspec:\n  ports:\n  - port: 1\n  - name: x\n",
            8,
            "Service web: spec.ports[1]",
        ),
        (f"---\n{POD}metadata: {{name: a}}\n---\n{POD}metadata: {{\n  name: B}}", 9, "Pod B: metadata.name"),
        (
            POD + "metadata: {name: a}\nspec: {containers: [{ports: [{containerPort: !!int x}]}]}",
            1,
            "Pod a: expected values that fit their tags",
        ),
    ],
)
def test_a_fault_is_told_with_file_and_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigError) as fault:
        parse("shop.yaml", text)
    assert (fault.value.path, fault.value.line) == ("shop.yaml", line)
    assert fault.value.reason.startswith(reason)


def chain(link: str, first: str = "[x]", length: int = 250) -> str:
    """Write a list of items that each have the one before in them, as *link* says."""
    links = (f"- &a{index} {link.format(f'*a{index - 1}')}\n" for index in range(1, length))
    return f"kind: List\nitems:\n- &a0 {first}\n{''.join(links)}"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a:\n " + "[" * 50_000, 2, "found more than 200 levels in each other"),
        ("a:\n " + "{a: " * 50_000, 2, "found more than 200 levels in each other"),
        ("- " * 50_000, 1, "found more than 200 levels in each other"),
        ("? " * 50_000, 1, "found more than 200 levels in each other"),
        (chain("{{<<: {}}}", "{a: b}"), 203, "found more than 200 levels in each other"),
        (chain("[{}]"), 203, "found more than 200 levels in each other"),
        (chain("[{0}, {0}]"), 18, "found aliases that stand for more than 100000 values"),
        (chain("{{<<: [{0}, {0}]}}", "{a: b}"), 17, "found aliases that stand for more than 100000 values"),
        (
            chain("{{kind: List, items: [{0}, {0}]}}", "{kind: Pod, metadata: {name: a}}"),
            16,
            "found aliases that stand for more than 100000 values",
        ),
        (
            "\n---\n".join([f"- &a [{'x, ' * 1000}]\n- [{'*a, ' * 30}]"] * 4),
            11,
            "found aliases that stand for more than 100000 values",
        ),
    ],
)
def test_a_file_that_would_grow_out_of_bounds_is_refused_before_it_does(text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigError) as fault:
        parse("shop.yaml", text)
    assert (fault.value.line, fault.value.reason) == (line, f"expected YAML: {reason}")


def test_a_fault_shows_the_beginning_of_what_is_long() -> None:
    with pytest.raises(ConfigError) as fault:
        parse("shop.yaml", POD + f"metadata: {{name: {'A' * 100_000}}}")
    assert "A" * 100 + "…" in fault.value.reason
    assert len(fault.value.reason) < 500


PIECES = (
    *(SERVICE, "apiVersion: v1\n", "kind: Service\n", "metadata:", "{name: web}", "spec:", "ports"),
    *(": ", "- ", "---\n", "\n", " ", "\t"),
    *("[", "]", "{", "}", "&a ", "*a", "!!bool x", "!!timestamp x", "!!set ", "? ", "'", '"', "\\u", "|\n", "<<"),
    *("0x", "8" * 30),
)
pieces = st.lists(st.sampled_from(PIECES))


@given(pieces.map("".join))
@example(SERVICE + "metadata: {name: web}\nspec: {ports: [{port: 888888888888888888888888888888}]}")
@example(SERVICE + "metadata: {name: web}\nspec: !!bool x")
@example(SERVICE + "metadata: {name: web}\nspec: !!timestamp x")
@example(SERVICE + "metadata: {name: web}\nspec: &a {selector: *a}")
@example(SERVICE + "metadata: {name: web}\nspec: {ports: &a [*a]}")
@example(SERVICE + "? [a, b]\n: c\n? {d: e}\n: f")
def test_any_text_is_read_or_told_with_its_line(text: str) -> None:
    line = 1
    try:
        parse("web.yaml", text)
    except ConfigError as error:
        line = error.line
    assert 1 <= line <= text.count("\n") + 1
