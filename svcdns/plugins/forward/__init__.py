"""forward - sends queries to upstreams, and believes only what answers exactly what was asked.

Syntax:
    ```
    forward FROM TO... {
        except ZONES...
        force_tcp
        prefer_udp
        expire DURATION
        max_age DURATION
        max_idle_conns NUMBER
        max_fails NUMBER
        health_check DURATION [no_rec] [domain NAME]
        policy random|round_robin|sequential
        max_concurrent NUMBER
        max_connect_attempts NUMBER
        failfast_all_unhealthy_upstreams
        failover RCODES...
        next RCODES...
        next_on_nodata
        read_timeout DURATION
        source_address ADDRESS
        resolver ADDRESS[:PORT]...
        tls [CERT KEY] [CA]
        tls_servername NAME
    }
    ```

FROM is the zone that is forwarded. Each TO, at most 15, is an address with or without a port (53), `dns://ADDRESS`,
`tls://ADDRESS[%NAME][:PORT]` (853) with the name in its certificate, a host name, or a file such as `/etc/resolv.conf`,
which is read again when it changes. Entries of a file that are our own addresses are left out; where nothing else is
left, the file that systemd-resolved keeps of its own upstreams is read instead. Several `forward` are tried in the
order of the file; a query that none takes goes to the next plugin.

A question is sent at a random port that it has to itself meanwhile, with an id and letter case of its own; a port
serves 16 questions within a second at most, and no further one where anything was odd. Equal questions wait for one
answer. A packet that an upstream leaves unanswered for longer than it usually takes is repeated, twice at most; what is
truncated is fetched over TCP. An upstream that is silent, or that answers SERVFAIL, REFUSED, NOTIMP or FORMERR, is
followed by the next. After 1.8 seconds, or `read_timeout` where that is longer, the client gets SERVFAIL with the
reason; an answer that comes later still goes to the cache.

- `except`: zones below FROM that are not forwarded.
- `force_tcp`: always ask over TCP. Else only what came over TCP is, and with `prefer_udp` not even that.
- `expire` (10s), `max_age` (none), `max_idle_conns` (0: any number): for TCP and TLS connections.
- `max_fails` (2): how many probes in a row an upstream may leave unanswered until it is down; 0: it is never probed.
- `health_check` (500ms): how often an upstream that failed is probed, over UDP, TCP or TLS as it was asked, for `NAME`
  (`.`), with `no_rec` without RD. Any answer will do. Meanwhile others are asked first over that transport.
- `policy`: in which order upstreams are asked.
- `max_concurrent`: how many queries may wait; more are REFUSED. In any case no more than 10,000 wait in the whole
  process, or a half of the files that it may open; more are SERVFAIL.
- `max_connect_attempts`: how many upstreams are tried for one query at most.
- `failfast_all_unhealthy_upstreams`: SERVFAIL where all upstreams are down, instead of trying them all the same.
- `failover`: further response codes after which the next upstream is asked; the last answer counts.
- `next`, `next_on_nodata`: after which answers the next `forward` that takes the name is asked.
- `read_timeout`: how long to wait for an upstream.
- `source_address`: the address to ask from.
- `resolver`: who is asked for the addresses of host names; by default the servers in `/etc/resolv.conf`.
- `tls`, `tls_servername`: key pair and certificate authorities (by default the system's), and the upstreams' name.

Examples:
    ```
    . {
        forward . 9.9.9.9 1.1.1.1:53
    }
    ```
    ```
    . {
        forward corp.example 10.0.0.1 10.0.0.2 {
            policy sequential
            next NXDOMAIN
        }
        forward . tls://9.9.9.9%dns.quad9.net {
            except internal.example
            health_check 5s
        }
    }
    ```

Metrics:
    - coredns_proxy_request_duration_seconds{proxy_name, to, rcode}: how long upstreams took.
    - coredns_proxy_healthcheck_failures_total{proxy_name, to}: probes without an answer.
    - coredns_proxy_conn_cache_hits_total{proxy_name, to, proto}, coredns_proxy_conn_cache_misses_total{...}: questions
      that found a connection or, over UDP, a socket, and those that had to open one.
    - coredns_forward_healthcheck_broken_total: queries that found all upstreams down.
    - coredns_forward_max_concurrent_rejects_total: queries over `max_concurrent`.
    - svcdns_forward_rejected_total{to}: messages from an upstream's address that did not answer what was asked.
"""

from svcdns.plugins.forward.plugin import Forward, setup

__all__ = ["Forward", "setup"]
