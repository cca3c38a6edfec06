# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A held canary in Traefik's file, and what the real Traefik makes of it: shares, matches, copies, sessions."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError

OPTIONS = discovery.ingress_options({"entrypoints": {"web": ":80", "tcp": ":81"}})
MEANS = discovery.Means(lambda _text, _path: False, lambda _text: True)
RULE = "Host(`shop.example`)"
HEADER = "Header(`X-Canary`, `1`)"


def labels(port=80, **more):
    """An exposed service."""
    given = {"traefik.http.routers.web.rule": RULE, "traefik.http.routers.web.entrypoints": "web"}
    return {"traefik.enable": "true", **given, "traefik.http.services.web.loadbalancer.server.port": str(port), **more}


@pytest.fixture
def make_pair(make_service):
    """A function (labels, template, **canary) that makes a service and its canary."""

    def make(stated, template=None, **canary):
        stable = make_service(labels=stated, template=template or {})
        rule = {"of": "shop_web", "weight": 20, "match": "", "mirror": None, **canary}
        return [stable, {**stable, "name": "shop_web-canary", "canary": rule}]

    return make


def made(services, tasks):
    """The http section."""
    return json.loads(discovery.traefik_file(services, tasks, OPTIONS)["text"])["http"]


def shares(value):
    """{service: weight} of a weighted service."""
    return {one["name"]: one["weight"] for one in value["weighted"]["services"]}


def test_weight_makes_three_services(make_pair, make_tasks):
    """The name that routers know is over both; each side has its own servers and defaults."""
    tasks = [*make_tasks("shop_web", "10.0.0.1", "10.0.0.2"), *make_tasks("shop_web-canary", "10.0.0.9")]
    http_section = made(make_pair(labels()), tasks)
    assert shares(http_section["services"]["web"]) == {"web-stable": 80, "web-canary": 20}
    canary = http_section["services"]["web-canary"]["loadBalancer"]
    assert canary == {"servers": [{"url": "http://10.0.0.9:80"}], "serversTransport": "stowage"}
    assert "passiveHealthCheck" in http_section["services"]["web-stable"]["loadBalancer"]
    assert http_section["routers"]["web"]["service"] == "web"
    assert "stowage-retry" in http_section["routers"]["web"]["middlewares"]


def test_without_a_serving_canary_nothing_is_split(make_pair, make_tasks):
    """A canary that died gets nothing: the file is as if there were none, to the byte."""
    services, tasks = make_pair(labels(), match=HEADER), make_tasks("shop_web", "10.0.0.1")
    assert discovery.traefik_file(services, tasks, OPTIONS) == discovery.traefik_file(services[:1], tasks, OPTIONS)


def test_without_a_serving_stable_one_all_goes_to_the_canary(make_pair, make_tasks):
    """Who serves gets the requests."""
    found = made(make_pair(labels()), make_tasks("shop_web-canary", "10.0.0.9"))
    assert shares(found["services"]["web"]) == {"web-canary": 100}


@pytest.mark.parametrize(("weight", "expected"), [(0, {"web-stable": 100}), (100, {"web-canary": 100})])
def test_ends_of_the_scale(make_pair, make_tasks, weight, expected):
    """A side without a share is not named: Traefik would send it a request now and then."""
    tasks = [*make_tasks("shop_web", "10.0.0.1"), *make_tasks("shop_web-canary", "10.0.0.9")]
    assert shares(made(make_pair(labels(), weight=weight), tasks)["services"]["web"]) == expected


def test_match_is_just_before_its_router(make_pair, make_tasks):
    """A longer rule of another route keeps its requests."""
    stated = labels(**{"traefik.http.routers.fixed.rule": "Path(`/x`)", "traefik.http.routers.fixed.priority": "7"})
    tasks = [*make_tasks("shop_web", "10.0.0.1"), *make_tasks("shop_web-canary", "10.0.0.9")]
    routers = made(make_pair(stated, weight=0, match=HEADER), tasks)["routers"]
    assert routers["web-canary"]["rule"] == f"({RULE}) && ({HEADER})"
    assert (routers["web-canary"]["priority"], routers["fixed-canary"]["priority"]) == (len(RULE) + 1, 8)
    assert routers["web-canary"]["service"] == "web-canary"
    assert routers["web-canary"]["middlewares"] == routers["web"]["middlewares"]


def test_service_that_no_label_names(make_pair, make_tasks):
    """The Traefik service is called after the stable one, on both sides."""
    stated = {"traefik.enable": "true", "traefik.http.routers.web.rule": RULE}
    services = [{**one, "ports": [{"target": 80}]} for one in make_pair(stated)]
    tasks = [*make_tasks("shop_web", "10.0.0.1"), *make_tasks("shop_web-canary", "10.0.0.9")]
    assert shares(made(services, tasks)["services"]["shop-web"]) == {"shop-web-stable": 80, "shop-web-canary": 20}


def test_health_check_is_over_both_only_if_both_have_one(make_pair, make_tasks):
    """Traefik refuses a weighted service with a check over one without."""
    test = {"healthcheck": {"test": ["CMD", "curl", "-f", "http://localhost:80/health"]}}
    tasks = [*make_tasks("shop_web", "10.0.0.1"), *make_tasks("shop_web-canary", "10.0.0.9")]
    stable, canary = make_pair(labels(), test)
    assert made([stable, canary], tasks)["services"]["web"]["weighted"]["healthCheck"] == {}
    assert "healthCheck" not in made([stable, {**canary, "template": {}}], tasks)["services"]["web"]["weighted"]


def test_taken_names_are_refused(make_pair, make_tasks):
    """Nobody's service is written over."""
    stated = labels(**{"traefik.http.services.web-canary.loadbalancer.server.port": "81"})
    stated["traefik.http.routers.web.service"] = "web"
    tasks = [*make_tasks("shop_web", "10.0.0.1"), *make_tasks("shop_web-canary", "10.0.0.9")]
    with pytest.raises(StowageError) as caught:
        made(make_pair(stated), tasks)
    assert caught.value.code == "STW-CANARY"
    assert "web-canary" in str(caught.value)


class Shop:
    """A real Traefik before a stable backend and a canary."""

    def __init__(self, traefik, stable, canary, services, tasks):
        """Deliver the file."""
        self.traefik, self.stable, self.canary = traefik, stable, canary
        text = discovery.traefik_file(services, tasks, OPTIONS)
        share = {"tasks": tasks, "traefik": {**text, "port": traefik.fence}, "dns": {}, "ports": ""}
        share["watch"] = {"node": "n1", "services": []}
        result = discovery.deliver(share, root=str(traefik.root), timeout=60, means=MEANS)
        assert result["problems"] == []
        assert result["fence"]["seen"]

    def ask(self, headers=None):
        """(who answered or the status, cookies) of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.traefik.web, timeout=20)
        try:
            connection.request("GET", "/", headers={"Host": "shop.example", **(headers or {})})
            answer = connection.getresponse()
            body = answer.read()
            cookies = [one.partition(";")[0] for one in answer.headers.get_all("Set-Cookie") or []]
            return (json.loads(body)["name"] if answer.status == 200 else answer.status), cookies
        finally:
            connection.close()

    def count(self, number, headers=None):
        """Who answered how often."""
        return Counter(self.ask(headers)[0] for _request in range(number))


@pytest.fixture
def start_shop(start_traefik, start_backend, make_pair, make_tasks):
    """A function (more labels, template of (port), **canary) that starts a Shop."""

    def start(more=None, checked=False, **canary):
        traefik = start_traefik()
        stable = start_backend("127.0.0.2", 0, "stable")
        port = stable.server_port
        new = start_backend("127.0.0.3", port, "canary")
        test = {"healthcheck": {"test": ["CMD", "curl", "-f", f"http://localhost:{port}/health"]}}
        services = make_pair(labels(port, **(more or {})), test if checked else None, **canary)
        tasks = [*make_tasks("shop_web", "127.0.0.2"), *make_tasks("shop_web-canary", "127.0.0.3")]
        return Shop(traefik, stable, new, services, tasks)

    return start


@pytest.mark.traefik
def test_share_is_the_weight(start_shop):
    """20 % of the requests, none failed."""
    found = start_shop(weight=20).count(500)
    assert set(found) == {"stable", "canary"}
    assert 80 <= found["canary"] <= 120


@pytest.mark.traefik
def test_match_sends_what_matches(start_shop):
    """With the header all, without it none."""
    shop = start_shop(weight=0, match=HEADER)
    assert shop.count(20, {"X-Canary": "1"}) == {"canary": 20}
    assert shop.count(20) == {"stable": 20}


@pytest.mark.traefik
def test_match_beside_a_weight(start_shop):
    """The rest is shared as the weight says."""
    shop = start_shop(weight=50, match=HEADER)
    assert shop.count(20, {"X-Canary": "1"}) == {"canary": 20}
    assert 40 <= shop.count(100)["canary"] <= 60


@pytest.mark.traefik
def test_mirror_copies_and_does_not_answer(start_shop):
    """The canary sees half of the requests, the client hears none of it."""
    shop = start_shop(weight=0, mirror=50)
    assert shop.count(100) == {"stable": 100}
    deadline = time.monotonic() + 10
    while shop.canary.seen < 50 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert 40 <= shop.canary.seen <= 60


@pytest.mark.traefik
def test_mirror_to_a_dead_canary_harms_nobody(start_shop):
    """Copies may be lost, answers not."""
    shop = start_shop(weight=0, mirror=100)
    shop.canary.shutdown()
    shop.canary.server_close()
    assert shop.count(50) == {"stable": 50}


@pytest.mark.traefik
def test_session_stays_with_its_version(start_shop):
    """Who got a cookie from one side meets it again."""
    shop = start_shop({"traefik.http.services.web.loadbalancer.sticky.cookie": "true"}, weight=50)
    for _client in range(6):
        who, cookies = shop.ask()
        assert len(cookies) == 2
        assert shop.count(10, {"Cookie": "; ".join(cookies)}) == {who: 10}


@pytest.mark.traefik
@pytest.mark.parametrize("checked", [True, False])
def test_dead_canary_loses_no_request(start_shop, checked):
    """Before anybody aborts it: a request that the canary does not take is answered by the stable side."""
    shop = start_shop(checked=checked, weight=50)
    shop.canary.shutdown()
    shop.canary.server_close()
    assert shop.count(60) == {"stable": 60}


@pytest.mark.parametrize(
    ("stated", "match", "reasons"),
    [
        (labels(), "", []),
        (labels(), HEADER, []),
        ({}, "", ["no HTTP router"]),
        ({"traefik.enable": "true", "traefik.tcp.routers.t.rule": "HostSNI(`*`)"}, "", ["no HTTP router"]),
        (labels(), "Header(`X-Canary`, `1", ["STW-CANARY"]),
        (labels(), "Headers(`X-Canary`, `1`)", ["Header"]),
        (labels(), "Header(`X-Canary`, `{{ env }}`)", ["templates"]),
    ],
)
def test_mistakes_that_need_the_routes(make_service, stated, match, reasons):
    """One problem each, before a host is touched."""
    canary = {"replicas": 1, "weight": 20, "match": match, "mirror": None, "hold": None}
    service = make_service(labels=stated, ports=[{"target": 80}], update={"canary": canary})
    found = [str(one) for one in discovery.check([service], OPTIONS) if one.code == "STW-CANARY"]
    assert len(found) == len(reasons)
    assert all(reason in text for reason, text in zip(reasons, found, strict=True))
