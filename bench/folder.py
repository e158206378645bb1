"""A folder of manifests: what following it costs while nothing changes, and how soon a change is in the answers.

    python -m bench.folder [--files 0 100 2000] [--idle 20] [--changes 20]

Each file holds a Service and a Deployment with three Pods; one more is written again and again, at random moments. The
goals are 1 % of a core, and a second. svcdns alone: CoreDNS does not read manifests.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path
from statistics import median

import dns.message
import dns.query

from bench.cluster import workspace
from bench.servers import Server, command_of, serving
from tests.ports import free_port

COREFILE = """
.:{port} {{
    bind 127.0.0.1
    kubernetes cluster.local {{
        manifests {manifests}
        pods verified
        ttl 1
    }}
}}
"""
FILE = """
apiVersion: v1
kind: Service
metadata: {{name: web-{index}}}
spec: {{selector: {{app: web-{index}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web-{index}}}
spec:
  replicas: 3
  template: {{metadata: {{labels: {{app: web-{index}}}}}, spec: {{containers: [{{name: web}}]}}}}
"""
CHANGING = "apiVersion: v1\nkind: Service\nmetadata: {{name: changing}}\nspec: {{clusterIP: 10.96.{}.{}}}\n"
NAME = "changing.default.svc.cluster.local"


def idle(server: Server, seconds: float) -> float:
    """Return the share of a core that is used while nothing happens."""
    time.sleep(2)  # until the last write has been looked at twice
    before = server.cpu()
    time.sleep(seconds)
    return (server.cpu() - before) / seconds


def change(server: Server, path: Path, version: int) -> float:
    """Change a file and return the seconds until the answer is the new one."""
    time.sleep(random.uniform(1, 2))
    numbers = divmod(version, 256)
    query = dns.message.make_query(NAME, "A")
    begun = time.perf_counter()
    path.write_text(CHANGING.format(*numbers))
    while True:
        response = dns.query.udp(query, "127.0.0.1", port=server.port, timeout=5)
        if response.answer and response.answer[0][0].to_text().endswith(".{}.{}".format(*numbers)):
            return time.perf_counter() - begun
        time.sleep(0.01)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[0, 100, 2000])
    parser.add_argument("--idle", type=float, default=20)
    parser.add_argument("--changes", type=int, default=20)
    options = parser.parse_args()
    print("| files | idle, % of a core | change to answer, s (median, most) |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for count in options.files:
            folder = workspace(Path(scratch), f"files-{count}")
            manifests = workspace(folder, "manifests")
            for index in range(count):
                (manifests / f"web-{index}.yaml").write_text(FILE.format(index=index))
            changing = manifests / "changing.yaml"
            changing.write_text(CHANGING.format(0, 0))
            port = free_port()
            command = command_of("svcdns", COREFILE.format(port=port, manifests=manifests), folder)
            with serving(command, port, folder) as server:
                server.wait_for(NAME)
                share = idle(server, options.idle)
                times = [change(server, changing, version) for version in range(1, options.changes + 1)]
            print(f"| {count} | {100 * share:.2f} | {median(times):.2f}, {max(times):.2f} |")


if __name__ == "__main__":
    main()
