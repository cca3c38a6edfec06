# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Revisions of pulled configuration in a plan."""

from __future__ import annotations

from ansible_collections.stowage.fleet.plugins.module_utils.engine import configured, payload, secret_sets
from ansible_collections.stowage.fleet.plugins.module_utils.pulled import planned, tasks
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import changes
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load

STACK = """
services:
  web:
    image: web:1
    x-stowage:
      config_source:
        type: etcd
        endpoints: ["https://cfg-1:2379/", "https://cfg-2:2379"]
        prefix: /cfg/web
        dir: /run/config/
        require: [b, a]
        stale: last-good
        tls: {ca: ca}
        auth: {secret: login}
  plain: {image: web:1}
configs: {ca: {content: PEM}}
secrets: {login: {file: stack.yml}}
"""
TASK = {
    "name": "shop_web.1.x",
    "service": "shop_web",
    "stack": "shop",
    "slot": "1",
    "node": "n1",
    "ip": "10.0.0.2",
    "spec": "s",
}


def compiled(tmp_path):
    path = tmp_path / "stack.yml"
    path.write_text(STACK)
    return {one["short"]: one for one in compile_services("shop", load([path], {}), str(tmp_path))["services"]}


def test_what_the_template_says(tmp_path):
    found = compiled(tmp_path)
    assert found["web"]["template"]["config"] == {
        "type": "etcd",
        "endpoints": ["https://cfg-1:2379", "https://cfg-2:2379"],
        "prefix": "/cfg/web",
        "dir": "/run/config",
        "tries": 5,
        "revision": "",
        "require": ["a", "b"],
        "stale": True,
        "ca": "PEM",
    }
    assert found["web"]["template"]["shim"] == {"env": {}, "pull": tasks.patience(5, 2)}
    (file,) = found["web"]["template"]["files"]
    assert (file["kind"], file["target"], file["mode"], file["host"]) == ("secret", tasks.CREDENTIAL, 0o400, True)
    assert "config" not in found["plain"]["template"]
    assert "shim" not in found["plain"]["template"]


def test_the_credential_is_on_the_host_and_in_no_container(tmp_path):
    template = compiled(tmp_path)["web"]["template"]
    made = payload.secret_set(template, TASK)
    assert secret_sets.mounts(made) == []
    record = configured.record(template["config"], TASK, made)
    assert record["credential"] == f"/run/stowage/secrets/{made['path']}/{made['files'][0]['at']}"
    assert record["ca"] == "PEM"
    sources = {mount["Source"]: mount["Target"] for mount in configured.mounted(template, TASK)}
    assert sources == {
        "/run/stowage/config/shop_web.1.x/gate": "/.stowage-config",
        "/run/stowage/config/shop_web.1.x/files": "/run/config",
    }


def test_a_revision_is_part_of_the_definition(tmp_path):
    service = compiled(tmp_path)["web"]
    made, warned = planned.revised(service, planned.Answer("r2", ["a", "b"]), "r1")
    assert made["template"]["config"]["revision"] == made["template"]["labels"]["stowage.config.rev"] == "r2"
    assert warned == []
    holder = {"image": "web:1", "config": "r1"}
    assert changes._difference_words(made, holder) == "its configuration in the store changed (etcd /cfg/web)"
    assert changes._difference_words(made, {**holder, "config": "r2"}) == "its definition changed"


def test_a_store_that_is_silent_changes_nothing(tmp_path):
    service = compiled(tmp_path)["web"]
    silent = planned.Answer(reason="cfg-1 does not answer")
    made, (warned,) = planned.revised(service, silent, "r1")
    assert made["template"]["config"]["revision"] == "r1"
    assert warned.endswith("what runs counts as the newest")
    made, (warned,) = planned.revised(service, silent, "")
    share = {"services": {"s": made["template"]}, "tasks": [TASK]}
    (problem,) = planned.unknown({"steps": [{"phase": "start", "hosts": {"n1": share}}]})
    assert (problem.code, problem.place) == ("STW-CONFIGSOURCE", "service shop_web: etcd /cfg/web")


def test_what_is_required_is_looked_for(tmp_path):
    service = compiled(tmp_path)["web"]
    (problem,) = planned.problems(service, planned.Answer("r", ["a"]))
    assert "the store has no b" in problem.reason
    assert planned.problems(service, planned.Answer("r", None)) == []
    assert len(planned.problems(service, planned.Answer(reason="says 403", refused=True))) == 1


def test_the_revision_that_runs_is_what_all_agree_on():
    one = {"service": "a", "config": "1"}
    assert planned.running([one, one, {"service": "b"}]) == {"a": "1"}
    assert planned.running([one, {**one, "config": "2"}]) == {}
