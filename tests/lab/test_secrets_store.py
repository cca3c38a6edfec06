"""Secrets of a real OpenBao: versions in a plan, values in a deploy, one login; away, denied. make test-secrets"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from conftest import Load
from stores import BAO, Bao

pytestmark = [
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-secrets runs it"),
    pytest.mark.skipif(not BAO, reason="STOWAGE_BAO names OpenBao's program: make test-secrets sets it"),
]
WEB = """
services:
  web:
    image: stowage/app:1.0
    healthcheck: {test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"], interval: 1s, timeout: 3s}
    secrets: [password]
    deploy:
      replicas: 3
      update_config: {parallelism: 1, order: start-first}
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.services.shop.loadbalancer.server.port: "8080"
secrets:
  password: {external: true, x-stowage: {from: "vault:shop/web#password"}}
"""


@pytest.fixture(scope="module")
def bao(tmp_path_factory):
    with Bao(tmp_path_factory.mktemp("bao")) as made:
        yield made


@pytest.fixture
def store(fleet, bao, tmp_path):
    """Points the fleet at the store; store(method, ...) changes how it logs in. Tokens are in files."""
    path = fleet.directory / "group_vars/all/vault.yml"

    def point(auth=None, **more):
        for key in [key for key in auth or {} if key in ("token", "wrapped_secret_id")]:
            kept = tmp_path / key
            kept.write_text(auth.pop(key))
            auth[f"{key}_file"] = str(kept)
        path.write_text(yaml.safe_dump({"stowage_vault": {"address": bao.address, "auth": auth, **more}}))

    yield point
    path.unlink(missing_ok=True)


def values(fleet):
    return {
        fleet.shell(one["node"], f"docker exec {one['name']} cat /run/secrets/password")
        for one in fleet.containers("shop_web")
        if one["state"] == "running"
    }


def test_a_version_is_planned_without_its_value_and_rolls_its_users(fleet, bao, store):
    bao.write(password="one")
    fleet.stack(WEB)
    since = bao.lines()
    store({"method": "token", "token": bao.token("plan")})
    assert "3 to add" in fleet.play("plan").ok().text
    assert not [path for _operation, path in bao.asked(since) if "/data/" in path]
    run = fleet.deploy()
    assert run.rc != 0
    assert "the store does not permit it" in run.text
    assert fleet.containers("shop_web") == []
    store({"method": "token", "token": bao.token("deploy")})
    fleet.deploy().ok()
    assert values(fleet) == {"one"}
    assert fleet.deploy().ok().changed == 0
    bao.write(password="two")
    with Load(fleet) as load:
        fleet.deploy().ok()
    assert values(fleet) == {"two"}
    assert load.good > 0
    assert load.bad == []


def test_one_login_by_a_wrapped_secret_id_that_opens_once(fleet, bao, store):
    bao.write(password="three")
    fleet.stack(WEB)
    wrapped = bao.wrapped()
    auth = {"method": "approle", "role": "stowage", "role_id": bao.role_id(), "wrapped_secret_id": wrapped}
    store(dict(auth))
    since = bao.lines()
    fleet.deploy().ok()
    asked = bao.asked(since)
    assert asked.count(("update", "auth/approle/login")) == 1
    assert [path for _operation, path in asked if "/data/" in path] == ["secret/data/shop/web"]
    assert ("update", "auth/token/revoke-self") in asked
    assert values(fleet) == {"three"}
    fleet.stack(WEB.replace("replicas: 3", "replicas: 4"))
    run = fleet.deploy()
    assert run.rc != 0
    assert "the store refuses the login" in run.text
    assert len(fleet.containers("shop_web")) == 3


def test_a_store_sealed_or_away_stops_a_deploy_before_its_first_change_and_no_plan(fleet, bao, store):
    bao.write(password="four")
    fleet.stack(WEB)
    store({"method": "token", "token": bao.token("deploy")})
    fleet.deploy().ok()
    before = fleet.containers("shop_web")
    with bao.sealed():
        gives_nothing(fleet, "the store is sealed")
    store({"method": "token", "token": "x"}, address="http://127.0.0.1:1")
    gives_nothing(fleet, "the store does not answer")
    assert fleet.containers("shop_web") == before


def gives_nothing(fleet, words):
    """What runs is planned to stay; one more of it cannot be deployed."""
    fleet.stack(WEB)
    assert "3 unchanged" in fleet.play("plan").ok().text
    fleet.stack(WEB.replace("replicas: 3", "replicas: 4"))
    assert "1 to add, 3 unchanged" in fleet.play("plan").ok().text
    run = fleet.deploy()
    assert run.rc != 0
    assert f"STW-VAULT stowage_vault: {words}" in run.text


def test_every_bad_reference_is_told_at_once(fleet, bao, store):
    bao.write(path="shop/other", number=5)
    store({"method": "token", "token": bao.token("deploy")})
    more = "  gone: {external: true, x-stowage: {from: 'vault:shop/gone#x'}}\n"
    more += "  odd: {external: true, x-stowage: {from: 'vault:shop/gone2#x'}}\n"
    fleet.stack(WEB.replace("secrets: [password]", "secrets: [password, gone, odd]") + more)
    run = fleet.deploy()
    assert run.rc != 0
    assert "2 problem(s)" in run.text
    assert run.text.count("there is no such path") >= 2


def test_two_hundred_secrets_of_twenty_services_are_no_burden(fleet, bao, store, capsys):
    for number in range(20):
        bao.write(path=f"many/s{number}", **{f"k{key}": f"value-{number}-{key}" for key in range(10)})
    names = [f"s{number}k{key}" for number in range(20) for key in range(10)]

    def stack(secrets):
        services = {}
        for number in range(20):
            one = {"image": "stowage/app:1.0", "deploy": {"replicas": 1}}
            keys = [f"s{number}k{key}" for key in range(10)]
            services[f"s{number}"] = {**one, "secrets": keys} if secrets else one
        stores = {name: {"external": True, "x-stowage": {"from": _reference(name)}} for name in names}
        return yaml.safe_dump({"services": services, **({"secrets": stores} if secrets else {})})

    auth = {"method": "approle", "role": "stowage", "role_id": bao.role_id(), "wrapped_secret_id": bao.wrapped()}
    store(auth)
    seconds = {}
    for secrets in (False, True):
        fleet.wipe()
        fleet.stack(stack(secrets))
        since = bao.lines()
        seconds[secrets] = fleet.deploy().ok().seconds
    asked = [path for _operation, path in bao.asked(since)]
    assert len([path for path in asked if path.endswith("/login")]) == 1
    assert len([path for path in asked if "/data/" in path]) == 20
    one = fleet.containers("shop_s7")[0]
    assert fleet.shell(one["node"], f"docker exec {one['name']} cat /run/secrets/s7k3") == "value-7-3"
    with capsys.disabled():
        print(f"\n20 services: {seconds[False]:.1f} s, with 200 secrets of the store {seconds[True]:.1f} s")
    assert seconds[True] - seconds[False] <= 3


def _reference(name):
    service, _k, key = name.rpartition("k")
    return f"vault:many/{service}#k{key}"


def test_a_job_s_jwt_logs_in_once_and_no_second_time_when_it_is_not_its_own(fleet, bao, store, tmp_path):
    bao.write(password="by a job")
    fleet.stack(WEB)
    token = tmp_path / "job"
    token.write_text(bao.job())
    auth = {"method": "jwt", "role": "ci", "jwt_file": str(token)}
    store(dict(auth))
    since = bao.lines()
    fleet.deploy().ok()
    asked = bao.asked(since)
    assert asked.count(("update", "auth/jwt/login")) == 1
    assert ("update", "auth/token/revoke-self") in asked
    assert values(fleet) == {"by a job"}
    head, body, _signature = token.read_text().split(".")
    token.write_text(f"{head}.{body}.{'A' * 342}")
    fleet.stack(WEB.replace("replicas: 3", "replicas: 4"))
    run = fleet.deploy()
    assert run.rc != 0
    assert "the store refuses the login" in run.text
    assert len(fleet.containers("shop_web")) == 3


def test_a_store_of_version_1_serves_and_a_new_value_rolls(fleet, bao, store):
    bao.old("shop/web", password="old one")
    fleet.stack(WEB)
    store({"method": "token", "token": bao.token("deploy")}, mount="old", version=1)
    fleet.deploy().ok()
    assert values(fleet) == {"old one"}
    assert fleet.deploy().ok().changed == 0
    bao.old("shop/web", password="new one")
    assert "3 to replace" in fleet.play("plan").ok().text
    fleet.deploy().ok()
    assert values(fleet) == {"new one"}


def test_no_value_is_left_on_the_controller(fleet, bao, store):
    bao.write(password="canary-b4c0d1")
    fleet.stack(WEB)
    store({"method": "token", "token": bao.token("deploy")})
    run = fleet.deploy("-vvvvv", "--diff").ok()
    assert "canary-b4c0d1" not in run.text
    argv = ["grep", "-rl", "canary-b4c0d1", str(fleet.directory)]
    left = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert left.stdout == ""
    until = time.monotonic() + 10
    while held := list(Path("/tmp").glob("stowage-*/values")):
        assert time.monotonic() < until, held
        time.sleep(0.2)
