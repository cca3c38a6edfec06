# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is withheld between runs is a part of what was given, comes back as it was, and is no drift."""

from __future__ import annotations

import os

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import given

OPTIONS = discovery.ingress_options(None)
ONE, TWO = "10.128.0.2", "10.128.1.2"


@pytest.fixture
def host(tmp_path, make_service, make_tasks, kernel):
    """(root, share, kernel) of a host n1 that was given a service with two tasks, the first one its own."""
    service = make_service(ports=[{"target": 80, "published": 8080, "protocol": "tcp", "mode": "ingress"}])
    tasks = [{**task, "node": node} for task, node in zip(make_tasks("shop_web", ONE, TWO), ("n1", "n2"))]
    share = discovery.share([service], tasks, {"name": "n1", "ingress": False}, OPTIONS)
    discovery.deliver(share, root=str(tmp_path), means=kernel.means())
    return str(tmp_path), share, kernel


def withhold(host, *addresses):
    """What the program does."""
    root, _share, kernel = host
    held = given.read_given(root)
    before = given.local(held, given.read_withheld(root, always=True))
    given.write_withheld({ip: {"service": "shop_web", "slot": "1", "reason": "x"} for ip in addresses}, root)
    given.beat(root)
    return given.enforce(held, before, given.local(held, addresses), kernel.apply, root)


def names(root):
    with open(os.path.join(root, given.DNS_DIRECTORY, "shop_web")) as file:
        return file.read()


def test_a_withheld_address_leaves_names_and_ports_and_comes_back(host):
    root, _share, kernel = host
    before = names(root), kernel.loaded
    assert withhold(host, ONE) == ["names of shop_web", "addresses and ports of services"]
    assert ONE not in names(root)
    assert TWO in names(root)
    assert ONE not in kernel.loaded
    assert TWO in kernel.loaded
    assert withhold(host) == ["names of shop_web", "addresses and ports of services"]
    assert (names(root), kernel.loaded) == before


def test_what_is_withheld_is_no_drift_but_a_changed_file_is(host):
    root, share, kernel = host
    wanted = discovery.share_digest(share)
    assert discovery.observe_endpoints(root, kernel.means())["digest"] == wanted
    withhold(host, ONE)
    assert discovery.observe_endpoints(root, kernel.means())["digest"] == wanted
    with open(os.path.join(root, given.DNS_DIRECTORY, "shop_web"), "a") as file:
        file.write("10.0.0.9 x\n")
    assert discovery.observe_endpoints(root, kernel.means())["digest"] != wanted
    assert withhold(host) == ["addresses and ports of services"], "somebody else's file stays"


def test_others_addresses_are_never_withheld(host):
    root = host[0]
    assert withhold(host, TWO) == []
    assert TWO in names(root)


def test_a_delivery_keeps_what_is_withheld_and_gives_it_back_when_the_program_is_gone(host):
    root, share, kernel = host
    withhold(host, ONE)
    assert not discovery.deliver(share, root=root, means=kernel.means())["changed"]
    assert ONE not in names(root)
    os.unlink(os.path.join(root, given.BEAT_FILE))
    assert discovery.observe_endpoints(root, kernel.means())["digest"] != discovery.share_digest(share)
    assert discovery.deliver(share, root=root, means=kernel.means())["changed"]
    assert ONE in names(root)
    assert ONE in kernel.loaded
    # The program is back, and finds whole files beside a record that says otherwise.
    assert withhold(host, ONE) == ["names of shop_web", "addresses and ports of services"]


def test_the_last_task_takes_the_name_with_it(tmp_path, make_service, make_tasks):
    share = discovery.share([make_service()], make_tasks("shop_web", ONE), {"name": "n1", "ingress": False}, OPTIONS)
    assert given.live_dns(share["dns"], {ONE}) == {}


def test_ports_that_cannot_be_made_again_stay_as_given():
    held = {"node": "n1", "services": [], "tasks": [], "dns": {}, "ports": "table ip x {}"}
    assert given.live_ports(held, {ONE}) == "table ip x {}"
