# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Delivery on a host: one event per change, nothing without a change, drift shows, a missing fence is told."""

from __future__ import annotations

import ctypes
import json
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.fence import await_generation

OPTIONS = discovery.ingress_options(None)
LIB = "var/lib/stowage"
MOVED_TO = 0x80
ALL_EVENTS = 0xFFF & ~0x31  # without access, open and close-without-write: Traefik itself reads the directory


class Watch:
    """The events of one directory as inotify tells them."""

    def __init__(self, directory):
        """Start watching."""
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.libc.inotify_init1(os.O_NONBLOCK)
        assert self.libc.inotify_add_watch(self.descriptor, os.fsencode(directory), ALL_EVENTS) >= 0

    def events(self):
        """[(mask, name)] since the last call."""
        try:
            data = os.read(self.descriptor, 65536)
        except BlockingIOError:
            return []
        found = []
        while data:
            _watch, mask, _cookie, length = struct.unpack("iIII", data[:16])
            found.append((mask, data[16 : 16 + length].rstrip(b"\0").decode()))
            data = data[16 + length :]
        return found

    def close(self):
        """Stop watching."""
        os.close(self.descriptor)


@pytest.fixture
def watch():
    """A function (directory) that watches it."""
    started = []

    def start(directory):
        started.append(Watch(directory))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def traefik_port():
    """The port of a server that answers every fence with 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def make_share(make_service, make_tasks, traefik_port):
    """A function (*addresses, ports="") that makes the share of an ingress host, without the network room."""

    def make(*addresses, ports=""):
        service = make_service(ports=[{"target": 80}])
        tasks = make_tasks("shop_web", *addresses)
        made = discovery.share(
            [service], tasks, {"name": "n1", "ingress": True}, {**OPTIONS, "fence_port": traefik_port}
        )
        return {**made, "ports": ports}

    return make


def test_share_has_the_contract_shape(make_service, make_tasks):
    """What docs/architecture.md says; a host without Traefik gets no Traefik file."""
    service = make_service(ports=[{"target": 80}])
    tasks = [{**task, "id": "x", "health": "healthy"} for task in make_tasks("shop_web", "10.0.0.1")]
    share = discovery.share([service], tasks, {"name": "n1", "ingress": True}, OPTIONS)
    assert sorted(share) == ["dns", "policy", "ports", "tasks", "traefik", "vips", "watch"]
    assert share["tasks"] == make_tasks("shop_web", "10.0.0.1")
    assert sorted(share["traefik"]) == ["generation", "port", "text"]
    assert share["ports"] == ""
    other = discovery.share([service], tasks, {"name": "n2", "ingress": False}, OPTIONS)
    assert other == {**share, "traefik": None, "policy": other["policy"], "watch": {**share["watch"], "node": "n2"}}


def test_one_rename_per_change_and_none_without(tmp_path, watch, kernel, make_share):
    """Traefik's directory sees exactly one MOVED_TO; the same share again writes nothing at all."""
    dynamic, dns = tmp_path / LIB / "traefik/dynamic", tmp_path / LIB / "dns"
    for directory in (dynamic, dns):
        directory.mkdir(parents=True)
    seen, named = watch(dynamic), watch(dns)
    first = discovery.deliver(make_share("10.0.0.1"), root=str(tmp_path), means=kernel.means())
    assert first["changed"]
    assert first["fence"]["seen"]
    assert seen.events() == [(MOVED_TO, "stowage.yml")]
    assert named.events() == [(MOVED_TO, "shop_web")]
    assert (dynamic / "stowage.yml").stat().st_mode & 0o7777 == 0o644
    everything = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix != ".lock"}
    again = discovery.deliver(make_share("10.0.0.1"), root=str(tmp_path), means=kernel.means())
    assert (again["changed"], again["changes"], again["problems"]) == (False, [], [])
    assert seen.events() + named.events() == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix != ".lock"} == everything
    changed = discovery.deliver(make_share("10.0.0.2"), root=str(tmp_path), means=kernel.means())
    assert seen.events() == [(MOVED_TO, "stowage.yml")]
    assert changed["changes"] == [
        "/var/lib/stowage/policy.nft changed",
        "/var/lib/stowage/traefik/dynamic/stowage.yml changed",
        "/var/lib/stowage/given.json changed",
        "/var/lib/stowage/dns/shop_web changed",
        "/var/lib/stowage/endpoints.json changed",
    ]


def test_check_writes_nothing_and_says_the_same(tmp_path, kernel, make_share):
    """What --check reports is what the run does."""
    share = make_share("10.0.0.1", ports="table ip stowage_ports {}\n")
    foreseen = discovery.deliver(share, root=str(tmp_path), check=True, means=kernel.means())
    assert list(tmp_path.iterdir()) == []
    assert kernel.loaded is None
    (tmp_path / LIB).mkdir(parents=True)
    done = discovery.deliver(share, root=str(tmp_path), means=kernel.means())
    assert foreseen["changes"] == done["changes"]
    assert len(done["changes"]) == 6


def test_digest_on_disk_equals_the_share(tmp_path, kernel, make_share):
    """After delivery the host reports the share's digest, and its tasks."""
    share = make_share("10.0.0.1", "10.0.0.2", ports="table ip stowage_ports {}\n")
    (tmp_path / LIB).mkdir(parents=True)
    discovery.deliver(share, root=str(tmp_path), means=kernel.means())
    seen = discovery.observe_endpoints(str(tmp_path), kernel.means())
    assert (seen["digest"], seen["tasks"], seen["vips"]) == (discovery.share_digest(share), share["tasks"], {})
    assert discovery.share_digest(make_share("10.0.0.1")) != seen["digest"]


def test_a_host_remembers_the_addresses_of_services(tmp_path, kernel, make_share):
    """They are read back, and a change of one is a change of the endpoints."""
    share = {**make_share("10.0.0.1"), "vips": {"shop_web": "10.143.0.7"}}
    discovery.deliver(share, root=str(tmp_path), means=kernel.means())
    seen = discovery.observe_endpoints(str(tmp_path), kernel.means())
    assert seen["vips"] == share["vips"]
    assert seen["digest"] == discovery.share_digest(share)
    assert seen["digest"] != discovery.share_digest({**share, "vips": {"shop_web": "10.143.0.8"}})


DRIFTS = {
    "policy gone": lambda lib, kernel: (lib / "policy.nft").unlink(),
    "policy edited": lambda lib, kernel: (lib / "policy.nft").write_text((lib / "policy.nft").read_text() + "#"),
    "traefik file edited": lambda lib, kernel: (lib / "traefik/dynamic/stowage.yml").write_text("{}"),
    "traefik file gone": lambda lib, kernel: (lib / "traefik/dynamic/stowage.yml").unlink(),
    "dns file gone": lambda lib, kernel: (lib / "dns/shop_web").unlink(),
    "dns file too many": lambda lib, kernel: (lib / "dns/stray").write_text("10.0.0.9 stray\n"),
    "dns file not utf-8": lambda lib, kernel: (lib / "dns/shop_web").write_bytes(b"\xff\xfe"),
    "endpoints broken": lambda lib, kernel: (lib / "endpoints.json").write_text("{"),
    "endpoints of another shape": lambda lib, kernel: (lib / "endpoints.json").write_text('{"tasks": [1]}'),
    "ports script edited": lambda lib, kernel: (lib / "ports.nft").write_text("flush ruleset\n"),
    "ports table gone": lambda lib, kernel: setattr(kernel, "loaded", None),
}


@pytest.mark.parametrize("name", sorted(DRIFTS))
def test_drift_shows_and_is_repaired(tmp_path, kernel, make_share, name):
    """Every change by hand changes the digest; delivering again brings it back."""
    share = make_share("10.0.0.1", ports="table ip stowage_ports {}\n")
    (tmp_path / LIB).mkdir(parents=True)
    discovery.deliver(share, root=str(tmp_path), means=kernel.means())
    DRIFTS[name](tmp_path / LIB, kernel)
    wanted = discovery.share_digest(share)
    assert discovery.observe_endpoints(str(tmp_path), kernel.means())["digest"] != wanted
    assert len(discovery.deliver(share, root=str(tmp_path), means=kernel.means())["changes"]) == 1
    assert discovery.observe_endpoints(str(tmp_path), kernel.means())["digest"] == wanted


def test_services_and_ingress_go(tmp_path, kernel, make_share):
    """A service that stopped serving loses its names; a host that is no ingress any more loses Traefik's file."""
    (tmp_path / LIB).mkdir(parents=True)
    discovery.deliver(make_share("10.0.0.1"), root=str(tmp_path), means=kernel.means())
    gone = {**make_share(), "traefik": None}
    result = discovery.deliver(gone, root=str(tmp_path), means=kernel.means())
    assert result["fence"] == {}
    assert not (tmp_path / LIB / "traefik/dynamic/stowage.yml").exists()
    assert list((tmp_path / LIB / "dns").iterdir()) == []
    assert discovery.observe_endpoints(str(tmp_path), kernel.means())["digest"] == discovery.share_digest(gone)


def test_a_crash_in_the_middle_is_repaired(tmp_path, kernel, make_share):
    """A staged file that was never renamed is no obstacle."""
    stage = tmp_path / LIB / "traefik/stage"
    stage.mkdir(parents=True)
    (stage / "stowage.yml").write_text("half")
    assert discovery.deliver(make_share("10.0.0.1"), root=str(tmp_path), means=kernel.means())["problems"] == []
    assert json.loads((tmp_path / LIB / "traefik/dynamic/stowage.yml").read_text())["http"]
    assert list(stage.iterdir()) == []


def test_names_cannot_leave_the_directory(tmp_path, kernel, make_share):
    """A plan file is input too."""
    for name in ("../evil", ".hidden", "a/b", ""):
        share = {**make_share("10.0.0.1"), "dns": {name: "10.0.0.1 x\n"}}
        with pytest.raises(ValueError, match="not a file name"):
            discovery.deliver(share, root=str(tmp_path), means=kernel.means())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({}, "does not answer"),
        ({"/.stowage/gen/new": 404, "/.stowage/gen/old": 200}, "still serves generation old"),
        ({"/.stowage/gen/new": 404, "/.stowage/gen/old": 404, "/.stowage/ready": 200}, "serves another generation"),
        ({"/.stowage/gen/new": 404, "/.stowage/gen/old": 404, "/.stowage/ready": 404}, "no configuration of Stowage"),
    ],
)
def test_a_missing_fence_says_what_is_served(answers, words):
    """STW-FENCE, with the generation, the time and what is there instead."""
    fence, problems = await_generation(8090, "new", 0.1, "old", lambda _port, path: answers.get(path, "refused"))
    assert not fence["seen"]
    assert [problem.code for problem in problems] == ["STW-FENCE"]
    assert words in problems[0].reason
    assert "docker logs stowage-ingress" in problems[0].fix


def test_a_late_fence_is_awaited():
    """Traefik needs a moment; the fence is seen when it answers."""
    answers = iter(["refused", 404, 404, 200])
    fence, problems = await_generation(8090, "new", 5.0, None, lambda _port, _path: next(answers))
    assert fence["seen"]
    assert problems == []


def test_nobody_listens(tmp_path, kernel, make_share):
    """No Traefik at all: the files are there, the problem names the port."""
    share = make_share("10.0.0.1")
    share["traefik"]["port"] = 1
    result = discovery.deliver(share, root=str(tmp_path), timeout=0.2, means=kernel.means())
    assert "port 1 does not answer" in result["problems"][0].reason
    assert result["changed"]
