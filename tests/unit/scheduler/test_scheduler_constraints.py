"""Constraints are read and compared as Swarm does."""

from __future__ import annotations

import constraint_asking as asking
import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule

NODE = {
    "name": "n1",
    "id": "abc123",
    "hostname": "alpha.example",
    "role": "manager",
    "ip": "10.1.2.3",
    "platform": {"os": "linux", "arch": "x86_64"},
    "labels": {"disk": "SSD", "empty": "", "Case": "x", "space": "two words", "glob": "a*", "com.example/tier": "1"},
    "engine_labels": {"storage": "fast"},
}


def fits(text, **node):
    return asking.fits({**NODE, **node}, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node.labels.disk == ssd", True),
        ("node.labels.disk==ssd", True),
        ("  node.labels.disk  ==  ssd ", True),
        ("node.labels.disk != ssd", False),
        ("node.labels.disk != hdd", True),
        ("node.labels.disk == ss", False),  # whole values
        ("node.labels.disk == .*", False),  # no patterns
        ("node.labels.glob == a*", True),
        ("node.labels.glob == ab", False),
        ("node.labels.none == x", False),  # missing is empty
        ("node.labels.none != x", True),
        ("node.labels.empty != x", True),
        ("node.labels.case == x", False),  # the key of a label keeps its case
        ("NODE.Labels.Case == X", True),
        ("node.labels.space == TWO words", True),
        ("node.labels.com.example/tier == 1", True),
        ("engine.labels.storage == Fast", True),
        ("engine.labels.disk == ssd", False),
        ("node.id == ABC123", True),
        ("node.id != abc123", False),
        ("node.hostname == Alpha.Example", True),
        ("Node.Hostname == n1", False),
        ("node.role == manager", True),
        ("node.role == worker", False),
        ("node.platform.os == Linux", True),
        ("node.platform.arch == amd64", True),
        ("node.platform.arch == x86_64", True),
        ("node.platform.arch != amd64", False),
        ("node.platform.arch == arm64", False),
        ("node.ip == 10.1.2.3", True),
        ("node.ip != 10.1.2.3", False),
        ("node.ip == 10.1.2.4", False),
        ("node.ip == 10.1.0.0/16", True),
        ("node.ip == 10.1.2.99/24", True),  # host bits do not matter
        ("node.ip != 10.1.0.0/16", False),
        ("node.ip == 10.2.0.0/16", False),
        ("node.ip != 10.2.0.0/16", True),
        ("node.ip == fd00::/8", False),
        ("node.ip == ::ffff:10.1.2.3", True),
    ],
)
def test_swarm_comparison(text, expected):
    assert fits(text) is expected


@pytest.mark.parametrize(
    ("text", "node", "expected"),
    [
        ("node.ip == 10.1.2.3", {"ip": ""}, False),
        ("node.ip != 10.1.2.3", {"ip": ""}, True),
        ("node.ip == fd00::/8", {"ip": "fd00::1"}, True),
        ("node.ip == fd00::1", {"ip": "fd00:0:0::1"}, True),
        ("node.platform.os == linux", {"platform": {}}, False),
        ("node.platform.os != linux", {"platform": None}, True),
        ("node.platform.arch == arm64", {"platform": {"arch": "aarch64"}}, True),
        ("node.labels.disk == STRASSE", {"labels": {"disk": "straße"}}, False),  # folded, not expanded
        ("node.labels.n == 5", {"labels": {"n": 5}}, True),
    ],
)
def test_odd_nodes(text, node, expected):
    assert fits(text, **node) is expected


@pytest.mark.parametrize(
    ("text", "reason", "fix"),
    [
        ("node.labels.disk = ssd", "neither == nor !=", "node.labels.disk == ssd"),
        ("node.labels.disk", "neither == nor !=", ""),
        ("node.labels.disk ==", "is empty", ""),
        ("== ssd", "is not a key", ""),
        ("node.labels. == ssd", "is not a key", ""),
        ("node.labels.disk == s@d", "characters that Swarm refuses", ""),
        ("node.labels.disk == ssd\n!= x", "characters that Swarm refuses", ""),
        ("node.label.disk == ssd", "is not a key", "did you mean 'node.labels.disk'?"),
        ("engine.label.disk == ssd", "is not a key", "did you mean 'engine.labels.disk'?"),
        ("node.hostnme == n1", "is not a key", "did you mean 'node.hostname'?"),
        ("node.platfrom.os == linux", "is not a key", "did you mean 'node.platform.os'?"),
        ("disk == ssd", "is not a key", "node.labels.<name>"),
        ("node.ip == 10.1.2", "neither an address nor a network", "192.0.2.0/24"),
        ("node.ip == 10.1.2.0/33", "neither an address nor a network", ""),
        ("node.ip == 10.1.2.0/255.255.255.0", "neither an address nor a network", ""),
        ("node.ip == 010.1.2.3", "neither an address nor a network", ""),
    ],
)
def test_refused(text, reason, fix):
    with pytest.raises(StowageError) as caught:
        schedule([NODE], [{"name": "web", "constraints": [text]}])
    (problem,) = caught.value.problems
    assert problem.code == "STW-CONSTRAINT"
    assert problem.place == "service 'web'.constraints[0]"
    assert reason in problem.reason
    assert fix in problem.fix


def test_a_label_that_no_host_has_is_warned_of_with_near_names():
    result = schedule([NODE], [{"name": "web", "constraints": ["node.labels.dsk != ssd", "engine.labels.x != y"]}])
    assert result["placements"]
    assert result["warnings"] == [
        "web: engine.labels.x != y: no host has the engine label x",
        "web: node.labels.dsk != ssd: no host has the node label dsk; near: disk",
    ]
