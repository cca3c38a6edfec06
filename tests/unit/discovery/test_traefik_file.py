# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Traefik's file as a whole: order, merging, defaults, the fence, hostile text."""

from __future__ import annotations

import hashlib
import json
import random
import time

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import canonical
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = discovery.ingress_options({"entrypoints": {"web": ":80"}})
PORT = "traefik.http.services.web.loadbalancer.server.port"
RULE = "traefik.http.routers.web.rule"


def labels(**more):
    """An exposed service on port 80."""
    return {"traefik.enable": "true", PORT: "80", RULE: "Host(`a.example`)", **more}


def http(services, tasks, options=OPTIONS):
    """The http section of the file."""
    return json.loads(discovery.traefik_file(services, tasks, options)["text"])["http"]


def test_shuffled_input_gives_the_same_bytes(make_service, make_tasks):
    """Order of services, labels and tasks does not show."""
    services = [make_service(f"s{n}", labels=labels(**{f"x{n}": "1"})) for n in range(1)]
    services += [make_service(f"t{n}", ports=[{"target": 80 + n}]) for n in range(5)]
    tasks = [task for service in services for task in make_tasks(service["name"], "10.0.0.9", "10.0.0.10")]
    first = discovery.traefik_file(services, tasks, OPTIONS)
    for seed in range(5):
        shuffle = random.Random(seed).shuffle
        shuffle(services)
        shuffle(tasks)
        turned = [{**one, "labels": dict(reversed(list(one["labels"].items())))} for one in services]
        assert discovery.traefik_file(turned, tasks, OPTIONS) == first


def test_generation_is_the_digest_without_the_fence(make_service, make_tasks):
    """The fence names the routes, and is not part of what it names."""
    made = discovery.traefik_file([make_service(labels=labels())], make_tasks("shop_web", "10.0.0.1"), OPTIONS)
    document = json.loads(made["text"])
    fence = {name: document["http"]["routers"].pop(name) for name in ("stowage-gen", "stowage-ready")}
    assert made["generation"] == hashlib.sha256(canonical.dumps(document).encode()).hexdigest()[:16]
    assert fence["stowage-gen"]["rule"] == f"Path(`/.stowage/gen/{made['generation']}`)"
    assert {router["entryPoints"][0] for router in fence.values()} == {"stowage"}
    assert discovery.generation_of(made["text"]) == made["generation"]


def test_generation_changes_with_an_endpoint(make_service, make_tasks):
    """Another address is another generation."""
    one, two = (
        discovery.traefik_file([make_service(labels=labels())], make_tasks("shop_web", ip), OPTIONS)
        for ip in ("10.0.0.1", "10.0.0.2")
    )
    assert one["generation"] != two["generation"]


def test_no_service_still_has_a_fence():
    """An empty fleet proves its generation too, and has no empty maps (Traefik refuses those)."""
    document = json.loads(discovery.traefik_file([], [], OPTIONS)["text"])
    assert list(document) == ["http"]
    assert sorted(document["http"]) == ["routers"]


def test_passive_checks_need_two_endpoints(make_service, make_tasks):
    """One replica with passive checks would be 503 for ten seconds after one failure."""
    service = make_service(labels=labels())
    for count, expected in ((0, False), (1, False), (2, True)):
        tasks = make_tasks("shop_web", *[f"10.0.0.{n}" for n in range(1, count + 1)])
        balancer = http([service], tasks)["services"]["web"]["loadBalancer"]
        assert ("passiveHealthCheck" in balancer) is expected
        assert len(balancer["servers"]) == count


def test_labels_win_over_defaults_key_by_key(make_service, make_tasks):
    """What a label says stays; what it leaves out is ours."""
    base = "traefik.http.services.web.loadbalancer"
    given = labels(
        **{
            f"{base}.passivehealthcheck.maxfailedattempts": "7",
            f"{base}.healthcheck.path": "/up",
            f"{base}.healthcheck.interval": "30s",
            f"{base}.serverstransport": "mine@file",
        }
    )
    section = http([make_service(labels=given)], make_tasks("shop_web", "10.0.0.1", "10.0.0.2"))
    balancer = section["services"]["web"]["loadBalancer"]
    assert balancer["passiveHealthCheck"] == {"failureWindow": "10s", "maxFailedAttempts": 7}
    assert balancer["healthCheck"] == {"path": "/up", "interval": "30s", "unhealthyInterval": "1s", "timeout": "1s"}
    assert balancer["serversTransport"] == "mine@file"
    assert "serversTransports" not in section


def test_own_retry_replaces_ours_even_in_a_chain(make_service, make_tasks):
    """A retry that the labels reach by a chain counts; without one, ours comes last."""
    chained = labels(
        **{
            "traefik.http.middlewares.again.retry.attempts": "1",
            "traefik.http.middlewares.all.chain.middlewares": "again@swarm",
            "traefik.http.routers.web.middlewares": "all@docker",
        }
    )
    tasks = make_tasks("shop_web", "10.0.0.1")
    assert http([make_service(labels=chained)], tasks)["routers"]["web"]["middlewares"] == ["all"]
    plain = {**chained, "traefik.http.middlewares.again.retry.attempts": "1"}
    del plain["traefik.http.middlewares.all.chain.middlewares"]
    plain["traefik.http.middlewares.all.addprefix.prefix"] = "/x"
    assert http([make_service(labels=plain)], tasks)["routers"]["web"]["middlewares"] == ["all", "stowage-retry"]


def test_defaults_can_be_switched_off(make_service, make_tasks):
    """Stowage_ingress.defaults: false is exactly what Traefik's own provider would make."""
    options = discovery.ingress_options({"defaults": False})
    section = http([make_service(labels=labels())], make_tasks("shop_web", "10.0.0.1", "10.0.0.2"), options)
    assert sorted(section) == ["routers", "services"]
    assert list(section["services"]["web"]["loadBalancer"]) == ["servers"]
    assert "middlewares" not in section["routers"]["web"]


@pytest.mark.parametrize(
    ("test", "path", "host"),
    [
        (["CMD", "curl", "-f", "http://localhost/health"], "/health", "localhost"),
        (["CMD-SHELL", "wget -qO- http://127.0.0.1:80/up?x=1 || exit 1"], "/up?x=1", "127.0.0.1"),
        (["CMD-SHELL", "curl -f http://localhost && true"], "/", "localhost"),
        (["CMD", "curl", "-f", "http://localhost:9000/admin"], None, None),
        (["CMD", "curl", "-f", "http://localhost/$PATH_OF_IT"], None, None),
        (["CMD", "curl", "http://localhost/a", "http://localhost/b"], None, None),
        (["CMD", "curl", "http://other/health"], None, None),
        (["CMD", "redis-cli", "ping"], None, None),
        (["NONE"], None, None),
    ],
)
def test_health_path_from_the_compose_healthcheck(make_service, make_tasks, test, path, host):
    """Only an HTTP path on the port that serves; checked as the container itself checks it."""
    service = make_service(labels=labels(), template={"healthcheck": {"test": test}})
    check = http([service], make_tasks("shop_web", "10.0.0.1"))["services"]["web"]["loadBalancer"].get("healthCheck")
    assert (check or {}).get("path") == path
    assert (check or {}).get("hostname") == host


def test_equal_objects_unite_and_others_clash(make_service, make_tasks):
    """Two services may share one Traefik service; with other settings both would be lost."""
    blue, green = make_service("blue", labels=labels()), make_service("green", labels=labels())
    tasks = make_tasks("shop_blue", "10.0.0.1") + make_tasks("shop_green", "10.0.0.2")
    balancer = http([blue, green], tasks)["services"]["web"]["loadBalancer"]
    assert [server["url"] for server in balancer["servers"]] == ["http://10.0.0.1:80", "http://10.0.0.2:80"]
    assert "passiveHealthCheck" in balancer
    green["labels"][RULE] = "Host(`b.example`)"
    with pytest.raises(StowageError, match="STW-INGRESS-CLASH shop_green: shop_blue and shop_green define"):
        discovery.traefik_file([blue, green], tasks, OPTIONS)


def test_an_address_from_a_host_is_checked(make_service, make_tasks):
    """A container's label reaches files of other hosts: it must be an address and nothing else."""
    for hostile in ("10.0.0.1 evil.example", "{{ env `SECRET` }}", "10.0.0.1\n6.6.6.6 evil", "", "::1%eth0`"):
        tasks = make_tasks("shop_web", hostile)
        with pytest.raises(StowageError, match="STW-INGRESS-ADDRESS"):
            discovery.traefik_file([make_service(labels=labels())], tasks, OPTIONS)
        with pytest.raises(StowageError, match="STW-INGRESS-ADDRESS"):
            discovery.dns_files([make_service()], tasks, "fleet")


def test_ipv6_addresses_are_bracketed(make_service, make_tasks):
    """A URL with an IPv6 host."""
    section = http([make_service(labels=labels())], make_tasks("shop_web", "fd00::1"))
    assert section["services"]["web"]["loadBalancer"]["servers"] == [{"url": "http://[fd00::1]:80"}]


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs",)), max_size=40))
def test_any_value_survives_escaping(text):
    """No template opens in the file, and undoing the escape gives the JSON of the value back."""
    service = {"name": "a_b", "stack": "a", "short": "b", "ports": [{"target": 80}]}
    service["labels"] = {"traefik.enable": "true", "traefik.http.middlewares.m.addprefix.prefix": text}
    made = discovery.traefik_file([service], [], OPTIONS)["text"]
    assert "{{" not in made.replace("{{`{{`}}", "")
    document = json.loads(made.replace("{{`{{`}}", "{{"))
    assert document["http"]["middlewares"]["m"]["addPrefix"]["prefix"] == text


def test_a_thousand_services_of_ten_replicas_are_rendered_quickly(make_service, make_tasks):
    """0.17 s of CPU on the machine of the first measurement; the bar there is 0.5 s, here what any has."""
    services, tasks = [], []
    for number in range(1000):
        name, base = f"w{number}", f"traefik.http.services.w{number}.loadbalancer.server.port"
        rule = {f"traefik.http.routers.{name}.rule": f"Host(`{name}.example`) && PathPrefix(`/a`)", base: "8080"}
        services.append(make_service(name, labels={"traefik.enable": "true", **rule}))
        tasks += make_tasks(f"shop_{name}", *[f"10.{slot}.{number // 250}.{number % 250}" for slot in range(10)])
    start = time.process_time()
    made = discovery.traefik_file(services, tasks, OPTIONS)["text"]
    assert time.process_time() - start < 2.0
    assert made.count('"url"') == 10000
    start = time.process_time()
    assert discovery.check(services, OPTIONS) == []
    assert time.process_time() - start < 2.0
