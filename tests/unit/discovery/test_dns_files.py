# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names inside the fleet: what stands in dnsmasq's files."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError


def test_every_name_has_every_serving_address(make_service, make_tasks):
    """Short name, tasks., full name and aliases, one line per task, slots in number order."""
    service = make_service(aliases=["www", "img.cdn"])
    tasks = list(reversed(make_tasks("shop_web", "10.0.0.3", "10.0.0.2")))
    names = [f"{name}.shop.svc.fleet" for name in ("web", "shop_web", "img.cdn", "www", "tasks.web", "tasks.shop_web")]
    text = discovery.dns_files([service], tasks, "fleet")["shop_web"]
    assert text == f"10.0.0.3 {' '.join(names)}\n10.0.0.2 {' '.join(names)}\n"


def test_names_are_the_services_own_address_and_tasks_names_the_tasks(make_service, make_tasks):
    """The service's own address stays while its tasks come and go, even if nobody serves: it refuses then."""
    service = {**make_service(aliases=["www"]), "vip": "10.143.0.7"}
    own = " ".join(f"{name}.shop.svc.fleet" for name in ("web", "shop_web", "www"))
    each = " ".join(f"{name}.shop.svc.fleet" for name in ("tasks.web", "tasks.shop_web"))
    tasks = make_tasks("shop_web", "10.0.0.2", "10.0.0.3")
    text = discovery.dns_files([service], tasks, "fleet")["shop_web"]
    assert text == f"10.143.0.7 {own}\n10.0.0.2 {each}\n10.0.0.3 {each}\n"
    assert discovery.dns_files([service], [], "fleet") == {"shop_web": f"10.143.0.7 {own}\n"}


def test_a_service_nobody_serves_has_no_file(make_service, make_tasks):
    """NXDOMAIN, not an old address; tasks of unknown services are nobody's."""
    services = [make_service("web"), make_service("db")]
    assert list(discovery.dns_files(services, make_tasks("shop_db", "10.0.0.1"), "fleet")) == ["shop_db"]
    assert discovery.dns_files([], make_tasks("shop_db", "10.0.0.1"), "fleet") == {}


def test_stacks_are_apart(make_service, make_tasks):
    """The same short name in two stacks is two names."""
    services = [make_service("web", stack=stack) for stack in ("a", "b")]
    tasks = make_tasks("a_web", "10.0.0.1") + make_tasks("b_web", "10.0.0.2")
    files = discovery.dns_files(services, tasks, "fleet")
    assert "web.a.svc.fleet" in files["a_web"]
    assert "b.svc" not in files["a_web"]


@pytest.mark.parametrize("alias", ["a b", "a\n6.6.6.6 evil", "", ".", "a..b", "-a", "x" * 64, "a#b", "b\u00fccher"])
def test_names_that_would_break_the_file_are_refused(make_service, make_tasks, alias):
    """By the check, and again when the file is made."""
    service = make_service(aliases=[alias], labels={})
    problems = discovery.check([service], discovery.ingress_options(None))
    assert [problem.code for problem in problems] == ["STW-DNS-NAME"]
    with pytest.raises(StowageError, match="STW-DNS-NAME"):
        discovery.dns_files([service], make_tasks("shop_web", "10.0.0.1"), "fleet")


def test_search_domain():
    """What containers of a stack search in."""
    assert discovery.search_domain("shop", "fleet") == "shop.svc.fleet"
    with pytest.raises(StowageError, match="STW-DNS-NAME"):
        discovery.search_domain("a b", "fleet")
