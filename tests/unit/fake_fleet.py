"""A fleet in memory for tests of logic: hosts that carry out shares as host_apply does, without an engine."""

from __future__ import annotations

import copy

from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest
from ansible_collections.stowage.fleet.plugins.module_utils.rollout.steps import number

POLICY = {
    "parallelism": 1,
    "delay": 0.0,
    "monitor": 0.0,
    "order": "start-first",
    "failure_action": "pause",
    "max_failure_ratio": 0.0,
}


def service(name, stack="shop", **given):
    """A Service value with defaults; `image` and other template keys go into the template."""
    template = {"image": given.pop("image", "app:1"), "restart": {"condition": "any", "max_attempts": 0}}
    template.update(given.pop("template", {}))
    update = {**POLICY, **given.pop("update", {})}
    base = {
        "name": f"{stack}_{name}",
        "stack": stack,
        "short": name,
        "mode": "replicated",
        "replicas": 1,
        "placement": {
            "constraints": [],
            "preferences": [],
            "max_replicas_per_node": 0,
            "strategy": None,
            "hosts": [],
        },
        "reservations": {},
        "ports": [],
        "update": update,
        "rollback": {**POLICY, **given.pop("rollback", {})},
        "drain": 0.0,
        "depends_on": [],
        "labels": {},
        "aliases": [],
        "volumes": [],
        "healthcheck": True,
        "ready_timeout": 60.0,
        "template": template,
    }
    base["placement"].update(given.pop("placement", {}))
    return {**base, **given}


def volume(name):
    """A local named volume of a Service."""
    return {"name": name, "driver": "local", "driver_opts": {}, "labels": {}, "external": False}


def compiled(*services):
    """What the spec room gives for all stacks."""
    stacks = sorted({entry["stack"] for entry in services} | {"shop"})
    return {"services": list(services), "files": {}, "warnings": [], "stacks": stacks}


class FakeFleet:
    """Hosts with containers, volumes and endpoints; `down` hosts do not answer."""

    def __init__(self, names=("n1", "n2", "n3")):
        self.names = list(names)
        self.down = set()
        self.broken_images = set()
        kinds = {"containers": dict, "volumes": list, "claims": list, "states": dict, "tasks": list, "vips": dict}
        self.hosts = {name: {kind: make() for kind, make in kinds.items()} for name in names}
        self.vips = "10.143.0.0/16"
        self.log = []

    def fleet(self):
        nodes = [
            {
                "name": name,
                "address": f"192.0.2.{at + 1}",
                "labels": {},
                "role": "worker",
                "availability": "active",
                "reserved": {},
                "ingress": at == 0,
            }
            for at, name in enumerate(self.names)
        ]
        return {"name": "test", "domain": "fleet", "network": {}, "nodes": nodes, "ingress": {"domain": "fleet"}}

    def observe(self):
        return {name: self._observation(at, name) for at, name in enumerate(self.names) if name not in self.down}

    def _observation(self, at, name):
        host = self.hosts[name]
        containers = [copy.deepcopy(host["containers"][key]) for key in sorted(host["containers"])]
        objects = {f"container {c['name']}": digest([c["spec"], c["state"]]) for c in containers}
        return {
            "schema": 1,
            "node": name,
            "engine": {"version": "20.10.24", "api": "1.41", "os": "linux", "arch": "x86_64", "labels": {}},
            "capacity": {"cpus": 4, "memory": 8 * 2**30},
            "containers": containers,
            "foreign": {"containers": [], "ports": []},
            "volumes": [{"name": v, "driver": "local", "stack": "shop", "labels": {}} for v in host["volumes"]],
            "volume_claims": list(host["claims"]),
            "volume_states": dict(host["states"]),
            "network": {
                "claim": {"index": at, "block": f"10.128.{at}.0/24", "vips": self.vips},
                "address": f"192.0.2.{at + 1}",
            },
            "endpoints": {
                "digest": self.endpoint_digest(host["vips"], host["tasks"]),
                "tasks": copy.deepcopy(host["tasks"]),
                "vips": dict(host["vips"]),
            },
            "lock": None,
            "busy": False,
            "objects": objects,
            "digest": digest(objects),
        }

    @staticmethod
    def endpoint_digest(vips, tasks):
        plain = [{key: task[key] for key in ("service", "slot", "node", "ip")} for task in tasks]
        return digest([dict(vips), sorted(plain, key=str)])

    def digests(self, services, tasks):
        vips = {one["name"]: one["vip"] for one in services if one.get("vip")}
        return {name: self.endpoint_digest(vips, tasks) for name in self.names}

    def plan(self, wanted, **options):
        return rollout.plan(self.fleet(), wanted, self.observe(), self.digests, options)

    def apply(self, plan, stop_after=None):
        """Carry a plan out; a controller killed after step `stop_after` does no more. Returns the last state."""
        state = rollout.begin(plan["serving"])
        for step in plan["steps"]:
            if stop_after is not None and step["id"] >= stop_after:
                return state
            state = self._step(plan, state, step)
        if state["rollback"] and not state["abort"]:
            back = number(rollout.rollback_steps(plan, state, sorted(plan["expect"])))
            state = rollout.resume(state)
            for step in back:
                state = self._step(plan, state, step)
            state = {**state, "rolled_back": True}
        return state

    def _step(self, plan, state, step):
        if rollout.skips(state, step):
            return state
        entered, results = rollout.enter(state, step), {}
        step = rollout.due(entered, step)
        for node in step["hosts"]:
            if node not in self.down:
                if step["phase"] == "endpoints":
                    found = plan["services"].values()
                    self.hosts[node]["vips"] = {one["name"]: one["vip"] for one in found if one.get("vip")}
                results[node] = self._carry_out(node, step["phase"], rollout.share(entered, step, node), entered)
        return rollout.judge(plan, state, step, results)

    def _carry_out(self, node, phase, share, state):
        host, tasks = self.hosts[node], []
        if phase == "endpoints":
            host["tasks"] = [{k: t[k] for k in ("service", "slot", "node", "ip")} for t in state["serving"]]
        if "stop" in share:
            self._carry_out(node, "stop", share["stop"], state)
        for task in share.get("tasks", []):
            self.log.append((phase, node, task["name"]))
            if phase == "start":
                tasks.append(self._start(host, task, share))
            elif phase == "stop":
                host["containers"][task["name"]].update(state="exited", exit_code=0, health="none")
            elif phase == "remove":
                assert host["containers"][task["name"]]["state"] != "running", "removed while running"
                del host["containers"][task["name"]]
        return {"changed": True, "tasks": tasks, "problems": []}

    def _start(self, host, task, share):
        for wanted in share["volumes"]:
            if wanted["name"] not in host["volumes"]:
                host["volumes"].append(wanted["name"])
                host["claims"].append(wanted["name"])
        template = share["services"].get(task["spec"], {})
        if template.get("image") in self.broken_images:
            restored = bool(task["replaces"])
            if restored:
                host["containers"][task["replaces"]].update(state="running", health="healthy")
            return {**task, "ok": False, "error": "exited (1)", "log": ["boom"], "restored": restored}
        if task["do"] == "create":
            assert task["name"] not in host["containers"], "created twice"
            host["containers"][task["name"]] = {
                "id": digest(task["name"])[:12],
                "name": task["name"],
                "stack": task["stack"],
                "service": task["service"],
                "slot": task["slot"],
                "spec": task["spec"],
                "ip": task["ip"],
                "exit_code": 0,
                "image": template["image"],
                "tampered": False,
                **{key: task[key] for key in ("devices", "ports") if key in task},
            }
        if task.get("live"):
            host["containers"][task["name"]]["live"] = digest(task["live"]["files"])
        if task["one_shot"]:
            host["containers"][task["name"]].update(state="exited", health="none")
        else:
            host["containers"][task["name"]].update(state="running", health="healthy")
        return {**task, "ok": True, "state": "running", "error": ""}

    def running(self, service=None):
        """{container name: image} of what runs."""
        return {
            c["name"]: c["image"]
            for host in self.hosts.values()
            for c in host["containers"].values()
            if c["state"] == "running" and (service is None or c["service"] == service)
        }
