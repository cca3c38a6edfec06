# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The engine room on real hosts: the modules host_state and host_apply against a real Docker Engine."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab
ROOT = Path(__file__).resolve().parents[2]
HEALTHCHECK = {
    "test": ["CMD", "curl", "-fsS", "http://127.0.0.1:8080/health"],
    "interval": 0.5,
    "timeout": 2,
    "retries": 2,
}
APP = {"image": "stowage/app:1.0", "healthcheck": HEALTHCHECK, "stop_grace_period": 1}


class Host:
    """One lab host and its modules, called as Ansible calls them."""

    def __init__(self, fleet):
        self.fleet, self.node = fleet, fleet.nodes[-1]
        observed = self.observe()
        block = ipaddress.ip_network(observed["network"]["claim"]["block"])
        self.addresses = [str(address) for address in list(block.hosts())[20:60]]

    def call(self, module, **arguments):
        """A module's result."""
        binary = str(Path(os.sys.executable).parent / "ansible")
        argv = [binary, self.node, "-i", str(self.fleet.directory / "hosts.yml")]
        more = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_DEPRECATION_WARNINGS": "false"}
        done = subprocess.run(
            [*argv, "-m", f"stowage.fleet.{module}", "-a", json.dumps(arguments)],
            cwd=ROOT,
            env={**self.fleet.environment(), **more},
            text=True,
            capture_output=True,
            timeout=200,
            check=False,
        )
        assert "{" in done.stdout, done.stdout + done.stderr
        return json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{") :])[0]

    def observe(self):
        return self.call("host_state", fleet="test")["observation"]

    def apply(self, phase, share=None, run="r1", **more):
        share = {"fleet": "test", "domain": "fleet", **(share or {})}
        result = self.call("host_apply", run={"id": run, "holder": f"lab {run}"}, phase=phase, share=share, **more)
        assert "problems" in result, result
        return result

    def start(self, *tasks, template=None, volumes=(), **more):
        share = {
            "services": {task["spec"]: template or APP for task in tasks},
            "tasks": list(tasks),
            "volumes": list(volumes),
        }
        return self.apply("start", share, **more)

    def task(self, number, **given):
        spec = hashlib.sha256(json.dumps([number, given.pop("of", "app")]).encode()).hexdigest()
        base = {
            "name": f"eng_web.{number}.{spec[:8]}",
            "service": "eng_web",
            "stack": "eng",
            "slot": str(number),
            "node": self.node,
            "ip": self.addresses[number],
            "spec": spec,
            "do": "create",
            "replaces": None,
            "order": "start-first",
            "monitor": 0.0,
            "ready_timeout": 30.0,
            "one_shot": False,
            "publish": True,
        }
        return {**base, **given}

    def inspect(self, task, what):
        return json.loads(self.fleet.shell(self.node, f"docker inspect -f '{{{{json {what}}}}}' {task['name']}"))

    def state(self, task):
        found = [c["state"] for c in self.observe()["containers"] if c["name"] == task["name"]]
        return found[0] if found else "absent"


@pytest.fixture
def host(fleet):
    """A host, locked by run r1."""
    found = Host(fleet)
    fleet.shell(found.node, "rm -f /run/stowage/lock.json")
    assert found.apply("prepare", {"images": ["stowage/app:1.0", "stowage/app:broken"]})["problems"] == []
    yield found
    found.apply("release")


def test_many_tasks_start_with_their_addresses_and_again_nothing_changes(host):
    tasks = [host.task(n) for n in range(6)]
    result = host.start(*tasks)
    assert [(t["ok"], t["health"], t["error"]) for t in result["tasks"]] == [(True, "healthy", "")] * 6
    seen = {c["name"]: c for c in host.observe()["containers"]}
    assert {name: (c["ip"], c["state"], c["health"], c["tampered"]) for name, c in seen.items()} == {
        task["name"]: (task["ip"], "running", "healthy", False) for task in tasks
    }
    network = host.inspect(tasks[0], ".NetworkSettings.Networks.stowage")
    octets = [int(part) for part in tasks[0]["ip"].split(".")]
    assert network["IPAddress"] == tasks[0]["ip"]
    assert network["MacAddress"] == "02:42:" + ":".join(f"{part:02x}" for part in octets)
    assert host.start(*tasks)["changed"] is False


def test_the_digest_shows_what_moved_and_the_plan_is_refused_by_name(host):
    tasks = [host.task(n) for n in (1, 2)]
    host.start(*tasks)
    before = host.observe()
    assert host.observe()["digest"] == before["digest"]
    host.fleet.shell(host.node, f"docker stop -t 0 {tasks[0]['name']}; docker rm -f {tasks[1]['name']}")
    found = host.apply("prepare", {"expect": before["objects"]})["problems"]
    assert [(p["code"], p["place"]) for p in found] == [("STW-STALE", f"container {t['name']}") for t in tasks]
    host.apply("prepare")


def test_a_broken_image_shows_its_log_and_leaves_nothing(host):
    old, new = host.task(1), host.task(2, of="broken", ready_timeout=15)
    host.start(old)
    found = host.start(new, template={**APP, "image": "stowage/app:broken"})["tasks"][0]
    assert found["ok"] is False
    assert found["error"]
    assert found["log"]
    assert (host.state(old), host.state(new)) == ("running", "absent")


def test_stop_first_puts_the_old_one_back(host):
    old = host.task(1)
    host.start(old)
    new = host.task(1, of="bad", ip=host.addresses[9], replaces=old["name"], order="stop-first", monitor=2)
    found = host.start(new, template={"image": "stowage/app:1.0", "command": ["false"], "entrypoint": []})["tasks"][0]
    assert (found["ok"], found["restored"]) == (False, True)
    assert (host.state(old), host.state(new)) == ("running", "absent")


def test_one_shot_tasks(host):
    shell = {"image": "stowage/app:1.0", "entrypoint": ["/bin/sh", "-c"], "restart": {"condition": "none"}}
    good, bad = host.task(1, one_shot=True), host.task(2, one_shot=True)
    share = {
        "services": {
            good["spec"]: {**shell, "command": ["exit 0"]},
            bad["spec"]: {**shell, "command": ["echo no; exit 4"]},
        },
        "tasks": [good, bad],
        "volumes": [],
    }
    found = host.apply("start", share)["tasks"]
    assert [(t["ok"], t["error"]) for t in found] == [(True, ""), (False, "exited (4)")]
    assert found[1]["log"] == ["no"]


def test_stop_revive_remove_and_the_volume_stays(host):
    volume = {"name": "eng_data", "driver": "local", "driver_opts": {}, "labels": {}, "stack": "eng", "external": False}
    task = host.task(1)
    template = {**APP, "mounts": [{"type": "volume", "source": "eng_data", "target": "/data"}]}
    assert host.start(task, template=template, volumes=[volume])["tasks"][0]["ok"] is True
    share = {"tasks": [{"name": task["name"], "grace": 1}], "drain": 0.1}
    assert host.apply("stop", share)["changed"] is True
    assert host.state(task) == "exited"
    assert host.apply("revive", {"tasks": [{"name": task["name"], "ready_timeout": 30, "monitor": 0}]})["tasks"][0][
        "ok"
    ]
    assert host.apply("remove", share)["changed"] is True
    seen = host.observe()
    assert seen["volume_claims"] == ["eng_data"]
    assert "eng_data" in [volume["name"] for volume in seen["volumes"]]
    host.fleet.shell(host.node, "docker volume rm eng_data")
    assert "STW-VOLUME" in host.start(task, template=template, volumes=[volume])["tasks"][0]["error"]
    assert host.state(task) == "absent"


def test_configs_and_secrets_reach_the_container_and_nothing_else(host):
    value = "hush-" + os.urandom(8).hex()
    files = [
        {"kind": "config", "name": "c", "target": "/etc/app.conf", "digest": hashlib.sha256(b"conf").hexdigest()},
        {"kind": "secret", "name": "s", "target": "/run/secrets/s", "digest": "5e" * 32, "uid": "7", "mode": 0o400},
    ]
    task = host.task(1)
    config = {files[0]["digest"]: base64.b64encode(b"conf").decode()}
    secret = {files[1]["digest"]: base64.b64encode(value.encode()).decode()}
    result = host.start(task, template={**APP, "files": files}, files=config, secrets=secret)
    assert result["tasks"][0]["ok"] is True
    inside = f"docker exec -u 7 {task['name']}"
    assert host.fleet.shell(host.node, f"{inside} cat /etc/app.conf /run/secrets/s") == "conf" + value
    assert host.fleet.shell(host.node, f"{inside} stat -c %a:%u /run/secrets/s") == "400:7"
    assert "denied" in host.fleet.shell(
        host.node, f"docker exec -u 8 {task['name']} cat /run/secrets/s 2>&1", check=False
    )
    found = host.fleet.shell(
        host.node, f"grep -rl {value} /var/lib/stowage /etc/stowage /var/log 2>/dev/null", check=False
    )
    assert found == ""
    assert value not in host.fleet.shell(host.node, f"docker inspect {task['name']}")
    assert value not in json.dumps(result)
    host.apply("remove", {"tasks": [{"name": task["name"]}], "prune": {"configs": [], "secrets": []}})
    assert host.fleet.shell(host.node, "find /run/stowage/secrets -type f") == ""


def test_docker_restarts_in_the_middle_and_nothing_is_made_twice(host):
    """Fault 4: the module outlasts the Engine; the name is the idempotency key."""
    tasks = [host.task(n, ready_timeout=60) for n in range(4)]
    slow = {**APP, "environment": {"START_DELAY": "4"}, "healthcheck": {**HEALTHCHECK, "start_period": 20}}
    found = {}
    work = threading.Thread(target=lambda: found.update(host.start(*tasks, template=slow)))
    work.start()
    time.sleep(3)
    host.fleet.shell(host.node, "systemctl restart docker")
    work.join(150)
    assert [(t["ok"], t["error"]) for t in found["tasks"]] == [(True, "")] * 4
    assert sorted(c["name"] for c in host.observe()["containers"]) == sorted(task["name"] for task in tasks)


def test_a_killed_call_leaves_its_work_to_the_end_and_the_next_run_waits(host):
    """Fault 9: whoever comes next waits for the flock, then sees whole containers."""
    task = host.task(1)
    binary = str(Path(os.sys.executable).parent / "ansible")
    share = {"fleet": "test", "domain": "fleet", "services": {task["spec"]: APP}, "tasks": [task], "volumes": []}
    arguments = {"run": {"id": "r1", "holder": "lab"}, "phase": "start", "share": share}
    argv = [binary, host.node, "-i", str(host.fleet.directory / "hosts.yml"), "-m", "stowage.fleet.host_apply"]
    process = subprocess.Popen(
        [*argv, "-a", json.dumps(arguments)], cwd=ROOT, env=host.fleet.environment(), start_new_session=True
    )
    until = time.monotonic() + 20
    while not host.fleet.shell(host.node, "docker ps -q -f label=stowage.fleet") and time.monotonic() < until:
        time.sleep(0.1)
    os.killpg(process.pid, 9)
    process.wait()
    assert host.apply("prepare", run="r2")["problems"][0]["code"] == "STW-LOCKED"
    assert host.apply("prepare", run="r2", takeover="r1", lock_wait=60)["problems"] == []
    assert host.state(task) == "running"
    host.apply("release", run="r2")
