"""cache - keeps what the plugins below it answer.

Syntax:
    ```
    cache [TTL] [ZONES...] {
        success CAPACITY [TTL [MINTTL]]
        denial CAPACITY [TTL [MINTTL]]
        prefetch AMOUNT [DURATION [PERCENTAGE%]]
        serve_stale [DURATION [immediate|verify [TIMEOUT]]]
        servfail DURATION
        disable success|denial [ZONES...]
        keepttl
    }
    ```

It stands below `kubernetes` and all else that answers from memory, so that only what `forward` brings is kept, and only
for names in ZONES (those of the server block). TTL is a plain number of seconds: `10s` would be a zone. Every record
keeps its own TTL, at most TTL seconds (3600 for answers, 1800 for denials), and counts down; the answer is forgotten
when the first of them comes to 0. What has a TTL of 0 is not kept, unless MINTTL says how long it is, nor is a denial
without SOA. The contents outlive a reload, unless ZONES, `success`, `denial`, `disable`, `servfail` or TTL are others
then.

- `success`, `denial`: how many answers, and denials that a name or type exists, are kept (9984 each, at least 1024),
  with 2 KiB for each on average. What was asked for once gives way before what was asked for again.
- `prefetch`: answers that were asked for AMOUNT times, with less than DURATION (1m) between, are fetched again when
  PERCENTAGE (10%) of their time is left.
- `serve_stale`: what has expired, up to DURATION (1h) ago, is answered with a TTL of 30 seconds: at once, while it is
  fetched again (`immediate`, the default), or where nothing better came within TIMEOUT (1.8s) (`verify`). A fetch that
  failed is tried again after 30 seconds.
- `servfail`: how long SERVFAIL is kept (5s, at most 5m); 0 for not at all. It never takes the place of an answer.
- `disable`: keeps no answers, or no denials, in ZONES.
- `keepttl`: TTLs do not count down.

Examples:
    ```
    . {
        cache 30
        forward . 9.9.9.9
    }
    ```
    ```
    . {
        cache 300 example.org {
            success 20000 3600 5
            denial 5000 300
            prefetch 10 1m 10%
            serve_stale 24h verify 500ms
            servfail 1s
            disable denial internal.example.org
        }
        forward . 9.9.9.9
    }
    ```

Metrics:
    - coredns_cache_entries{server, type, zones, view}: what is kept; the type is `success` or `denial`.
    - coredns_cache_requests_total{server, zones, view}: queries that came to the cache.
    - coredns_cache_hits_total{server, type, zones, view}: queries answered from it.
    - coredns_cache_misses_total{server, zones, view}: queries that were not.
    - coredns_cache_evictions_total{server, type, zones, view}: what had to give way.
    - coredns_cache_prefetch_total{server, zones, view}: fetches before or after the end of an answer's time.
    - coredns_cache_served_stale_total{server, zones, view}: queries answered with what had expired.
    - coredns_cache_drops_total{server, zones, view}: answers to another question than was asked; always 0, since
      `forward` believes none.
"""

from svcdns.plugins.cache.plugin import Cache, setup

__all__ = ["Cache", "setup"]
