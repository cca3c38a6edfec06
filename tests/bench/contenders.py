# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ways to get the same containers onto the same hosts. prepare() and clear() are outside the measured time."""

from __future__ import annotations

import json
import time
from shlex import quote
from subprocess import PIPE, Popen

import yaml
from hosts import ADDRESSES, CACHE, FOLDER, LIST, ROOT, everywhere, run, ssh

STACK = ROOT / "tests/bench/stack.yml"
SERVICES = yaml.safe_load(STACK.read_text())["services"]
MANAGER, *WORKERS = ADDRESSES
OURS = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(FOLDER / "hosts.yml")]
LOOP = [str(ROOT / ".cache/bench-venv/bin/ansible-playbook"), *OURS[1:], "-e", f"@{CACHE / 'loop.json'}"]


class Ours:
    """ansible-playbook stowage.fleet.deploy, on hosts that bootstrap has prepared."""

    file = FOLDER / "stacks/bench.yml"

    def prepare(self):
        self.file.parent.mkdir(exist_ok=True)
        self.file.write_text(STACK.read_text())

    def deploy(self, log):
        return run([*OURS, "stowage.fleet.deploy"], log, FOLDER)

    def clear(self):
        self.file.unlink()
        run([*OURS, "stowage.fleet.deploy", "-e", "stowage_prune_stacks=bench"], "prune", FOLDER)


class Loop:
    """A playbook that loops community.docker.docker_container over each host's containers."""

    def prepare(self):
        tasks = [(name, slot) for name, service in SERVICES.items() for slot in range(service["deploy"]["replicas"])]
        share = {node: [] for node in ADDRESSES}
        for number, (name, slot) in enumerate(tasks):
            spec = {"image": SERVICES[name]["image"], "environment": SERVICES[name].get("environment", {})}
            share[list(share)[number % len(share)]].append({"name": f"bench_{name}_{slot + 1}", **spec})
        (CACHE / "loop.json").write_text(json.dumps({"bench_containers": share}))
        # Containers that find each other by name need a network that is not Docker's default: the others have one too.
        everywhere("docker network create bench")

    def deploy(self, log):
        return run([*LOOP, "tests/bench/loop.playbook"], log)

    def clear(self):
        everywhere(f"{LIST} | xargs docker rm -f >/dev/null; docker network rm bench")


class Engines(Loop):
    """No orchestrator: one process per host asks its engine for the loop's containers. What is left is a floor."""

    def deploy(self, log):
        share = json.loads((CACHE / "loop.json").read_text())["bench_containers"]
        script = (ROOT / "tests/bench/engines.py").read_text()
        began = time.monotonic()
        commands = [ssh(node, f"python3 - {quote(json.dumps(share[node]))}") for node in ADDRESSES]
        calls = [Popen(command, stdin=PIPE, text=True) for command in commands]
        for call in calls:
            call.stdin.write(script)
            call.stdin.close()
        if any(call.wait() for call in calls):
            raise SystemExit(f"{log}: an engine refused")
        return time.monotonic() - began, ""


class Swarm:
    """docker stack deploy on a Swarm of the same engines, which exists only while it is this contender's turn."""

    def prepare(self):
        # Its own VXLAN port: 4789 is the fleet's. The service `warm` keeps the overlay network set up on every host.
        init = f"docker swarm init --advertise-addr {ADDRESSES[MANAGER]} --data-path-port 4790"
        token = everywhere(f"{init} >/dev/null; docker swarm join-token -q worker", [MANAGER])[MANAGER]
        everywhere(f"docker swarm join --token {token} {ADDRESSES[MANAGER]}:2377", WORKERS)
        warm = "--mode global --endpoint-mode dnsrr --network bench --name warm redis:7"
        create = "docker network create -d overlay bench; docker service create -q --no-resolve-image"
        everywhere(f"{create} {warm}", [MANAGER])

    def deploy(self, log):
        with STACK.open() as stack:
            return run(ssh(MANAGER, "docker stack deploy --resolve-image=never -c - bench"), log, stdin=stack)

    def clear(self):
        everywhere("docker service ls -q | xargs docker service rm >/dev/null", [MANAGER])
        until = time.monotonic() + 180
        # Leaving before the tasks are gone would make Swarm start them anew on those who stay.
        while any(everywhere(f"{LIST} --filter name=^warm").values()):
            if time.monotonic() > until:
                raise SystemExit("Swarm does not remove its containers")
            time.sleep(2)
        everywhere("docker swarm leave --force; docker network rm docker_gwbridge", [*WORKERS, MANAGER])
