"""Issue 2, "Shown by": what a newcomer would try, on real hosts."""

from __future__ import annotations

import json
import re
import subprocess
import time

import pytest
from conftest import Load

pytestmark = pytest.mark.lab

SHOP = """
services:
  web:
    image: stowage/app:{version}
    environment:
      START_DELAY: "0.3"
      NAME: "{{{{.Service.Name}}}}"
      SLOT: "{{{{.Task.Slot}}}}"
      NODE: "{{{{.Node.Hostname}}}}"
    healthcheck:
      test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"]
      interval: 1s
      timeout: 2s
      retries: 3
    deploy:
      replicas: {replicas}
      placement: {{constraints: [node.labels.ingress != true]}}
      update_config: {{parallelism: 1, order: start-first, failure_action: {action}}}
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.services.shop.loadbalancer.server.port: "8080"
{more}
"""
CACHE = """
  cache:
    image: redis:7
    volumes: [data:/data]
volumes:
  data: {}
"""


def shop(version="1.0", replicas=2, action="pause", more=CACHE):
    return SHOP.format(version=version, replicas=replicas, action=action, more=more)


def names(containers):
    return [c["name"] for c in containers]


def test_bootstrap_again_changes_nothing(bootstrapped):
    assert bootstrapped.play("bootstrap").ok().changed == 0


def test_deploy_serves_from_another_host_and_again_changes_nothing(fleet):
    fleet.stack(shop())
    fleet.deploy().ok()
    answer = fleet.get()
    assert answer["host"] != fleet.nodes[0]
    assert answer["version"] == "1.0"
    before = fleet.containers(everything=True)
    again = fleet.deploy().ok()
    assert again.changed == 0
    assert fleet.containers(everything=True) == before


def test_names_resolve_in_glibc_and_musl_on_every_host(fleet):
    clients = """
  glibc:
    image: stowage/tools:1
    command: [sleep, infinity]
    deploy: {mode: global}
  musl:
    image: stowage/musl:1
    deploy: {mode: global}
"""
    fleet.stack(shop(more=clients))
    fleet.deploy().ok()
    addresses = sorted(c["ip"] for c in fleet.containers("shop_web"))
    assert len(addresses) == 2
    own = set()
    for client in fleet.containers("shop_glibc"):
        for name in ("web", "tasks.web", "web.shop.svc.fleet", "shop_web"):
            text = fleet.shell(client["node"], f"docker exec {client['id']} getent ahostsv4 {name}")
            found = sorted({line.split()[0] for line in text.splitlines()})
            assert name != "tasks.web" or found == addresses, (client, name)
            own.update(() if name == "tasks.web" else [tuple(found)])
        url = "http://web:8080/"
        answer = json.loads(fleet.shell(client["node"], f"docker exec {client['id']} curl -fsS {url}"))
        assert answer["name"].startswith("shop_web"), answer
    for client in fleet.containers("shop_musl"):
        for name in ("web", "tasks.web", "web.shop.svc.fleet"):
            text = fleet.shell(client["node"], f"docker exec {client['id']} /get --lookup {name}")
            found = sorted(set(re.findall(r"10\.\d+\.\d+\.\d+", text)))
            assert name != "tasks.web" or found == addresses, (client, name, text)
            own.update(() if name == "tasks.web" else [tuple(found)])
    ((vip,),) = own  # everywhere one and the same address, that of the service
    assert vip not in addresses


def test_scale_changes_only_that_service(fleet):
    fleet.stack(shop(replicas=2))
    fleet.deploy().ok()
    before = fleet.containers()
    fleet.stack(shop(replicas=4))
    fleet.deploy().ok()
    after = fleet.containers()
    assert len(fleet.containers("shop_web")) == 4
    assert [c for c in before if c not in after] == []
    fleet.stack(shop(replicas=2))
    fleet.deploy().ok()
    assert fleet.containers(everything=True) == before


def test_update_under_load_through_the_ingress(fleet, capsys):
    fleet.stack(shop("1.0", replicas=3))
    fleet.deploy().ok()
    with Load(fleet) as load:
        time.sleep(1)
        fleet.stack(shop("1.1", replicas=3))
        fleet.deploy().ok()
        time.sleep(1)
    with capsys.disabled():
        print(f"\nupdate under load: {len(load.bad)} of {load.good + len(load.bad)} requests failed")
    assert load.versions == {"1.0", "1.1"}
    assert {c["image"] for c in fleet.containers("shop_web")} == {"stowage/app:1.1"}
    assert load.bad == []


def test_a_container_stopped_by_hand_is_put_back(fleet):
    fleet.stack(shop())
    fleet.deploy().ok()
    before = fleet.containers()
    victim = fleet.containers("shop_web")[0]
    fleet.shell(victim["node"], f"docker stop -t 1 {victim['id']}")
    run = fleet.deploy().ok()
    assert "start" in run.text
    assert fleet.containers() == before


def test_a_removed_service_goes_and_its_volume_stays(fleet):
    fleet.stack(shop())
    fleet.deploy().ok()
    where = fleet.containers("shop_cache")[0]["node"]
    fleet.stack(shop(more=""))
    fleet.deploy().ok()
    assert [c for c in fleet.containers(everything=True) if c["service"] == "shop_cache"] == []
    assert "shop_data" in fleet.shell(where, "docker volume ls -q")
    fleet.stack(shop())
    fleet.deploy().ok()
    assert fleet.containers("shop_cache")[0]["node"] == where, "the volume holds its service"


def test_a_bad_image_stops_at_the_first_wave_and_the_old_version_serves(fleet):
    fleet.stack(shop("1.0"))
    fleet.deploy().ok()
    before = fleet.containers(everything=True)
    with Load(fleet, threads=2) as load:
        fleet.stack(shop("broken"))
        run = fleet.deploy()
    assert run.rc != 0
    assert "STOPPED" in run.text
    assert "log: " in run.text
    assert fleet.containers(everything=True) == before
    assert load.bad == []
    assert load.good > 0


def test_failure_action_rollback_brings_the_old_version_back(fleet):
    fleet.stack(shop("1.0", replicas=2))
    fleet.deploy().ok()
    before = fleet.containers()
    # The first replacement becomes healthy, the second one does not.
    probe = '[CMD, curl, -fsS, "http://127.0.0.1:8080/health"]'
    text = shop("1.1", replicas=2, action="rollback")
    assert probe in text
    fleet.stack(text.replace(probe, "[CMD-SHELL, 'test $$SLOT != 2']"))
    run = fleet.deploy()
    assert run.rc != 0
    assert "ROLLED BACK" in run.text
    assert fleet.containers() == before
    assert fleet.get()["version"] == "1.0"


def test_check_and_diff_tell_the_truth_and_write_nothing(fleet):
    fleet.stack(shop())
    files = "find /etc/stowage /var/lib/stowage /run/stowage -type f | sort | xargs sha256sum"
    state = f"{files}; docker ps -aq; docker volume ls -q"
    before = [fleet.shell(node, state) for node in fleet.nodes]
    checked = fleet.deploy("--check", "--diff").ok()
    assert [fleet.shell(node, state) for node in fleet.nodes] == before
    done = fleet.deploy("--diff").ok()
    plan = re.compile(r"^\s+[+~>^.!-] shop_.*$", re.MULTILINE)
    assert plan.findall(checked.text) == plan.findall(done.text) != []
    assert fleet.deploy("--check").ok().changed == 0


def test_a_saved_plan_is_carried_out_or_refused_when_stale(fleet):
    fleet.stack(shop())
    saved = fleet.directory / "saved.json"
    fleet.play("plan", "-e", f"stowage_plan_file={saved}").ok()
    assert fleet.containers(everything=True) == []
    fleet.deploy("-e", f"stowage_saved_plan={saved}").ok()
    before = fleet.containers(everything=True)
    assert len(before) == 3
    run = fleet.deploy("-e", f"stowage_saved_plan={saved}")
    assert run.rc != 0
    assert "STW-STALE" in run.text
    assert fleet.containers(everything=True) == before
    fleet.stack(shop("1.1"))
    fleet.play("plan", "-e", f"stowage_plan_file={saved}").ok()
    victim = before[-1]
    fleet.shell(victim["node"], f"docker stop -t 1 {victim['id']}")
    run = fleet.deploy("-e", f"stowage_saved_plan={saved}")
    assert run.rc != 0
    assert victim["name"] in run.text
    assert {c["image"] for c in fleet.containers("shop_web")} == {"stowage/app:1.0"}


def test_two_deploys_at_once_one_proceeds_the_other_names_the_holder(fleet):
    fleet.stack(shop("1.0", replicas=3))
    first = fleet.start("deploy")
    second = fleet.start("deploy")
    texts = [process.communicate(timeout=400)[0] for process in (first, second)]
    codes = sorted((first.returncode, second.returncode))
    both = "\n\n--- the other\n".join(texts)
    assert codes[0] == 0, pytest.fail(both)
    assert codes[1] != 0, pytest.fail(both)
    loser = texts[0] if first.returncode else texts[1]
    assert "STW-LOCKED" in loser
    assert re.search(r"run \d{8}T\d{6}Z-[0-9a-f]{6}", loser)
    assert len(fleet.containers("shop_web")) == 3
    assert fleet.deploy().ok().changed == 0


MOMENTS = {
    "locks are taken": r"^lock the hosts and pull images",
    "containers start": r"^wave 1/\d+: start",
    "started, before anybody was told": r"^wave 1/\d+: tell every host",
    "the last old ones stop": r"drain and stop what wave 2 replaced",
    "in the second wave": r"^wave 2/\d+: start",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_controller_leaves_nothing_behind(fleet, moment):
    fleet.stack(shop("1.0"))
    fleet.deploy().ok()
    fleet.stack(shop("1.1"))
    assert fleet.kill_at(MOMENTS[moment]), "the moment never came"
    fleet.deploy().ok()
    web = fleet.containers("shop_web", everything=True)
    assert [(c["slot"], c["image"], c["state"]) for c in sorted(web, key=lambda c: c["slot"])] == [
        ("1", "stowage/app:1.1", "running"),
        ("2", "stowage/app:1.1", "running"),
    ]
    assert len(fleet.containers(everything=True)) == 3
    assert fleet.deploy().ok().changed == 0
    assert fleet.get()["version"] == "1.1"


def test_a_host_that_is_down_is_unknown_not_empty(fleet, lab_inventory):
    fleet.stack(shop(replicas=2))
    fleet.deploy().ok()
    before = fleet.containers()
    lost = fleet.containers("shop_web")[-1]["node"]
    outer = fleet.outer(lost)
    subprocess.run(["docker", "pause", outer], check=True, capture_output=True)
    try:
        plan = fleet.play("plan").ok()
        assert f"? {lost}" in plan.text
        refused = fleet.deploy()
        assert refused.rc != 0
        assert "STW-UNREACHABLE" in refused.text, refused.text
        fleet.stack(shop("1.1", replicas=2))
        fleet.deploy("-e", "stowage_allow_unknown=true").ok()
    finally:
        subprocess.run(["docker", "unpause", outer], check=True, capture_output=True)
    time.sleep(2)
    after = fleet.containers("shop_web")
    kept = [c for c in before if c["node"] == lost and c["service"] == "shop_web"]
    assert kept
    assert [c for c in after if c["node"] == lost] == kept, "nothing of the lost host was touched"
    assert {c["image"] for c in after if c["node"] != lost} <= {"stowage/app:1.1"}
    fleet.deploy().ok()
    assert {c["image"] for c in fleet.containers("shop_web")} == {"stowage/app:1.1"}


def test_a_host_survives_a_reboot_with_the_same_addresses(fleet):
    fleet.stack(shop(replicas=2))
    fleet.deploy().ok()
    before = fleet.containers()
    node = fleet.containers("shop_web")[0]["node"]
    outer = fleet.outer(node)
    subprocess.run(["docker", "restart", "-t", "5", outer], check=True, capture_output=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if fleet.containers() == before and fleet.get()["version"] == "1.0":
                break
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            pass
        time.sleep(1)
    assert fleet.containers() == before
    seen, deadline = set(), time.monotonic() + 20  # Traefik asks it now and then whether it is well again
    while node not in seen and time.monotonic() < deadline:
        seen.add(fleet.get()["host"])
    assert node in seen, "the ingress reaches the rebooted host's container"
    assert fleet.deploy().ok().changed == 0


def test_a_secret_s_value_is_nowhere_but_in_memory(fleet):
    canary = "canary-7d1f0a52c9"
    more = "secrets:\n  token:\n    file: ./token.txt\n"
    (fleet.directory / "stacks/token.txt").write_text(canary)
    fleet.stack(shop(more=more).replace("    healthcheck:", "    secrets: [token]\n    healthcheck:", 1))
    run = fleet.deploy("-vvv", "--diff").ok()
    assert canary not in run.text
    records = [path for path in (fleet.directory / ".stowage").rglob("*") if path.is_file()]
    assert records
    assert [str(path) for path in records if canary in path.read_text()] == []
    for container in fleet.containers("shop_web"):
        node, name = container["node"], container["id"]
        assert fleet.shell(node, f"docker exec {name} cat /run/secrets/token") == canary
        assert canary not in fleet.shell(node, f"docker inspect {name}; docker logs {name} 2>&1")
        places = "/etc /root /tmp /var/tmp /var/log /var/lib/stowage /var/lib/docker/containers"
        assert fleet.shell(node, f"grep -rl {canary} {places}", check=False) == ""
        assert fleet.shell(node, f"grep -rl {canary} /run/stowage/secrets") != "", "the search finds it where it is"
    before = {c["id"] for c in fleet.containers("shop_web")}
    (fleet.directory / "stacks/token.txt").write_text("another-value")
    fleet.deploy().ok()
    assert not before & {c["id"] for c in fleet.containers("shop_web")}, "a rotated secret rolls its users"
    (fleet.directory / "stacks/token.txt").unlink()


def test_unlock_takes_the_lock_of_a_run_that_is_gone(fleet):
    fleet.stack(shop())
    lease = {
        "run": "20260101T000000Z-abcdef",
        "holder": "somebody@elsewhere",
        "controller": {"host": "elsewhere", "boot": "x", "pid": 1, "started": "1"},
        "since_boot": 0,
        "until_boot": 9e9,
    }
    write = (
        "import json, sys; lease = json.loads(sys.stdin.read());"
        "lease['boot_id'] = open('/proc/sys/kernel/random/boot_id').read().strip();"
        "json.dump(lease, open('/run/stowage/lock.json', 'w'))"
    )
    node = fleet.nodes[1]
    fleet.shell(node, f"mkdir -p /run/stowage; echo '{json.dumps(lease)}' | python3 -c \"{write}\"")
    run = fleet.deploy()
    assert run.rc != 0
    assert "STW-LOCKED" in run.text
    assert "somebody@elsewhere" in run.text
    assert fleet.containers(everything=True) == []
    fleet.play("unlock", "-e", "confirm=wrong").ok()
    assert fleet.deploy().rc != 0
    fleet.play("unlock", "-e", f"confirm={lease['run']}").ok()
    fleet.deploy().ok()
