"""The policy's nft text, as golden text; nft itself reads it behind the base table where there is one."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network import host
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import (
    allocate,
    base_table,
    model,
    policy_table,
)

GOLDEN = Path(__file__).parents[2] / "cases" / "policy"
NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2)]
FRONT, BACK = {"name": "shop_front"}, {"name": "shop_back", "internal": True}
SHARED = {"name": "edge-net.1", "attachable": True}


def service(name, *networks, **more):
    return {"name": name, "stack": name.partition("_")[0], "networks": list(networks), "template": {}, **more}


SERVICES = [
    service("shop_web", FRONT, SHARED, ports=[{"target": 80, "published": 8080, "protocol": "tcp"}]),
    service("shop_db", BACK),
    service("shop_api", BACK, FRONT),
    service("blog_page", SHARED),
    service("shop_agent", template={"network_mode": "host"}),
]


def member(name, ip, node="n1", **more):
    return {"service": name, "ip": ip, "node": node, **more}


MEMBERS = [
    member("shop_web", "10.128.0.10"),
    member("shop_web", "10.128.0.9"),
    member("shop_web", "10.128.1.2", "n2"),
    member("shop_db", "10.128.0.3"),
    member("shop_api", "10.128.1.3", "n2"),
    member("blog_page", "10.128.1.4", "n2"),
    member("shop_agent", "192.0.2.1"),
    member("old_x", "10.128.0.5", stack="old"),
    member("gone_a_b", "10.128.1.6", "n2"),
]


def nft_reads(script):
    if shutil.which("nft") is None or os.geteuid() != 0:
        pytest.skip("nft or root is missing")
    done = subprocess.run(
        ["unshare", "-n", "nft", "-c", "-f", "-"], input=script, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def golden(name, text):
    path = GOLDEN / f"{name}.nft"
    if os.environ.get("STOWAGE_WRITE_CASES"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def whole(node, text):
    return base_table({**allocate({}, NODES, {}, "lab"), "name": node}) + text


@pytest.mark.parametrize("node", ["n1", "n2", "n3"])
def test_the_text_is_as_it_was_and_nft_reads_it(node):
    text = policy_table(model(SERVICES, MEMBERS), node)
    golden(f"networks_{node}", text)
    nft_reads(whole("n1", text))


PG, HTTP = ["tcp", 5432, 5432], ["tcp", 80, 80]
POLICED = [
    service(
        "shop_web",
        FRONT,
        SHARED,
        ports=[{"target": 80, "published": 8080, "protocol": "tcp"}],
        sources=["198.51.100.0/24", "203.0.113.9/32"],
    ),
    service(
        "shop_db",
        BACK,
        closed=True,
        allow=[{"from": "*", "ports": [["udp", 9000, 9010]]}, {"from": "shop_api", "ports": [PG]}],
    ),
    service("shop_api", BACK, FRONT, closed=True),
    service("blog_page", SHARED, allow=[{"from": "shop_db", "ports": []}, {"from": "old_x", "ports": [HTTP, PG]}]),
]


@pytest.mark.parametrize("node", ["n1", "n2"])
def test_who_is_allowed_is_in_the_text_and_nft_reads_it(node):
    text = policy_table(model(POLICED, MEMBERS), node)
    golden(f"allowed_{node}", text)
    nft_reads(whole("n1", text))


def test_only_the_host_that_is_asked_knows_the_client_of_a_published_port():
    text = policy_table(model(POLICED, MEMBERS), "n2")
    for ip in ("10.128.0.9", "10.128.0.10", "10.128.1.2"):
        assert f"{ip} . tcp . 80 : goto from_shop_web" in text
    assert "set published {\n\t\ttype ipv4_addr . inet_proto . inet_service\n\t}" in text


def test_a_base_table_of_an_older_version_is_named(tmp_path, monkeypatch):
    base = tmp_path / "base.nft"
    base.write_text("chain judged")
    monkeypatch.setattr(host.converge, "BASE", str(base))
    with pytest.raises(host.converge.NetworkError, match=r"run stowage.fleet.bootstrap"):
        host.apply_policy("# head\n" + policy_table(model(POLICED, MEMBERS), "n2"), str(tmp_path / "policy.nft"))


def test_the_order_of_what_is_given_does_not_matter():
    wanted = policy_table(model(SERVICES, MEMBERS), "n1")
    for members in itertools.islice(itertools.permutations(MEMBERS), 0, 5000, 97):
        assert policy_table(model(SERVICES[::-1], members), "n1") == wanted


def test_nobody_is_a_table_too():
    nft_reads(whole("n1", policy_table(model([], []), "n1")))


def test_names_that_look_alike_are_kept_apart():
    services = [service("a_x", {"name": "a.b"}), service("a_y", {"name": "a-b"}), service("a_z", {"name": "a_b"})]
    members = [member(f"a_{letter}", f"10.128.0.{n}") for n, letter in enumerate("xyz", 2)]
    text = policy_table(model(services, members), "n1")
    assert text.count("\tset n_a_b_") == 3
    nft_reads(whole("n1", text))


def test_an_address_that_is_given_again_counts_for_its_new_task():
    again = [*MEMBERS, member("blog_page", "10.128.0.3")]
    text = policy_table(model(SERVICES, again), "n1")
    assert text.count("10.128.0.3 : goto") == 2
    assert text.count("10.128.0.3 : goto to_blog_page") == 1
