"""BGP: the text of frr.conf (golden), what the table says of sessions, what is refused, and how a host runs it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.network import bgp, converge, frr, frr_host, host, tables
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import plan_table

CASES = Path(__file__).parents[2] / "cases" / "bgp"
NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2, 3)]
REFUSED = yaml.safe_load((CASES / "refused.yml").read_text())


def seen(node, network="192.0.2.0/24", **more):
    fabrics = node.get("fabrics")
    addresses = {node["address"], *(fabrics.values() if isinstance(fabrics, dict) else ())}
    links = {ip: {"network": network if ip.startswith("192.") else "198.51.100.0/24", "mtu": 1500} for ip in addresses}
    return {
        "held": None,
        "networks": [],
        "addresses": sorted(links),
        "mtu": 1500,
        "links": links,
        "devices": {"eth0": 1500, "eth1": 1500},
        **more,
    }


def plan(network, nodes=NODES, reflectors=(), observed=None):
    fleet = {"name": "lab", "network": {"mode": "bgp", **network}, "nodes": nodes, "reflectors": list(reflectors)}
    everybody = {node["name"]: seen(node) for node in nodes}
    return plan_table(fleet, everybody if observed is None else {**everybody, **observed})


@pytest.mark.parametrize("case", sorted(path.parent.name for path in CASES.glob("*/case.yml")))
def test_the_configuration_is_the_golden_one(case):
    given = yaml.safe_load((CASES / case / "case.yml").read_text())
    table = plan(given["network"], given["nodes"], given.get("reflectors", ()))
    state = {**table, "name": given["host"]}
    text = frr.config(state, given.get("subnets", {}), given.get("loopbacks", ()))
    golden = CASES / case / "frr.conf"
    if os.environ.get("STOWAGE_WRITE_CASES"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("row", REFUSED, ids=[row["name"] for row in REFUSED])
def test_a_mistake_is_told_once(row):
    nodes = [dict(node) for node in row.get("nodes") or NODES]
    with pytest.raises(StowageError) as error:
        plan(row["network"], nodes, row.get("reflectors", ()))
    assert [problem.code for problem in error.value.problems] == ["STW-BGP"]
    assert row["says"] in str(error.value)


def test_sessions_through_routers_are_refused():
    with pytest.raises(StowageError) as error:
        plan({}, NODES[:2], observed={"n1": seen(NODES[0], "192.0.2.0/31")})
    assert "host n1: fabric underlay: 192.0.2.2 of host n2 is not in 192.0.2.0/31" in str(error.value)
    assert [problem.code for problem in error.value.problems] == ["STW-BGP"]


def test_what_a_host_has_not_is_refused():
    tor = [{**node, "uplinks": ["eth0", "eth7"]} for node in NODES[:1]]
    with pytest.raises(StowageError) as error:
        plan({"bgp": {"topology": "tor"}}, tor)
    assert "stowage_uplinks: the host has no device eth7" in str(error.value)
    two = [{**node, "fabrics": {"a": node["address"], "b": "198.51.100.7"}} for node in NODES[:1]]
    observed = seen(two[0])
    del observed["links"]["198.51.100.7"]
    with pytest.raises(StowageError) as error:
        plan({}, two, observed={"n1": observed})
    assert "stowage_fabrics.b: 198.51.100.7 is not on the host; it has 192.0.2.1" in str(error.value)


def test_a_silent_host_is_believed():
    table = plan_table(
        {"name": "lab", "network": {"mode": "bgp"}, "nodes": NODES}, {node["name"]: seen(node) for node in NODES[:2]}
    )
    assert table["nodes"]["n3"]["fabrics"] == {"underlay": "192.0.2.3"}


def test_mode_vxlan_knows_nothing_of_it():
    table = plan({"mode": "vxlan"})
    assert "bgp" not in table
    assert all("fabrics" not in entry for entry in table["nodes"].values())


def test_a_new_host_changes_no_reflector_and_no_client():
    network, more = {"bgp": {"topology": "reflectors"}}, [*NODES, {"name": "n4", "address": "192.0.2.4"}]
    before, after = plan(network, NODES, ["n1"]), plan(network, more, ["n1"])
    for name in ("n1", "n2"):
        texts = {frr.config({**table, "name": name}, {"underlay": "192.0.2.0/24"}) for table in (before, after)}
        assert len(texts) == 1, name


def test_the_table_lets_natives_in_from_fabrics_only():
    state = {**plan({}), "name": "n1"}
    closed, opened = tables.base_table(state), tables.base_table({**state, "native": ["eth0"]})
    accepted = f'iifname "eth0" ip saddr @inside ip saddr != @mine ip saddr != {state["vips"]} ip daddr @mine accept'
    assert accepted in opened
    assert "accept\n" not in closed.partition("chain guard")[2].partition("}")[0].replace("policy accept", "")
    assert "icmp type redirect drop" in opened
    assert "icmp type redirect drop" not in closed


def test_native_devices_are_those_of_the_fabrics(monkeypatch):
    links = [
        {"ifname": "eth0", "addr_info": [{"local": "192.0.2.1", "prefixlen": 24}]},
        {"ifname": "eth9", "addr_info": [{"local": "203.0.113.1", "prefixlen": 24}]},
    ]
    monkeypatch.setattr(converge, "run", lambda *_argv: json.dumps(links))
    assert host.native({**plan({}), "name": "n1"}) == ["eth0"]
    assert host.native({**plan({"mode": "vxlan"}), "name": "n1"}) == []
    tor = [{**node, "uplinks": ["eth1", "eth0"]} for node in NODES]
    assert host.native({**plan({"bgp": {"topology": "tor"}}, tor), "name": "n1"}) == ["eth0", "eth1"]


class FakeHost:
    """/etc/frr in a directory; vtysh, systemctl, frr-reload and ip as far as frr_host asks them."""

    def __init__(self, directory, monkeypatch):
        self.calls = []
        self.running = "router bgp 1"
        self.alive = set()
        self.enabled = False
        for name in ("CONF", "DAEMONS", "RELOAD", "RECORD"):
            path = directory / name.lower()
            path.write_text("" if name != "DAEMONS" else "# daemons\nbgpd=no\nospfd=no\nbfdd=no\n")
            monkeypatch.setattr(frr_host, name, str(path))
        (directory / "conf").write_text("log syslog informational\n")
        self.directory = directory
        monkeypatch.setattr(converge, "run", self.run)
        monkeypatch.setattr(frr_host, "_alive", lambda name: name in self.alive)

    def run(self, *argv, data=None):
        self.calls.append(" ".join(str(word) for word in argv).replace(f"{self.directory}/", ""))
        if argv[0] == "ip":
            link = {"ifname": "eth0", "addr_info": [{"local": "192.0.2.1", "prefixlen": 24}]}
            return json.dumps([link] if "addr" in argv else [])
        if argv[:2] == ("systemctl", "restart"):
            self.alive = {"zebra", "staticd", "bgpd", "bfdd"}
        if argv[0] == "systemctl" and "show" in argv:
            return f"UnitFileState={'enabled' if self.enabled else 'disabled'}"
        if argv[:2] == ("systemctl", "enable"):
            self.enabled = True
        return self.running if "show running-config" in argv else ""

    def did(self, word):
        return [call for call in self.calls if word in call]


@pytest.fixture
def state():
    return {**plan({}), "name": "n1"}


def test_the_first_time_starts_frr_and_the_second_does_nothing(tmp_path, monkeypatch, state):
    fake = FakeHost(tmp_path, monkeypatch)
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    promised = frr_host.apply(state, check=True)
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before
    assert not fake.did("restart")
    assert frr_host.apply(state, check=False) == promised
    assert fake.did("restart")
    assert not fake.did("--reload")
    assert "bgpd=yes\nospfd=no\nbfdd=yes" in (tmp_path / "daemons").read_text()
    assert frr_host.apply(state, check=False) == frr_host.apply(state, check=True) == []


def test_a_changed_table_reloads_and_restarts_nothing(tmp_path, monkeypatch, state):
    fake = FakeHost(tmp_path, monkeypatch)
    frr_host.apply(state, check=False)
    fake.calls.clear()
    del state["nodes"]["n3"]
    fake.running = "router bgp 1\n less"
    assert frr_host.apply(state, check=False)[0].startswith("write ")
    assert fake.did("--reload")
    assert not fake.did("restart")


def test_what_was_changed_by_hand_is_found(tmp_path, monkeypatch, state):
    fake = FakeHost(tmp_path, monkeypatch)
    frr_host.apply(state, check=False)
    fake.running = "router bgp 1\n something"
    assert frr_host.apply(state, check=True) == ["reload FRR's configuration"]
    assert frr_host.apply(state, check=False) == []  # the fake's reload mends nothing, and no lie is told about it
    assert fake.did("--reload")


def test_what_frr_refuses_stays_out(tmp_path, monkeypatch, state):
    fake = FakeHost(tmp_path, monkeypatch)

    def refuse(*argv, data=None):
        if "-C" in argv:
            raise converge.NetworkError("line 3: % Unknown command")
        return fake.run(*argv)

    monkeypatch.setattr(converge, "run", refuse)
    with pytest.raises(converge.NetworkError, match="FRR refuses its configuration: line 3"):
        frr_host.apply(state, check=False)
    assert (tmp_path / "conf").read_text() == "log syslog informational\n"


def test_somebody_elses_frr_is_left_alone(tmp_path, monkeypatch, state):
    FakeHost(tmp_path, monkeypatch)
    (tmp_path / "conf").write_text("router bgp 65000\n neighbor 192.0.2.9 remote-as 65001\n")
    with pytest.raises(converge.NetworkError, match="somebody else's"):
        frr_host.apply(state, check=True)
    assert frr_host.remove(check=False) == []


def test_leaving_ends_sessions_first(tmp_path, monkeypatch, state):
    fake = FakeHost(tmp_path, monkeypatch)
    frr_host.apply(state, check=False)
    fake.calls.clear()
    assert frr_host.remove(check=True) == frr_host.remove(check=False) != []
    order = [word for call in fake.calls for word in ("--reload", "disable") if word in call]
    assert order == ["--reload", "disable"]
    assert "bgpd=no" in (tmp_path / "daemons").read_text()
    assert not frr_host.ours()


def test_health_names_what_is_down(monkeypatch, state):
    summary = {"ipv4Unicast": {"peers": {"192.0.2.2": {"state": "Established", "pfxRcd": 1, "peerUptimeMsec": 5000}}}}
    answers = {
        "show bgp summary json": json.dumps(summary),
        "show bfd peers json": json.dumps([{"peer": "192.0.2.2", "status": "up"}]),
    }
    monkeypatch.setattr(converge, "run", lambda *argv: answers.get(argv[-1], "[]"))
    health = frr_host.bgp_health(state)
    assert health["down"] == ["192.0.2.3"]
    assert health["sessions"][1 if health["sessions"][0]["host"] == "n3" else 0] == {
        "peer": "192.0.2.2",
        "host": "n2",
        "state": "Established",
        "prefixes": 1,
        "up_seconds": 5,
        "bfd": "up",
    }
    assert frr_host.bgp_health({**plan({"mode": "vxlan"}), "name": "n1"}) == {}
    nodes = [{**node, "uplinks": ["eth0"]} for node in NODES]
    paths = [{"peer": "fe80::1", "interface": "eth0", "status": "up"}]
    answers["show bfd peers json"] = json.dumps(paths)
    told = frr_host.bgp_health({**plan({"bgp": {"topology": "tor"}}, nodes), "name": "n1"})
    assert [(one["peer"], one["bfd"]) for one in told["sessions"] if one["state"] == "missing"] == [("eth0", "up")]

    def dead(*_argv):
        raise converge.NetworkError("no such program")

    monkeypatch.setattr(converge, "run", dead)
    assert sorted(frr_host.bgp_health(state)["down"]) == ["192.0.2.2", "192.0.2.3"]


@pytest.mark.skipif(shutil.which("vtysh") is None, reason="FRR is missing")
@pytest.mark.parametrize("case", sorted(path.parent.name for path in CASES.glob("*/frr.conf")))
def test_frr_reads_the_golden_configurations(case):
    converge.run("vtysh", "-C", "-f", str(CASES / case / "frr.conf"))


def test_sessions_of_a_reflector_fleet():
    table = plan({"bgp": {"topology": "reflectors"}}, NODES, ["n2"])
    assert set(frr.neighbors({**table, "name": "n1"})) == {"192.0.2.2"}
    assert frr.neighbors({**table, "name": "n2"}) == {}
    assert bgp.options({})["asn"] == bgp.ASN
