# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rule syntax, label checks and the ingress settings."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.rules import check_rule
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from hypothesis import given
from hypothesis import strategies as st

OPTIONS = discovery.ingress_options({"entrypoints": {"web": ":80", "websecure": ":443"}})

GOOD = [
    "Host(`a.example`)",
    "Host(`a.example`) || Host(`b.example`) && PathPrefix(`/x`)",
    "(Host(`*.example`) && !PathPrefix(`/x`)) || !(Method(`GET`) || method(`POST`))",
    'Host("a.example") && Header("X-Y", "z")',
    "HostRegexp(`^[a-z]{2,3}\\.example$`)",
    "ClientIP(`10.0.0.0/8`) && Query(`a`) && Query(`a`, `b`)",
    "HOST(`my_host`) && Path(`/`)",
]
BAD = [
    ("Host(`a.example`", "is due"),
    ("Host(`a.example)", "never closed"),
    ("Host('a.example')", 'is "\'"'),
    ("Host:a.example", "Traefik 1 syntax"),
    ("Host(a.example)", "is not quoted"),
    ("Hots(`a.example`)", "no matcher 'Hots'"),
    ("Headers(`a`, `b`)", "no matcher 'Headers'"),
    ("Host(`a.example`, `b.example`)", "takes 1 value(s), 2 given"),
    ("Host(`a.example`) Path(`/`)", "not joined"),
    ("Host(`a.example`) &&", "the rule ends"),
    ("Host(`b\u00fccher.example`)", "not a host name"),
    ("Host(`a.example:80`)", "not a host name"),
    ("Host(`https://a.example/`)", "not a host name"),
    ("Host(``)", "empty value"),
    ("Path(`x`)", "begin with /"),
    ("PathPrefix(`/{id:[0-9]+}`)", "Traefik 2 pattern"),
    ("ClientIP(`10.0.0.300`)", "neither an address"),
    ("Host()", "0 given"),
    ("()", "where a matcher is due"),
]


@pytest.mark.parametrize("rule", GOOD)
def test_good_rules_pass(rule):
    """Traefik 3 takes these."""
    assert check_rule(rule)[1] is None


@pytest.mark.parametrize(("rule", "reason"), BAD)
def test_bad_rules_say_why(rule, reason):
    """Each is refused with its reason and a fix."""
    mistake = check_rule(rule)[1]
    assert mistake is not None
    assert reason in mistake.reason
    assert mistake.fix


@given(st.text(alphabet="Host(`a.b`)&|! ,\"'Path/*", max_size=30))
def test_any_rule_gets_an_answer(rule):
    """No text crashes the parser."""
    matchers, mistake = check_rule(rule)
    assert bool(matchers) != bool(mistake)


def codes(service, options=OPTIONS, *more):
    """The codes of all problems of these services."""
    return [problem.code for problem in discovery.check([service, *more], options)]


@pytest.mark.parametrize(
    ("label", "value", "code"),
    [
        ("traefik.http.routers.web.middlewares", "nobody", "STW-INGRESS-REFERENCE"),
        ("traefik.http.routers.web.middlewares", "mine@file", None),
        ("traefik.http.routers.web.service", "wbe", "STW-INGRESS-REFERENCE"),
        ("traefik.http.routers.web.service", "api@internal", "STW-INGRESS-INTERNAL"),
        ("traefik.http.routers.web.service", "noop@internal", None),
        ("traefik.http.routers.web.entrypoints", "web, wbe", "STW-INGRESS-REFERENCE"),
        ("traefik.http.routers.web.entrypoints", "stowage", "STW-INGRESS-RESERVED"),
        ("traefik.http.routers.web.tls.certresolver", "le", "STW-INGRESS-RESOLVER"),
        ("traefik.http.routers.web.tls.options", "modern", "STW-INGRESS-REFERENCE"),
        ("traefik.http.routers.web.ruleSyntax", "v4", "STW-INGRESS-RULE"),
        ("traefik.http.routers.web.priority", "high", "STW-INGRESS-LABEL"),
        ("traefik.http.routers.web.tls", "yes", None),
        ("traefik.http.routers.web.nonsense", "1", "STW-INGRESS-LABEL"),
        ("traefik.http.routers.web", "1", None),
        ("traefik.http.routers.other", "1", "STW-INGRESS-LABEL"),
        ("traefik.http.services.web.weighted.services", "a", "STW-INGRESS-LABEL"),
        ("traefik.http.services.web.loadbalancer.servers.port", "1", "STW-INGRESS-LABEL"),
        ("traefik.http.services.web.loadbalancer.server.port", "http", "STW-INGRESS-PORT"),
        ("traefik.http.services.web.loadbalancer.server.port", "70000", "STW-INGRESS-PORT"),
        ("traefik.http.services.web.loadbalancer.serverstransport", "mine", "STW-INGRESS-REFERENCE"),
        ("traefik.http.middlewares.stowage-x.addprefix.prefix", "/", "STW-INGRESS-RESERVED"),
        ("traefik.http.middlewares.m.addprefix.prefix", "{{ env }}", "STW-INGRESS-TEMPLATE"),
        ("traefik.http.middlewares.m.addprefix.prefix", '/{"a":{"b":1}}', None),
        ("traefik.http.middlewares.m.addprefix.prefix", "/a\x07", "STW-INGRESS-LABEL"),
        ("traefik.http.middlewares.m.plugin.any.thing", "x", None),
        ("traefik.http.middlewares.m.chain.middlewares", "gone", "STW-INGRESS-REFERENCE"),
        ("traefik.tls.options.modern.minversion", "x", "STW-INGRESS-LABEL"),
        ("traefik.constraint-label", "public", None),
        ("traefik.swarm.network", "net", None),
        ("traefik.port", "80", "STW-INGRESS-V1"),
        ("traefik.main.frontend.rule", "Host:a", "STW-INGRESS-V1"),
        ("traefik.backend.loadbalancer.stickiness", "true", "STW-INGRESS-V1"),
        ("Traefik.http.routers.web.priority", "1", "STW-INGRESS-LABEL"),
        ("traefik.http..rule", "1", "STW-INGRESS-LABEL"),
        ("stowage.service", "x", "STW-INGRESS-RESERVED"),
        ("traefik.tcp.routers.t.entrypoints", "web", "STW-INGRESS-RULE"),
        ("traefik.tcp.routers.t.rule", "HostSNI(`a.example`)", "STW-INGRESS-RULE"),
        ("traefik.tcp.routers.t.rule", "HostSNI(`*`)", None),
        ("com.example", "{{ fine }}", None),
    ],
)
def test_one_label(make_service, label, value, code):
    """One more label on a good service gives exactly this problem, or none."""
    labels = {"traefik.enable": "true", "traefik.http.services.web.loadbalancer.server.port": "80"}
    labels["traefik.http.routers.web.rule"] = "Host(`a.example`)"
    if label.startswith("traefik.tcp"):
        labels["traefik.tcp.services.t.loadbalancer.server.port"] = "5432"
    service = make_service(labels={**labels, label: value})
    assert codes(service) == ([code] if code else [])


def test_near_names_are_suggested(make_service):
    """The message names what was probably meant."""
    labels = {
        "traefik.enable": "true",
        "traefik.http.middlewares.auth.basicauth.users": "a:b",
        "traefik.http.routers.web.middlewares": "auht",
        "traefik.http.services.web.loadbalancer.server.port": "80",
    }
    assert discovery.check([make_service(labels=labels)], OPTIONS)[0].fix == "did you mean auth?"


def test_v1_message_gives_the_v3_form(make_service):
    """The form is complete, with the service's name in it."""
    problem = discovery.check([make_service(labels={"traefik.enable": "true", "traefik.port": "80"})], OPTIONS)[0]
    assert problem.fix == "write traefik.http.services.shop-web.loadbalancer.server.port=<port>"


def test_middlewares_of_other_services_are_known(make_service):
    """A middleware defined by one service may be used by another."""
    maker = {"traefik.enable": "true", "traefik.http.middlewares.auth.basicauth.users": "a:b"}
    user = {"traefik.enable": "true", "traefik.http.routers.b.middlewares": "auth@swarm"}
    one = make_service("a", labels=maker, ports=[{"target": 80}])
    two = make_service("b", labels=user, ports=[{"target": 80}])
    assert codes(one, OPTIONS, two) == []
    assert codes(two) == ["STW-INGRESS-REFERENCE"]


def test_labels_without_enable_are_told(make_service):
    """Swarm's provider would expose it: silence would lose the route."""
    labels = {"traefik.http.services.web.loadbalancer.server.port": "80"}
    assert codes(make_service(labels=labels)) == ["STW-INGRESS-ENABLE"]
    assert codes(make_service(labels={**labels, "traefik.enable": "false"})) == []
    assert codes(make_service(labels=labels), discovery.ingress_options({"exposed_by_default": True})) == []
    assert codes(make_service(labels={**labels, "traefik.enable": "yes"})) == ["STW-INGRESS-ENABLE"]


def test_port_falls_back_to_the_only_published_one(make_service):
    """One port is clear, none or several are not."""
    assert codes(make_service(ports=[{"target": 80}, {"target": 80, "protocol": "tcp"}])) == []
    assert codes(make_service(ports=[{"target": 80}, {"target": 81}])) == ["STW-INGRESS-PORT"]
    assert codes(make_service(ports=[{"target": 80, "protocol": "udp"}])) == ["STW-INGRESS-PORT"]


def test_several_services_need_a_reference(make_service):
    """Traefik drops a router that cannot know its service."""
    labels = {"traefik.enable": "true", "traefik.http.routers.r.rule": "Path(`/`)"}
    labels.update({f"traefik.http.services.{name}.loadbalancer.server.port": "80" for name in ("a", "b")})
    assert codes(make_service(labels=labels)) == ["STW-INGRESS-SERVICE"]


def test_a_resolver_needs_one_ingress_host(make_service):
    """Certificate resolvers of several Traefik do not share their state."""
    settings = {"static": {"certificatesResolvers": {"le": {}}}}
    labels = {"traefik.enable": "true", "traefik.http.routers.web.tls.certresolver": "le"}
    service = make_service(labels=labels, ports=[{"target": 80}])
    assert codes(service, discovery.ingress_options(settings)) == []
    assert codes(service, discovery.ingress_options(settings, ingress_nodes=2)) == ["STW-INGRESS-RESOLVER"]


def test_unknown_fields_pass_when_allowed(make_service):
    """For a Traefik that is newer than our list."""
    labels = {"traefik.enable": "true", "traefik.http.routers.web.future.field": "1"}
    service = make_service(labels=labels, ports=[{"target": 80}])
    assert codes(service) == ["STW-INGRESS-LABEL"]
    assert codes(service, discovery.ingress_options({"unknown_fields": True})) == []


@pytest.mark.parametrize(
    "settings",
    [
        "text",
        {"entrypoint": {}},
        {"entrypoints": {}},
        {"entrypoints": {"web": "80"}},
        {"entrypoints": {"stowage": ":80"}},
        {"entrypoints": {"web": ":80", "other": ":80/tcp"}},
        {"entrypoints": {"web": ":8090"}},
        {"fence_port": "8090"},
        {"fence_port": 0},
        {"exposed_by_default": "no"},
        {"image": ""},
        {"static": []},
        {"static": {"api": {"insecure": True}}},
        {"wildcards": "shop.example"},
        {"wildcards": ["not a domain"]},
        {"metrics": ":9100"},
        {"certificates": [{"cert": "/etc/stowage/traefik/a.pem"}]},
        {"certificates": [{"cert": "/etc/a.pem", "key": "/etc/a.key"}]},
    ],
)
def test_bad_settings_are_refused(settings):
    """Each with STW-INGRESS-OPTION."""
    with pytest.raises(StowageError, match="STW-INGRESS-OPTION"):
        discovery.ingress_options(settings)


def test_settings_may_be_absent_or_full():
    """Everything has a default; TCP and UDP may share a port number."""
    assert discovery.ingress_options(None)["entrypoints"] == ["web"]
    both = {"entrypoints": {"dns": {"address": ":53"}, "dnsudp": ":53/udp", "v6": "[::1]:80"}}
    assert discovery.ingress_options(both)["entrypoints"] == ["dns", "dnsudp", "v6"]


def test_static_configuration():
    """Loopback fence, no API, public entry points are defaults; the user's part goes over it."""
    static = discovery.traefik_static(
        {
            "entrypoints": {"web": {"address": ":80", "http": {"tls": {}}}, "log": ":514/udp"},
            "fence_port": 9000,
            "static": {"log": {"format": "json"}, "providers": {"file": {"watch": False}}, "accessLog": {}},
        }
    )
    assert static["entryPoints"] == {
        "web": {"address": ":80", "http": {"tls": {}}, "asDefault": True},
        "log": {"address": ":514/udp"},
        "stowage": {"address": "127.0.0.1:9000"},
    }
    assert static["log"] == {"level": "WARN", "format": "json"}
    assert static["providers"]["file"] == {"directory": "/var/lib/stowage/traefik/dynamic", "watch": False}
    assert static["accessLog"] == {}
    assert "api" not in static
    own = discovery.traefik_static({"entrypoints": {"a": {"address": ":1", "asDefault": True}, "b": ":2"}})
    assert "asDefault" not in own["entryPoints"]["b"]
    with pytest.raises(StowageError, match="STW-INGRESS-OPTION"):
        discovery.traefik_static({"entrypoint": {}})


def test_logs_and_metrics_on_request():
    """Neither by default; metrics never on a port of Traefik's own choice."""
    assert not {"accessLog", "metrics"} & set(discovery.traefik_static(None))
    static = discovery.traefik_static({"access_log": True, "metrics": True})
    assert static["accessLog"] == {"format": "json"}
    assert static["metrics"] == {"prometheus": {"entryPoint": "stowage"}}
    bare = discovery.traefik_static({"static": {"metrics": {"prometheus": None}}})
    assert bare["metrics"] == {"prometheus": {"entryPoint": "stowage"}}
    own = {"static": {"metrics": {"prometheus": {"entryPoint": "web"}}}}
    assert discovery.traefik_static(own)["metrics"]["prometheus"] == {"entryPoint": "web"}
