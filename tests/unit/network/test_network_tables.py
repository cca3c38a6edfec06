"""Blocks' arithmetic and the text of the nftables tables; nft itself reads them where there is one."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import (
    address_pool,
    allocate,
    base_table,
    container_mac,
    gateway,
    ip_range,
    service_table,
    vtep,
    vtep_mac,
)

NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2, 3)]


def nft_reads(script):
    if shutil.which("nft") is None or os.geteuid() != 0:
        pytest.skip("nft or root is missing")
    done = subprocess.run(
        ["unshare", "-n", "nft", "-c", "-f", "-"], input=script, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def service(name, *ports):
    keys = ("published", "target", "protocol", "mode")
    return {"name": name, "ports": [dict(zip(keys, port, strict=True)) for port in ports]}


def task(name, node, ip, slot="1"):
    return {"service": name, "slot": slot, "node": node, "ip": ip}


def test_a_block_is_cut_the_same_way_at_every_size():
    assert (address_pool("10.1.2.0/24")[0], address_pool("10.1.2.0/24")[-1]) == ("10.1.2.2", "10.1.2.191")
    assert (ip_range("10.1.2.0/24"), gateway("10.1.2.0/24"), vtep("10.1.2.0/24")) == (
        "10.1.2.224/27",
        "10.1.2.1",
        "10.1.2.0",
    )
    assert (len(address_pool("10.1.2.32/27")), ip_range("10.1.2.32/27")) == (22, "10.1.2.60/30")


def test_macs_follow_from_addresses():
    assert vtep_mac("192.0.2.17") == "0a:53:c0:00:02:11"
    assert vtep_mac("2001:db8::1") != vtep_mac("2001:db8::2")
    assert container_mac("10.1.2.3") == "02:42:0a:01:02:03"


@pytest.mark.parametrize("count", [1, 3])
def test_nft_reads_the_base_table(count):
    table = allocate({}, NODES[:count], {}, "lab")
    nft_reads(base_table({**table, "name": "n1"}))


def test_nft_reads_the_base_table_of_an_ipv6_underlay():
    table = allocate({}, [{"name": "a", "address": "2001:db8::1"}, {"name": "b", "address": "2001:db8::2"}], {}, "lab")
    nft_reads(base_table({**table, "name": "a"}))


def test_the_base_table_names_its_own_block_and_the_peers_only():
    table = allocate({}, NODES, {}, "lab")
    text = base_table({**table, "name": "n1"})
    assert "elements = { 192.0.2.2, 192.0.2.3 }" in text
    assert f"ip saddr != {table['nodes']['n1']['block']} drop" in text
    assert text == base_table({**table, "name": "n1"})
    assert text != base_table({**table, "name": "n2"})


def test_nothing_published_is_no_table():
    host = {"name": "n1"}
    assert service_table([], [], host) == ""
    web = service("shop_web", (0, 80, "tcp", "ingress"), (8080, 80, "tcp", "host"))
    assert service_table([web], [task("shop_web", "n1", "10.1.0.2")], host) == ""
    assert service_table([service("shop_web", (80, 80, "tcp", "ingress"))], [], host) == ""


def test_published_ports_go_to_every_serving_task():
    services = [
        service("shop_web", (8080, 80, "tcp", "ingress")),
        service("shop_dns", (53, 5353, "udp", "ingress")),
        service("shop_idle", (9, 9, "tcp", "ingress")),
    ]
    tasks = [
        task("shop_web", "n1", "10.1.0.10"),
        task("shop_web", "n2", "10.1.1.2", "2"),
        task("shop_web", "n1", "10.1.0.9", "3"),
        task("shop_dns", "n2", "10.1.1.3"),
    ]
    text = service_table(services, tasks, {"name": "n1"})
    spread = "numgen random mod 3 map { 0 : 10.1.0.9 . 80, 1 : 10.1.0.10 . 80, 2 : 10.1.1.2 . 80 }"
    assert f"\t\tmeta l4proto tcp dnat to {spread}" in text
    assert "meta l4proto udp dnat to 10.1.1.3:5353" in text
    assert "tcp . 9 " not in text
    nft_reads(text)
    for order in itertools.permutations(tasks):
        assert service_table(services[::-1], order, {"name": "n1"}) == text


def test_a_local_task_never_gets_its_own_connection_back():
    tasks = [task("shop_web", "n1", "10.1.0.2"), task("shop_web", "n2", "10.1.1.2", "2")]
    services = [service("shop_web", (8080, 80, "tcp", "ingress"))]
    assert "ip saddr 10.1.0.2 meta l4proto tcp dnat to 10.1.1.2:80" in service_table(services, tasks, {"name": "n1"})
    assert "ip saddr" not in service_table(services, tasks, {"name": "n3"})


def test_one_port_published_twice_is_refused():
    services = [service("a_web", (80, 80, "tcp", "ingress")), service("b_web", (80, 8080, "tcp", "ingress"))]
    with pytest.raises(StowageError, match="STW-PORT b_web: publishes 80/tcp, as a_web does"):
        service_table(services, [], {"name": "n1"})


def test_tcp_and_udp_of_one_number_are_two_ports():
    services = [service("a_web", (53, 53, "tcp", "ingress"), (53, 53, "udp", "ingress"))]
    text = service_table(services, [task("a_web", "n1", "10.1.0.2")], {"name": "n2"})
    assert "tcp . 53 : goto tcp_53, udp . 53 : goto udp_53" in text
    nft_reads(text)
