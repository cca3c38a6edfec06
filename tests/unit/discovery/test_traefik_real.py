# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The file against the real Traefik: accepted, routed and fenced."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.fence import await_generation
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.trial import static_configuration
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem
from real_traefik import Traefik, free_ports

pytestmark = pytest.mark.traefik

SETTINGS = {"entrypoints": {"web": ":80", "tcp": ":81"}}
MEANS = discovery.Means(lambda _text, _path: False, lambda _text: True)


def carry_out(traefik, services, tasks, settings=None):
    """Deliver the share of these services to a running Traefik; the result of `deliver`."""
    options = discovery.ingress_options({**SETTINGS, **(settings or {})})
    share = share_of(traefik, services, tasks, options)
    return discovery.deliver(share, root=str(traefik.root), timeout=60, means=MEANS)


def share_of(traefik, services, tasks, options):
    """The share that has these services in a Traefik's file, and nothing else."""
    made = discovery.traefik_file(services, tasks, options)
    return {
        "tasks": tasks,
        "traefik": {**made, "port": traefik.fence},
        "dns": {},
        "ports": "",
        "watch": {"node": "n1", "services": []},
    }


def exposed(port, **more):
    """Labels of a web service on a port."""
    return {
        "traefik.enable": "true",
        "traefik.http.routers.web.rule": "Host(`shop.example`)",
        "traefik.http.routers.web.entrypoints": "web",
        "traefik.http.services.web.loadbalancer.server.port": str(port),
        **more,
    }


def test_routes_defaults_and_fence(start_traefik, start_backend, make_service, make_tasks):
    """Two replicas answer in turn, one dies unnoticed, the fence is only on its own port."""
    traefik = start_traefik()
    first = start_backend("127.0.0.2", 0, "one")
    start_backend("127.0.0.3", first.server_port, "two")
    service = make_service(labels=exposed(first.server_port))
    health = ["CMD", "curl", "-f", f"http://localhost:{first.server_port}/health"]
    service["template"] = {"healthcheck": {"test": health}}
    tasks = make_tasks("shop_web", "127.0.0.2", "127.0.0.3")
    result = carry_out(traefik, [service], tasks)
    assert result["problems"] == []
    assert result["fence"]["seen"]
    answers = [traefik.get("/", "shop.example") for _request in range(6)]
    assert [status for status, _body, _headers in answers] == [200] * 6
    assert {json.loads(body)["name"] for _status, body, _headers in answers} == {"one", "two"}
    first.shutdown()
    first.server_close()
    assert [traefik.get("/", "shop.example")[0] for _request in range(10)] == [200] * 10
    assert traefik.get("/.stowage/ready", "shop.example")[0] == 200  # the backend's answer, not the fence's
    assert traefik.get("/.stowage/ready", "other.example")[0] == 404
    assert traefik.get("/.stowage/ready", port=traefik.fence)[:2] == (200, "OK")
    assert traefik.get("/", "shop.example", port=traefik.fence)[0] == 404
    assert traefik.get("/api/rawdata", port=traefik.fence)[0] == 404
    assert "error" not in traefik.messages().lower()


def test_no_serving_task_is_503_and_not_404(start_traefik, make_service):
    """The route stays, so that clients and monitors can tell an outage from a wrong address."""
    traefik = start_traefik()
    assert carry_out(traefik, [make_service(labels=exposed(80))], [])["problems"] == []
    assert traefik.get("/", "shop.example")[0] == 503
    assert traefik.get("/", "other.example")[0] == 404


def test_new_generation_replaces_the_old(start_traefik, start_backend, make_service, make_tasks):
    """The old fence is gone as soon as the new one answers, and so are the old servers."""
    traefik = start_traefik()
    first = start_backend("127.0.0.2", 0, "one")
    start_backend("127.0.0.3", first.server_port, "two")
    service = make_service(labels=exposed(first.server_port))
    one = carry_out(traefik, [service], make_tasks("shop_web", "127.0.0.2"))["fence"]["generation"]
    two = carry_out(traefik, [service], make_tasks("shop_web", "127.0.0.3"))["fence"]["generation"]
    assert [traefik.get(f"/.stowage/gen/{g}", port=traefik.fence)[0] for g in (one, two)] == [404, 200]
    assert json.loads(traefik.get("/", "shop.example")[1])["name"] == "two"


def test_templates_in_values_are_not_run(start_traefik, start_backend, make_service, make_tasks):
    """A plan refuses them; if one gets through, it is text and not Traefik's environment."""
    traefik = start_traefik()
    backend = start_backend("127.0.0.2", 0, "one")
    header = "traefik.http.middlewares.h.headers.customresponseheaders.X-Leak"
    hostile = '{{ env "SECRET" }} {{{}} \u00e9\u2028\U0001f600"'
    labels = exposed(backend.server_port, **{header: hostile, "traefik.http.routers.web.middlewares": "h"})
    result = carry_out(traefik, [make_service(labels=labels)], make_tasks("shop_web", "127.0.0.2"))
    assert result["problems"] == []
    leak = traefik.get("/", "shop.example")[2]["X-Leak"]
    assert leak.startswith('{{ env "SECRET" }} {{{}}')
    assert "hidden" not in leak


def test_a_file_traefik_refuses_is_a_fence_problem(start_traefik, start_backend, make_service, make_tasks):
    """An unknown field that was let through freezes the file: the fence tells, and says what is served."""
    traefik = start_traefik()
    backend = start_backend("127.0.0.2", 0, "one")
    service = make_service(labels=exposed(backend.server_port))
    tasks = make_tasks("shop_web", "127.0.0.2")
    kept = carry_out(traefik, [service], tasks)["fence"]["generation"]
    service["labels"]["traefik.http.routers.web.nonsense"] = "1"
    options = discovery.ingress_options({**SETTINGS, "unknown_fields": True})
    share = share_of(traefik, [service], tasks, options)
    result = discovery.deliver(share, root=str(traefik.root), timeout=3.0, means=MEANS)
    assert [problem.code for problem in result["problems"]] == ["STW-FENCE"]
    assert f"still serves generation {kept}" in result["problems"][0].reason
    assert traefik.get("/", "shop.example")[0] == 200
    assert discovery.generation_of((traefik.dynamic / "stowage.yml").read_text()) == kept
    del service["labels"]["traefik.http.routers.web.nonsense"]
    service["labels"]["traefik.http.routers.other.rule"] = "Host(`other.example`)"
    assert carry_out(traefik, [service], tasks)["problems"] == []
    assert traefik.get("/", "other.example")[0] == 200


def test_a_second_traefik_tries_new_shapes(start_traefik, make_service, make_tasks, tmp_path):
    """The file that it refuses is never written; another replica of a known service needs no trial."""
    traefik, asked = start_traefik(), []

    def trial(text, generation):
        asked.append(generation)
        one = tmp_path / f"trial{len(asked)}"
        (one / "trial").mkdir(parents=True)
        (one / "trial/stowage.yml").write_text(text)
        second = Traefik(one, static=static_configuration(str(one / "trial"), free_ports(1)[0]))
        try:
            seen, problems = await_generation(second.fence, generation, 5.0)
            return (
                []
                if seen["seen"]
                else [Problem("STW-INGRESS-FILE", "trial", second.messages(), "")]
                if problems
                else []
            )
        finally:
            second.stop()

    def change(labels, *addresses):
        service, options = make_service(labels=exposed(80, **labels)), {**SETTINGS, "unknown_fields": True}
        tasks = make_tasks("shop_web", *addresses)
        share = share_of(traefik, [service], tasks, discovery.ingress_options(options))
        return discovery.deliver(share, root=str(traefik.root), timeout=20, means=MEANS._replace(trial=trial))

    assert change({}, "127.0.0.2", "127.0.0.3")["problems"] == []
    assert change({}, "127.0.0.4", "127.0.0.3", "127.0.0.2")["problems"] == []
    assert len(asked) == 1
    before = (traefik.dynamic / "stowage.yml").read_text()
    refused = change({"traefik.http.routers.web.nonsense": "1"}, "127.0.0.4")
    assert [problem.code for problem in refused["problems"]] == ["STW-INGRESS-FILE"]
    assert "nonsense" in refused["problems"][0].reason
    assert not refused["changed"]
    assert (traefik.dynamic / "stowage.yml").read_text() == before
    assert change({"traefik.http.routers.web.priority": "1"}, "127.0.0.4")["problems"] == []
    assert len(asked) == 3


def test_tcp_routes(start_traefik, start_backend, make_service, make_tasks):
    """A plain TCP router reaches its backend."""
    traefik = start_traefik()
    backend = start_backend("127.0.0.2", 0, "db")
    labels = {
        "traefik.enable": "true",
        "traefik.tcp.routers.db.rule": "HostSNI(`*`)",
        "traefik.tcp.routers.db.entrypoints": "tcp",
        "traefik.tcp.services.db.loadbalancer.server.port": str(backend.server_port),
    }
    assert carry_out(traefik, [make_service("db", labels=labels)], make_tasks("shop_db", "127.0.0.2"))["problems"] == []
    assert json.loads(traefik.get("/", port=traefik.tcp)[1])["name"] == "db"


def test_metrics_are_beside_the_fence(start_traefik):
    """What the settings make of metrics: there on loopback, not on public entry points, and no API anywhere."""
    static = discovery.traefik_static({"metrics": True, "access_log": True})
    traefik = start_traefik()
    web, fence = free_ports(2)
    static["entryPoints"] = {"web": {"address": f"127.0.0.1:{web}"}, "stowage": {"address": f"127.0.0.1:{fence}"}}
    static["providers"]["file"]["directory"] = str(traefik.dynamic)
    (traefik.root / "second").mkdir()
    second = Traefik(traefik.root / "second", static=static)
    try:
        second.wait_ready(fence)
        deadline = time.monotonic() + 30  # it listens before it has routes, its own among them
        while second.get("/metrics", port=fence)[0] == 404 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "traefik_config_reloads_total" in second.get("/metrics", port=fence)[1]
        assert second.get("/metrics", port=web)[0] == 404
        assert [second.get(path, port=fence)[0] for path in ("/api/rawdata", "/dashboard/")] == [404, 404]
    finally:
        second.stop()
