"""What each field of a manifest may be, and what a manifest says that does not fit."""

import pytest

from svcdns.errors import ConfigError
from svcdns.kube.manifests.documents import parse
from tests.kube.manifests.folder import complete

NAME = "metadata: {name: web}"
A_LABEL = "expected up to 63 lower-case letters, digits and hyphens, with no hyphen at either end"
A_SUBDOMAIN = "expected up to 253 lower-case letters, digits, hyphens and dots, with a letter or digit at either end"
A_NAME = "expected a name such as www.example.com"
A_PORT_NAME = "expected up to 63 letters, digits and hyphens, with no hyphen at either end"
A_LONG_NAME = "a" * 61
A_SHORTER_NAME = "expected up to 60 characters, since its Pods end in -10"
A_POLICY = "expected 'SingleStack', 'PreferDualStack' or 'RequireDualStack'"
A_TYPE = "expected 'ClusterIP', 'NodePort', 'LoadBalancer' or 'ExternalName'"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kind: Service", "Service: metadata: expected a value, found nothing"),
        (f"kind: Service\n{NAME}", "Service web: spec: expected a value, found nothing"),
        ("kind: Pod\nmetadata: {}", "Pod: metadata.name: expected a value, found nothing"),
        ("kind: Pod\nmetadata: web", 'Pod: metadata: expected a mapping, found "web"'),
        ("kind: Pod\nmetadata: {name: }", "Pod: metadata.name: expected a string, found nothing"),
        (
            "kind: Pod\nmetadata: {name: Web}",
            f'Pod Web: metadata.name: {A_SUBDOMAIN}, found "Web"',
        ),
        (
            "kind: Namespace\nmetadata: {name: a.b}",
            f'Namespace a.b: metadata.name: {A_LABEL}, found "a.b"',
        ),
        (
            "kind: Pod\nmetadata: {name: web, namespace: a_b}",
            f'Pod a_b/web: metadata.namespace: {A_LABEL}, found "a_b"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{type: Cluster}}",
            f'Service web: spec.type: {A_TYPE}, found "Cluster"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{type: ExternalName}}",
            "Service web: spec.externalName: expected a name, found nothing",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{clusterIP: none}}",
            'Service web: spec.clusterIP: expected an IP address, found "none"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{clusterIPs: [10.0.0.1, 10.0.0.256]}}",
            'Service web: spec.clusterIPs[1]: expected an IP address, found "10.0.0.256"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ipFamilies: [IPv4, ipv6]}}",
            "Service web: spec.ipFamilies[1]: expected 'IPv4' or 'IPv6', found \"ipv6\"",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ipFamilies: ['']}}",
            "Service web: spec.ipFamilies[0]: expected 'IPv4' or 'IPv6', found nothing",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ipFamilyPolicy: Dual}}",
            f'Service web: spec.ipFamilyPolicy: {A_POLICY}, found "Dual"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ports: [{{name: http}}]}}",
            "Service web: spec.ports[0].port: expected a value, found nothing",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ports: [{{port: 65536}}]}}",
            "Service web: spec.ports[0].port: expected a port from 1 to 65535, found 65536",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ports: [{{port: 80, protocol: tcp}}]}}",
            "Service web: spec.ports[0].protocol: expected 'TCP', 'UDP' or 'SCTP', found \"tcp\"",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{clusterIP: 'fe80::1%eth0'}}",
            'Service web: spec.clusterIP: expected an IP address, found "fe80::1%eth0"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{type: ExternalName, externalName: www example com}}",
            f'Service web: spec.externalName: {A_NAME}, found "www example com"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{type: ExternalName, externalName: 'fd00::1'}}",
            f'Service web: spec.externalName: {A_NAME}, found "fd00::1"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ports: [{{port: 80, name: a.b}}]}}",
            f'Service web: spec.ports[0].name: {A_PORT_NAME}, found "a.b"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ports: [{{port: 80, targetPort: 65536}}]}}",
            "Service web: spec.ports[0].targetPort: expected a port from 1 to 65535 or a port's name, found 65536",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ports: [{{port: 80, targetPort: -1}}]}}",
            "Service web: spec.ports[0].targetPort: expected a port from 1 to 65535 or a port's name, found -1",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ports: [{{port: 80, targetPort: '8080'}}]}}",
            'Service web: spec.ports[0].targetPort: expected a port from 1 to 65535 or a port\'s name, found "8080"',
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{ports: {{port: 80}}}}",
            "Service web: spec.ports: expected a list, found a mapping",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{selector: [web]}}",
            "Service web: spec.selector: expected a mapping, found a list",
        ),
        (
            f"kind: Service\n{NAME}\nspec: {{publishNotReadyAddresses: 'true'}}",
            'Service web: spec.publishNotReadyAddresses: expected true or false, found "true"',
        ),
        (
            f"kind: EndpointSlice\n{NAME}\naddressType: IP",
            "EndpointSlice web: addressType: expected 'IPv4', 'IPv6' or 'FQDN', found \"IP\"",
        ),
        (
            f"kind: EndpointSlice\n{NAME}\nendpoints: [{{addresses: [db.example.com]}}]",
            'EndpointSlice web: endpoints[0].addresses[0]: expected an IP address, found "db.example.com"',
        ),
        (
            f"kind: EndpointSlice\n{NAME}\naddressType: IPv6\nendpoints: [{{addresses: ['fd00::1', 10.0.0.1]}}]",
            'EndpointSlice web: endpoints[0].addresses[1]: expected an IPv6 address, found "10.0.0.1"',
        ),
        (
            f"kind: EndpointSlice\n{NAME}\naddressType: IPv4\nendpoints: [{{addresses: ['fd00::1']}}]",
            'EndpointSlice web: endpoints[0].addresses[0]: expected an IPv4 address, found "fd00::1"',
        ),
        (
            f"kind: EndpointSlice\n{NAME}\nendpoints: [{{hostname: a.b}}]",
            f'EndpointSlice web: endpoints[0].hostname: {A_LABEL}, found "a.b"',
        ),
        (
            f"kind: EndpointSlice\n{NAME}\nports: [{{name: a_b}}]",
            f'EndpointSlice web: ports[0].name: {A_PORT_NAME}, found "a_b"',
        ),
        (
            f"kind: Endpoints\n{NAME}\nsubsets: [{{addresses: [{{ip: here}}]}}]",
            'Endpoints web: subsets[0].addresses[0].ip: expected an IP address, found "here"',
        ),
        (
            f"kind: Pod\n{NAME}\nstatus: {{podIPs: [{{ip: 10.0.0}}]}}",
            'Pod web: status.podIPs[0].ip: expected an IP address, found "10.0.0"',
        ),
        (f"kind: Pod\n{NAME}\nstatus: {{podIP: x}}", 'Pod web: status.podIP: expected an IP address, found "x"'),
        (
            f"kind: Pod\n{NAME}\nspec: {{containers: [{{ports: [{{containerPort: 0}}]}}]}}",
            "Pod web: spec.containers[0].ports[0].containerPort: expected a port from 1 to 65535, found 0",
        ),
        (f"kind: Deployment\n{NAME}\nspec: {{}}", "Deployment web: spec.template: expected a value, found nothing"),
        (
            f"kind: Deployment\n{NAME}\nspec: {{template: {{}}, replicas: -1}}",
            "Deployment web: spec.replicas: expected 0 to 100000, found -1",
        ),
        (
            f"kind: Deployment\n{NAME}\nspec: {{template: {{}}, replicas: 1000000000}}",
            "Deployment web: spec.replicas: expected 0 to 100000, found 1000000000",
        ),
        (
            f"kind: StatefulSet\n{NAME}\nspec: {{template: {{}}, ordinals: {{start: -1}}}}",
            "StatefulSet web: spec.ordinals.start: expected 0 or more, found -1",
        ),
        (
            f"kind: StatefulSet\nmetadata: {{name: {A_LONG_NAME}}}\nspec: {{template: {{}}, replicas: 11}}",
            f'StatefulSet {A_LONG_NAME}: metadata.name: {A_SHORTER_NAME}, found "{A_LONG_NAME}"',
        ),
        (
            "kind: StatefulSet\nmetadata: {name: a.b}\nspec: {template: {}}",
            f'StatefulSet a.b: metadata.name: {A_LABEL}, found "a.b"',
        ),
        (
            f"kind: StatefulSet\n{NAME}\nspec: {{template: {{}}, replicas: two}}",
            'StatefulSet web: spec.replicas: expected a whole number, found "two"',
        ),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_what_it_should_be(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as fault:
        parse("web.yaml", complete(text))
    assert fault.value.reason == reason


@pytest.mark.parametrize(
    ("name", "labels", "field", "word"),
    [
        ("no", "{}", "name", "no"),
        ("010", "{}", "name", "010"),
        ("web", "{on: x}", "labels", "on"),
        ("web", "{a: b, debug: yes}", "labels", "yes"),
        ("web", "{version: 1.0}", "labels", "1.0"),
    ],
)
def test_a_word_that_yaml_takes_for_something_else_is_to_be_quoted(
    name: str, labels: str, field: str, word: str
) -> None:
    with pytest.raises(ConfigError) as fault:
        parse("web.yaml", complete(f"kind: Pod\nmetadata: {{name: {name}, labels: {labels}}}"))
    what = f"expected a string, found {word}, which YAML takes for another type: put it in quotes"
    assert fault.value.reason == f'Pod {name}: metadata.{field}: {what}, "{word}"'


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod\nmetadata: {name: 2024-01-01, deletionTimestamp: 2024-01-01T00:00:00Z}",
        f"kind: Pod\n{NAME}\nstatus: null\nmore: [1, 2]",
        f"kind: Service\n{NAME}\nspec: {{ports: null, selector: null, clusterIP: '', clusterIPs: [None]}}",
        f"kind: Service\n{NAME}\nspec: {{ports: [{{port: 80, targetPort: http}}, {{port: 81, targetPort: 8081}}]}}",
        f"kind: Service\n{NAME}\nspec: {{ports: [{{port: 80, targetPort: 0}}, {{port: 81, targetPort: ''}}]}}",
        f"kind: Service\n{NAME}\nspec: {{type: ExternalName, externalName: WWW.Example.com.}}",
        f"kind: Service\n{NAME}\nspec: {{type: ExternalName, externalName: 192.0.2.1}}",
        f"kind: Service\n{NAME}\nspec: {{type: ClusterIP, externalName: not read}}",
        f"kind: StatefulSet\nmetadata: {{name: {A_LONG_NAME}}}\nspec: {{template: {{}}, replicas: 10}}",
        f"kind: EndpointSlice\n{NAME}\naddressType: FQDN\nendpoints: [{{addresses: [db.example.com]}}]",
        f"kind: EndpointSlice\n{NAME}\naddressType: IPv4\nendpoints: [{{addresses: [10.0.0.1]}}]",
        f"kind: EndpointSlice\n{NAME}\naddressType: IPv6\nendpoints: [{{addresses: ['FD00::1', '::ffff:192.0.2.1']}}]",
        f"kind: EndpointSlice\n{NAME}\nports: [{{port: null}}]\nendpoints: null",
        f"kind: Endpoints\n{NAME}",
        f"kind: DaemonSet\n{NAME}\nspec: {{template: {{metadata: null}}}}",
    ],
)
def test_fields_may_be_left_out_empty_or_unknown_as_in_the_api(text: str) -> None:
    (document,) = parse("web.yaml", complete(text))
    assert document.path == "web.yaml"
