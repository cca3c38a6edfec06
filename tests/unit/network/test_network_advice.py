"""What firewalld and ufw are told: the commands that are lacking, by what they answer. Their programs are played."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network import advice
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import allocate

NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2)]
FIREWALLD = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
  --state) exit {running} ;;
  *--query-*) grep -qxF -- "$*" {said} ;;
esac
"""
UFW = '#!/bin/sh\n[ "$1" = status ] && echo "Status: {status}"\n[ "$1" = show ] && cat {said}\nexit 0\n'


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose only firewall program is the one that the test writes."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(advice.converge, "devices", lambda: ["stw0", "stw0abcdef01", "stwlb0", "stwvx0"])
    (tmp_path / "said").write_text("")

    def program(name, text, **values):
        path = tmp_path / name
        path.write_text(text.format(log=tmp_path / "log", said=tmp_path / "said", **values))
        path.chmod(0o755)

    return tmp_path, program


def state(**more):
    return {**allocate({}, NODES, {}, "lab"), "name": "n1", **more}


def test_no_firewall_no_advice(host):
    assert advice.advice(state()) == []
    assert advice.sentence([]) == ""


def test_firewalld_is_asked_and_told_only_what_is_lacking(host):
    folder, program = host
    program("firewall-cmd", FIREWALLD, running=0)
    told = advice.advice(state(native=["eth0"]))
    assert "firewall-cmd --permanent --zone=trusted --add-interface=stw0abcdef01" in told
    assert "firewall-cmd --permanent --zone=trusted --add-source=10.128.0.0/12" in told
    assert "firewall-cmd --permanent --add-port=4789/udp" in told
    assert "--add-" not in (folder / "log").read_text(), "it is told, not done"
    assert advice.sentence(told).startswith("firewalld runs on this host")
    said = [line.split(" ", 2)[2].replace("--add-", "--query-") for line in told if "--permanent" in line]
    (folder / "said").write_text("\n".join(said) + "\n")
    assert advice.advice(state(native=["eth0"])) == []
    program("firewall-cmd", FIREWALLD, running=252)
    (folder / "said").write_text("")
    assert advice.advice(state()) == []


def test_ufw_is_told_only_what_is_lacking(host):
    folder, program = host
    program("ufw", UFW, status="active")
    told = advice.advice(state())
    assert told[:2] == ["ufw allow 4789/udp", "ufw allow in on stw0"]
    assert "ufw route allow out on stwvx0" in told
    (folder / "said").write_text("Added user rules:\n" + "\n".join(told) + "\n")
    assert advice.advice(state()) == []
    (folder / "said").write_text("")
    program("ufw", UFW, status="inactive")
    assert advice.advice(state()) == []


def test_sessions_need_ports_of_their_own(host):
    assert advice.ports(state()) == ["4789/udp"]
    assert advice.ports(state(encryption="wireguard", wireguard={"port": 51820})) == ["51820/udp"]
    assert advice.ports(state(mode="bgp")) == ["4789/udp", "179/tcp", "3784/udp", "4784/udp"]
