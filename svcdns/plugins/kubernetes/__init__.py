"""kubernetes - answers the names of Services, Pods and their addresses.

Syntax:
    ```
    kubernetes [ZONES...] {
        endpoint URL
        tls CERTIFICATE KEY CA
        kubeconfig FILE [CONTEXT]
        apiserver_qps NUMBER
        apiserver_burst NUMBER
        apiserver_max_inflight NUMBER
        manifests PATH...
        loopback
        service_cidr CIDR...
        pod_cidr CIDR...
        namespaces NAMESPACE...
        namespace_labels SELECTOR
        labels SELECTOR
        pods disabled|insecure|verified
        endpoint_pod_names
        noendpoints
        ignore empty_service
        ttl SECONDS
        fallthrough [ZONES...]
        startup_timeout DURATION
    }
    ```

ZONES are those of the server block where none are written; an address range stands for its reverse zones. The first
zone for names is where addresses point to. Until the first lists are in, every name is SERVFAIL; reverse names fall
through where they may. A change in the cluster is in the answers as soon as it is known.

Objects come from one source. Without any of its options, that is the API server of the cluster around this Pod.

- `endpoint`, `tls`: the API server at URL, with a client certificate.
- `kubeconfig`: the API server that FILE names, in CONTEXT or its current one.
- `apiserver_qps`, `apiserver_burst`, `apiserver_max_inflight`: how many requests a second, at once and in flight; any
  number where nothing or 0 is written.
- `manifests`: files, and folders of files, of YAML or JSON, relative to the Corefile. What a control plane makes of
  them is made here: endpoints of Pods, and addresses out of `service_cidr` (10.96.0.0/12, fd00:10:96::/112) and
  `pod_cidr` (10.244.0.0/16, fd00:10:244::/64), or with `loopback` those of this host.

What is shown of them:

- `namespaces`, `namespace_labels`: only these namespaces, or those with such labels.
- `labels`: only Services, Pods and EndpointSlices with such labels.
- `pods` (disabled): whether `10-0-0-1.NAMESPACE.pod.ZONE` is answered for any address, or for those of Pods alone.
- `endpoint_pod_names`: endpoints without a hostname are named after their Pods, not their addresses.
- `noendpoints`: EndpointSlices are not read, so nothing is known of endpoints.
- `ignore empty_service`: a Service with a cluster IP exists only while it has a ready endpoint.
- `ttl` (5): of all records, 0 to 3600 seconds.
- `fallthrough`: names in ZONES (any) that do not exist are for the next plugin.
- `startup_timeout` (5s): when the log says that the server runs without the first lists. A reload waits as long for
  new ones.

Examples:
    ```
    . {
        kubernetes cluster.local in-addr.arpa ip6.arpa {
            pods insecure
            fallthrough in-addr.arpa ip6.arpa
            ttl 30
        }
    }
    ```
    ```
    . {
        kubernetes cluster.local 10.96.0.0/12 {
            kubeconfig /etc/svcdns/kubeconfig staging
            namespaces default shop
        }
    }
    ```

Metrics:
    - coredns_kubernetes_dns_programming_duration_seconds{service_kind}: from a change in the cluster to its answers.
    - coredns_kubernetes_rest_client_requests_total{code, method, host}: requests to the API server.
    - coredns_kubernetes_rest_client_request_duration_seconds{verb, host}: how long they took, watches left out.
    - coredns_kubernetes_rest_client_rate_limiter_duration_seconds{verb, host}: how long they were held back.
    - svcdns_kubernetes_data_age_seconds{kind}: time since a kind was known to be current.
    - svcdns_kubernetes_denied{kind}: 1 where the API server refuses a kind.
    - svcdns_kubernetes_lists_total{kind, cause}: whole lists put in force.
    - svcdns_kubernetes_repairs_total{kind}: times that an audit found lost events.
    - svcdns_kubernetes_skipped_objects_total{kind}: objects that could not be read.
    - svcdns_kubernetes_failures_total{kind}: requests that failed or broke off.
    - svcdns_kubernetes_errors_total{kind}: faults of our own in following a kind.
"""

from svcdns.plugins.kubernetes.plugin import Kubernetes, setup

__all__ = ["Kubernetes", "setup"]
