"""Runs inside a network namespace of its own: carries out a list of steps, prints what each returned as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ansible_collections.stowage.fleet.plugins.module_utils.network import api as network
from ansible_collections.stowage.fleet.plugins.module_utils.network import converge, host, links, tables, wireguard

converge.POLICED = "/run/policed"
links.SYSCTLS = "/run/sysctls.json"
wireguard.KEY = "/run/wireguard.key"


def step(name, *arguments):
    if name == "sh":
        done = subprocess.run(arguments[0], shell=True, text=True, capture_output=True, check=False)
        return [done.returncode, done.stdout.strip() or done.stderr.strip()]
    try:
        if name == "converge":
            state, check = arguments
            return converge.converge(
                state, tables.base_table(state), check, ports="/run/ports.nft", policy="/run/policy.nft"
            )
        if name == "clear":
            return converge.clear(arguments[0])
        if name == "apply_ports":
            return [network.apply_ports(arguments[0], "/run/ports.nft"), network.ports_applied(arguments[0])]
        return {"underlay": host.underlay, "host_networks": host.host_networks}[name](*arguments)
    except network.NetworkError as error:
        return f"refused: {error}"


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    print(json.dumps([step(*one) for one in json.load(sys.stdin)]))
