"""What it costs a host to keep its part of the network: converge() of a fleet table in a network namespace of its own.

Started by __main__.py inside `unshare -n -m`. Reads {state, rounds} from standard input, prints JSON: wall seconds and
CPU seconds (its own and those of ip, bridge and nft that it starts) of each build and each verification.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

from ansible_collections.stowage.fleet.plugins.module_utils.network import converge, links, tables

PORTS, POLICY = "/run/ports.nft", "/run/policy.nft"


def spent():
    """CPU seconds of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measured(work):
    """(what work returned, wall seconds, CPU seconds)."""
    wall, cpu = time.perf_counter(), spent()
    result = work()
    return result, time.perf_counter() - wall, spent() - cpu


def main():
    """Build and verify so many times."""
    given = json.load(sys.stdin)
    links.SYSCTLS, converge.POLICED = "/run/sysctls.json", "/run/policed"
    state, found = given["state"], {"build": [], "verify": []}
    base = tables.base_table(state)
    for _round in range(given["rounds"]):
        converge.clear()
        for name, at_least in (("build", 3 * (len(state["nodes"]) - 1)), ("verify", 0)):
            done, wall, cpu = measured(lambda: converge.converge(state, base, False, PORTS, POLICY))
            if len(done) < at_least or (name == "verify" and done):
                raise SystemExit(f"{name}: {len(done)} changes: {done[:3]}")
            found[name].append([wall, cpu])
    print(json.dumps(found))


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    main()
