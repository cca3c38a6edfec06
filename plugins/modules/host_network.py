#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One host's part of the container network: glue over the network room and engine.networks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_network
short_description: Observe or converge one host's part of the container network
version_added: 0.1.0
description:
  - With O(state=observed) it says which block the host claims and which networks it knows, and changes nothing.
  - With O(state=present) it makes the host what the fleet table of M(stowage.fleet.network_plan) says - devices,
    routes, neighbours, forwarding entries, sysctls, the nftables table C(inet stowage), the Docker network
    C(stowage) - and installs a unit that does the same before Docker starts at boot.
  - With O(state=absent) it removes all of that.
  - With O(state=keyed) it has a WireGuard key on the host, C(/etc/stowage/wireguard.key), and returns its public half.
  - With O(state=probed) it sends echo requests of full size, which may not be fragmented, to other hosts, by their own
    addresses and through the tunnel, and fails (C(STW-MTU)) with path and size where large packets are lost. Ways on
    which nothing comes back are warnings. It changes nothing.
  - With O(state=status) it tells the claim, what differs, the ways, the sessions, and what a firewall lacks.
  - It touches nothing that is not the fleet's. Only what differs is changed, and every changed object is named.
options:
  state:
    description: What to do.
    type: str
    choices: [observed, keyed, present, absent, probed, status]
    default: present
  rotate:
    description: With O(state=keyed), make a new key. The next O(state=present) uses it and forgets the old one.
    type: bool
    default: false
  name:
    description: Name of this host in the fleet. Required for O(state=present).
    type: str
  address:
    description: Address by which the other hosts reach this one, for O(state=observed).
    type: str
    default: ''
  table:
    description: The fleet table, as M(stowage.fleet.network_plan) returns it. Required for O(state=present).
    type: dict
  engine:
    description: Whether to keep the Docker network. Without it, only the kernel is converged.
    type: bool
    default: true
requirements:
  - iproute2 5.0 or later, nftables 0.9.7 or later
  - docker SDK for Python 5.0 or later
attributes:
  check_mode:
    support: full
    description: Names what differs and changes nothing.
  diff_mode:
    support: full
    description: One line per object that differs.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Observe the host's networks
  stowage.fleet.host_network:
    state: observed
    address: 192.0.2.11
  register: __network_observed

- name: Have a key of the host's own
  stowage.fleet.host_network:
    state: keyed
  register: __network_key

- name: Plan the fleet's blocks
  stowage.fleet.network_plan:
    observed: __network_observed
  run_once: true
  register: __network_planned

- name: Converge the host's network
  stowage.fleet.host_network:
    name: "{{ inventory_hostname }}"
    table: "{{ __network_planned.table }}"

- name: Look for ways that lose large packets
  stowage.fleet.host_network:
    state: probed

- name: Remove everything the fleet's network put on the host
  stowage.fleet.host_network:
    state: absent
"""

RETURN = r"""
changes:
  description: Every object that differed, one line each.
  returned: when O(state) is V(present), V(absent) or V(keyed)
  type: list
  elements: str
  sample: [add route 10.128.6.0/24, repair table inet stowage]
public_key:
  description: The public half of the host's key; empty in check mode where there is none yet.
  returned: when O(state=keyed)
  type: str
held:
  description: The fleet table this host holds, with its name; null if it holds none.
  returned: when O(state=observed)
  type: dict
addresses:
  description: The host's own addresses.
  returned: when O(state=observed)
  type: list
  elements: str
mtu:
  description: MTU of the device that has O(address); null if none has it.
  returned: when O(state=observed)
  type: int
links:
  description: Network and MTU of each of these addresses, as C(network) and C(mtu).
  returned: when O(state=observed)
  type: dict
devices:
  description: MTU of each device.
  returned: when O(state=observed)
  type: dict
routing:
  description: Whether the host's FRR is configured by M(stowage.fleet.host_frr).
  returned: when O(state=observed)
  type: bool
networks:
  description: Every IPv4 network the host knows that is not the fleet's, as C(cidr), C(kind) and C(what).
  returned: when O(state=observed)
  type: list
  elements: dict
pools:
  description: The networks from which the host's Docker Engine takes subnets for new networks.
  returned: when O(state=observed)
  type: list
  elements: str
  sample: [172.17.0.0/16, 192.168.0.0/16]
ways:
  description: Ways to other hosts. C(underlay) and C(tunnel) are the largest underlay packets that came back, in bytes.
  returned: when O(state) is V(probed) or V(status)
  type: list
  elements: dict
  sample: [{to: n2, address: 192.0.2.12, wanted: 1500, underlay: 1500, tunnel: 1500, ms: 0.21}]
claim:
  description: This host's entry of the fleet table; null if it holds none.
  returned: when O(state=status)
  type: dict
drift:
  description: What O(state=present) would change, one line each.
  returned: when O(state=status)
  type: list
  elements: str
health:
  description: BGP sessions, as M(stowage.fleet.host_frr) tells them; empty where the mode has none.
  returned: when O(state=status)
  type: dict
firewall:
  description: Commands that firewalld or ufw still have to be told.
  returned: when O(state=status)
  type: list
  elements: str
problems:
  description: Why it refused, as C(code), C(place), C(reason) and C(fix).
  returned: on refusal
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine import networks
from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import EngineError
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.network import (
    advice,
    blocks,
    converge,
    frr_host,
    host,
    paths,
    probe,
    settings,
    tables,
    wireguard,
)

ARGUMENTS = {
    "state": {
        "type": "str",
        "choices": ["observed", "keyed", "present", "absent", "probed", "status"],
        "default": "present",
    },
    "name": {"type": "str"},
    "address": {"type": "str", "default": ""},
    "table": {"type": "dict"},
    "rotate": {"type": "bool", "default": False},
    "engine": {"type": "bool", "default": True},
}


def observed(module: AnsibleModule) -> dict:
    """What the plan needs to know of this host."""
    docker = networks.docker_networks() if module.params["engine"] else None
    return {
        "changed": False,
        "held": converge.load_state(),
        "networks": host.host_networks(docker or {}),
        "pools": networks.docker_pools() if docker is not None else [],
        "routing": frr_host.ours(),
        **host.underlay(module.params["address"]),
    }


def keyed(module: AnsibleModule) -> dict:
    """A key of this host's own; only its public half is told."""
    changes = wireguard.make_key(module.params["rotate"], module.check_mode)
    return {"changed": bool(changes), "changes": changes, "public_key": wireguard.public_key()}


def present(module: AnsibleModule) -> dict:
    """Converge; the state is on disk before the kernel is touched, so that a reboot finishes what was begun."""
    check = module.check_mode
    state = {**module.params["table"], "name": module.params["name"]}
    state["native"] = host.native(state)
    entry = converge.own(state)
    docker = networks.docker_networks() if module.params["engine"] else None
    raise_all(settings.overlaps(entry["block"], host.host_networks(docker or {}), f"host {state['name']}"))
    files = host.write(host.files(state), check)
    changes = [f"write {path}" for path in files] + wireguard.use_key(state, check)
    changes += converge.converge(state, tables.base_table(state), check)
    changes += host.enable_unit(bool({host.UNIT_PATH, host.DROP_IN} & set(files)), check)
    warnings: list = []
    if module.params["engine"]:
        made, warnings = _docker_network(state, entry, check, docker is None)
        changes += made
    told = advice.sentence(advice.advice(state))
    return {"changed": bool(changes), "changes": changes, "warnings": warnings + [told] * bool(told)}


def _docker_network(state: dict, entry: dict, check: bool, silent: bool) -> tuple:
    if silent and check:  # a fresh host: the engine itself would only be installed by this run
        return [f"create Docker network {networks.NAME}"], []
    api = networks.open_api()
    major = networks.engine_major(api)
    want = networks.wanted(state["fleet"], entry, blocks.ip_range(entry["block"]), state["mtu"], major)
    return networks.keep(api, want, check)


def absent(module: AnsibleModule) -> dict:
    """Remove all of it, the Docker network first: it refuses while containers are there."""
    check = module.check_mode
    changes: list = []
    if module.params["engine"] and networks.docker_networks() is not None:
        changes += networks.remove(networks.open_api(), check)
    changes += host.disable_unit(check)
    changes += converge.clear(check)
    changes += [f"remove {path}" for path in host.remove(check)]
    return {"changed": bool(changes), "changes": changes}


def probed(_module: AnsibleModule) -> dict:
    """How the ways to the other hosts are; a black hole is a failure."""
    state = converge.load_state()
    if state is None:
        return {"changed": False, "ways": []}
    me, ways = converge.own(state), probe.ways(state)
    raise_all(paths.problems(state["name"], ways, blocks.overhead(me["address"], bool(state.get("encryption")))))
    return {"changed": False, "ways": ways, "warnings": paths.warnings(state["name"], ways, state["port"])}


def status(_module: AnsibleModule) -> dict:
    """Everything a status shows; what cannot be told is what is wrong."""
    state = converge.load_state()
    if state is None:
        return {"changed": False, "claim": None, "drift": [], "ways": [], "health": {}, "firewall": []}
    try:
        drift = [f"write {path}" for path in host.write(host.files(state), check=True)]
        drift += converge.converge(state, tables.base_table(state), check=True)
        drift += host.enable_unit(False, check=True)
        drift += frr_host.apply(state, check=True) if "bgp" in state else []
    except (converge.NetworkError, OSError) as error:
        drift = [f"cannot be told: {error}"]
    return {
        "changed": False,
        "claim": {**converge.own(state), "mtu": state["mtu"]},
        "drift": drift,
        "ways": probe.ways(state),
        "health": frr_host.bgp_health(state),
        "firewall": advice.advice(state),
    }


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[("state", "present", ("name", "table"))],
        supports_check_mode=True,
    )
    states = {"observed": observed, "keyed": keyed, "present": present, "absent": absent}
    work = {**states, "probed": probed, "status": status}[module.params["state"]]
    try:
        result = work(module)
    except (converge.NetworkError, EngineError, OSError) as error:
        fix = "see docs/network.md, section When something is wrong"
        refusal = StowageError(Problem("STW-NETWORK", "the host's network", str(error), fix))
        module.fail_json(msg=str(refusal), problems=[problem.as_dict() for problem in refusal.problems])
    except StowageError as error:
        module.fail_json(msg=str(error), problems=[problem.as_dict() for problem in error.problems])
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.get("changes"):
        result["diff"] = {"prepared": "".join(f"{line}\n" for line in result["changes"])}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
