"""keepalived's configuration of an ingress host."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.floating import keepalived
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError

HOSTS = {"n1": "192.0.2.11", "n2": "192.0.2.12", "n3": "192.0.2.13"}
DEVICES = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]},
    {"ifname": "eth1", "addr_info": [{"local": "192.0.2.1"}, {"local": "192.0.2.12"}]},
]


def text(**more):
    given = {"address": "192.0.2.10/24", "node": "n2", "hosts": HOSTS, "devices": DEVICES, "settings": {"port": 8090}}
    return keepalived(**{**given, **more})


def test_peers_are_asked_by_unicast_and_the_first_host_is_preferred():
    lines = [line.strip() for line in text().splitlines()]
    assert "unicast_src_ip 192.0.2.12" in lines
    assert lines[lines.index("unicast_peer {") + 1 : lines.index("virtual_ipaddress {") - 1] == [
        HOSTS["n1"],
        HOSTS["n3"],
    ]
    assert "192.0.2.10/24 dev eth1" in lines
    assert "virtual_router_id 10" in lines
    assert "priority 145" in lines
    assert 'script "/usr/bin/curl -fsS -o /dev/null -m 1 http://127.0.0.1:8090/.stowage/ready"' in lines
    assert "virtual_router_id 77" in text(settings={"port": 8090, "router_id": 77})


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "192.0.2.10"},
        {"address": "shop.example/24"},
        {"address": "192.0.2.10/24\n    garbage"},
        {"address": "192.0.2.13/24"},
        {"hosts": {"n2": "192.0.2.12"}},
        {"devices": []},
        {"address": "192.0.2.0/24"},
        {"settings": {"port": 8090, "router_id": 256}},
    ],
)
def test_what_cannot_work_is_refused(wrong):
    with pytest.raises(StowageError) as caught:
        text(**wrong)
    assert [problem.code for problem in caught.value.problems] == ["STW-INGRESS-ADDRESS"]
