# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each tests/cases/bad_input/*/ingress.yml is one mistake in labels: stack files in, exactly this one problem out.

stack.yml is the stack `shop`, other.yml (if there is one) the stack `other`; `ingress` are settings of stowage_ingress.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import hostile
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.rules import alternatives, check_rule
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load

CASES = Path(__file__).parents[2] / "cases" / "bad_input"
NAMES = sorted(path.parent.name for path in CASES.glob("*/ingress.yml"))


def services_of(directory):
    """The Services of both stacks of a case."""
    found = []
    for stack, name in (("shop", "stack.yml"), ("other", "other.yml")):
        if (directory / name).exists():
            found += compile_services(stack, load([directory / name], {}), str(directory))["services"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_bad_input(name):
    expected = yaml.safe_load((CASES / name / "ingress.yml").read_text(encoding="utf-8"))
    options = discovery.ingress_options(expected.get("ingress"))
    problems = discovery.check(services_of(CASES / name), options)
    assert [problem.code for problem in problems] == [expected["code"]], [str(problem) for problem in problems]
    assert expected["contains"] in str(problems[0])
    assert str(problems[0]).isprintable()
    assert "_web" in problems[0].place
    assert problems[0].fix


def test_there_are_enough_cases():
    assert len(NAMES) >= 30


@pytest.mark.parametrize(
    ("wildcards", "rule", "refused"),
    [
        (True, "Host(`*`)", False),
        (["example"], "Host(`*.shop.example`)", False),
        (["*.shop.example"], "Host(`*.shop.example`)", False),
        (["shop.example"], "Host(`*.otherpshop.example`)", True),
        (["shop.example"], "Host(`*.example`)", True),
        (["shop.example"], "HostRegexp(`.*`)", True),
        (False, "HostRegexp(`^[a-z]+[.]shop[.]example$`)", False),
        (False, "Host(`shop.example`) && PathPrefix(`/`)", False),
    ],
)
def test_wildcards_need_an_opt_in(make_service, wildcards, rule, refused):
    """For all, or for the domains that the settings name."""
    options = discovery.ingress_options({"wildcards": wildcards})
    labels = {"traefik.enable": "true", "traefik.http.routers.r.rule": rule}
    codes = [
        problem.code for problem in discovery.check([make_service(labels=labels, ports=[{"target": 80}])], options)
    ]
    assert codes == (["STW-INGRESS-WILDCARD"] if refused else [])


@pytest.mark.parametrize(
    "more",
    [
        {"priority": "7"},
        {"tls": "true"},
        {"entrypoints": "websecure"},
        {"rule": "Host(`a.example`) && PathPrefix(`/x`)"},
    ],
)
def test_routes_that_are_told_apart(make_service, more):
    """Another priority, TLS, another entry point or a longer rule: no chance which of them answers."""
    options = discovery.ingress_options({"entrypoints": {"web": ":80", "websecure": ":443"}})
    services = []
    for short, fields in (("a", {"entrypoints": "web"}), ("b", {"entrypoints": "web", **more})):
        labels = {f"traefik.http.routers.{short}.{key}": value for key, value in fields.items()}
        rule = {f"traefik.http.routers.{short}.rule": "Host(`a.example`)"}
        given = {"traefik.enable": "true", **rule, **labels}
        services.append(make_service(short, labels=given, ports=[{"target": 80}]))
    assert discovery.check(services, options) == []


def test_one_service_may_repeat_itself(make_service):
    """Two routers of one service with the same rule send to the same replicas."""
    labels = {"traefik.enable": "true"}
    labels.update({f"traefik.http.routers.{name}.rule": "Host(`a.example`)" for name in ("a", "b")})
    assert discovery.check([make_service(labels=labels, ports=[{"target": 80}])], discovery.ingress_options(None)) == []


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ("Host(`a`)", 1),
        ("Host(`a`) && (Path(`/x`) || Path(`/y`))", 2),
        ("(Host(`a`) || Host(`b`)) && (Path(`/x`) || Path(`/y`))", 4),
        ("Host(`a`) || Host(`b`) && Path(`/x`)", 2),
        ("!(Host(`a`) || Host(`b`))", 1),
        (" && ".join(["(Path(`/x`) || Path(`/y`) || Path(`/z`))"] * 9), 1),
    ],
)
def test_alternatives_of_a_rule(rule, count):
    """As many as there are ways to match; a rule with too many stays small."""
    assert check_rule(rule)[1] is None
    found = alternatives(rule)
    assert len(found) == count or (count == 1 and len(found) <= 64)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.2.3:80",
        "https://shop.example/x",
        "h2c://web:90",
        "http://[fd00::1]:80",
        "http://0.example",
        "http://face",
    ],
)
def test_back_ends_elsewhere_pass(url):
    """Names and addresses that are not the host itself."""
    assert hostile.back_end(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop",
        "http://",
        "http://a:99999",
        "http://[::1",
        "http://2852039166",
        "http://127.1",
        "http://0/",
        "http://LOCALHOST.:1",
        "http://169.254.0.1%25eth0",
        "gopher://x",
        "http://[::]:80",
        "http://224.0.0.1",
    ],
)
def test_back_ends_that_are_refused(url):
    """No URL, or one of the ways to write an address of the host or its link."""
    assert hostile.back_end(url) is not None
