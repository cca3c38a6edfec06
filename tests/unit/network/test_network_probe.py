"""Probes of the ways: packets that answers fit, whom a host asks, and the largest size that passes, found by halves."""

from __future__ import annotations

import socket
import struct

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network import probe
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import allocate


def state(count=3, name="n1"):
    nodes = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in range(1, count + 1)]
    return {**allocate({}, nodes, {}, "lab", {"n1": 1500}), "name": name}


@pytest.mark.parametrize("size", [8, 9, 72, 1480])
def test_a_request_is_what_its_answer_says(size):
    made = probe.packet(socket.AF_INET, 0x1234, 7, size)
    assert len(made) == size
    padded = made + b"\0" * (size % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF, "the checksum is right"
    answer = b"\x45" + b"\0" * 19 + b"\0" + made[1:]
    assert probe.answered(socket.AF_INET, answer, 0x1234) == 7
    assert probe.answered(socket.AF_INET, answer, 0x4321) == -1
    assert probe.answered(socket.AF_INET, b"\x45" + b"\0" * 19 + made, 0x1234) == -1, "a request is no answer"
    assert probe.answered(socket.AF_INET6, b"\x81" + probe.packet(socket.AF_INET6, 1, 2, 8)[1:], 1) == 2


def carrying(limits):
    """A network in which {(level, host): bytes that pass}; what is asked for is counted."""
    asked = []

    def echoes(wanted):
        wanted = list(wanted)
        asked.append(len(wanted))
        return {one: 0.001 for one in wanted if one.size <= limits.get(one.target, 9000)}

    return echoes, asked


def test_a_black_hole_is_measured_on_both_levels(monkeypatch):
    table = state()
    vtep = table["nodes"]["n3"]["vtep"]
    echoes, asked = carrying({"192.0.2.2": 1372, vtep: 1322, "192.0.2.3": 0})
    monkeypatch.setattr(probe, "echoes", echoes)
    first, second = probe.ways(table)
    assert (first["to"], first["wanted"], first["underlay"], first["tunnel"], first["ms"]) == (
        "n2",
        1500,
        1372,
        1500,
        1.0,
    )
    assert (second["underlay"], second["tunnel"]) == (0, 1372), "in bytes of the underlay, on both levels"
    assert asked[0] == 8
    assert len(asked) < 14, "by halves"


def test_a_host_asks_those_that_follow_it(monkeypatch):
    table = state(40)
    monkeypatch.setattr(probe, "echoes", lambda wanted: dict.fromkeys(wanted, 0.001))
    order = sorted(table["nodes"], key=lambda name: table["nodes"][name]["index"])
    asked = {name: {way["to"] for way in probe.ways({**table, "name": name}, sample=3)} for name in order}
    assert all(len(found) == 3 and name not in found for name, found in asked.items())
    assert asked[order[-1]] == set(order[:3])
    assert set().union(*asked.values()) == set(order)
