# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The file against the real Traefik: accepted, routed, fenced, and equal to what its Swarm provider makes."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery

pytestmark = pytest.mark.traefik

SETTINGS = {"entrypoints": {"web": ":80", "tcp": ":81"}}
PORTS = discovery.Ports(lambda _text, _path: False, lambda _text: True)


def carry_out(traefik, services, tasks, settings=None):
    """Deliver the share of these services to a running Traefik; the result of `deliver`."""
    options = discovery.ingress_options({**SETTINGS, **(settings or {})})
    made = discovery.traefik_file(services, tasks, options)
    share = {"tasks": tasks, "traefik": {**made, "port": traefik.fence}, "dns": {}, "ports": ""}
    return discovery.deliver(share, root=str(traefik.root), timeout=60, ports=PORTS)


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
    made = discovery.traefik_file([service], tasks, options)
    share = {"tasks": tasks, "traefik": {**made, "port": traefik.fence}, "dns": {}, "ports": ""}
    result = discovery.deliver(share, root=str(traefik.root), timeout=3.0, ports=PORTS)
    assert [problem.code for problem in result["problems"]] == ["STW-FENCE"]
    assert f"still serves generation {kept}" in result["problems"][0].reason
    assert traefik.get("/", "shop.example")[0] == 200


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


COMMON = {
    "traefik.enable": "true",
    "traefik.swarm.network": "net",
    "traefik.constraint-label": "public",
    "traefik.http.routers.Web.rule": "Host(`shop.example`) && PathPrefix(`/api`)",
    "traefik.http.routers.web.EntryPoints": "web , tcp",
    "traefik.http.routers.web.middlewares": "auth@swarm,compress,sec",
    "traefik.http.routers.web.priority": "42",
    "traefik.http.routers.web.service": "web",
    "traefik.http.routers.web.tls": "true",
    "traefik.http.routers.web.tls.domains[0].main": "shop.example",
    "traefik.http.routers.web.tls.domains[0].sans": "a.example,b.example",
    "traefik.http.routers.web.tls.domains[1].main": "c.example",
    "traefik.http.routers.plain.rule": "Path(`/plain`)",
    "traefik.http.routers.plain.service": "web",
    "traefik.http.routers.plain.tls": "false",
    "traefik.http.routers.plain.tls.options": "x",
    "traefik.http.routers.plain.observability.accesslogs": "false",
    "traefik.http.routers.bare.service": "web",
    "traefik.http.services.web.loadbalancer.server.port": "8080",
    "traefik.http.services.web.loadbalancer.server.scheme": "http",
    "traefik.http.services.web.loadbalancer.passhostheader": "false",
    "traefik.http.services.web.loadbalancer.sticky": "true",
    "traefik.http.services.web.loadbalancer.sticky.cookie.name": "lb",
    "traefik.http.services.web.loadbalancer.sticky.cookie.secure": "true",
    "traefik.http.services.web.loadbalancer.healthcheck.path": "/up",
    "traefik.http.services.web.loadbalancer.healthcheck.interval": "30",
    "traefik.http.services.web.loadbalancer.healthcheck.timeout": "1m3s",
    "traefik.http.services.web.loadbalancer.healthcheck.headers.X-One": "1",
    "traefik.http.services.web.loadbalancer.responseforwarding.flushinterval": "1s",
    "traefik.http.middlewares.auth.basicauth.users": "a:$apr1$x$y, b:{SHA}z=",
    "traefik.http.middlewares.auth.basicauth.removeheader": "1",
    "traefik.http.middlewares.compress.compress": "true",
    "traefik.http.middlewares.sec.headers.customresponseheaders.X-Frame": "a, b",
    "traefik.http.middlewares.sec.headers.customrequestheaders.x-empty": "",
    "traefik.http.middlewares.sec.headers.stsseconds": "31536000",
    "traefik.http.middlewares.sec.headers.accesscontrolalloworiginlist": "https://a.example,https://b.example",
    "traefik.http.middlewares.sec.headers.framedeny": "TRUE",
    "traefik.http.middlewares.redirect.redirectscheme.scheme": "https",
    "traefik.http.middlewares.redirect.redirectscheme.permanent": "true",
    "traefik.http.middlewares.strip.stripprefix.prefixes": "/api,/v1",
    "traefik.http.middlewares.slow.ratelimit.average": "100",
    "traefik.http.middlewares.slow.ratelimit.period": "1m",
    "traefik.http.middlewares.slow.ratelimit.sourcecriterion.ipstrategy.depth": "2",
    "traefik.http.middlewares.allow.ipallowlist.sourcerange": "10.0.0.0/8, 127.0.0.1/32",
    "traefik.http.middlewares.allow.ipallowlist.ipstrategy.excludedips": "10.0.0.1",
    "traefik.http.middlewares.fwd.forwardauth.address": "http://auth/",
    "traefik.http.middlewares.fwd.forwardauth.authresponseheaders": "X-User,X-Mail",
    "traefik.http.middlewares.all.chain.middlewares": "auth@docker,slow",
    "traefik.http.middlewares.err.errors.status": "500-599",
    "traefik.http.middlewares.err.errors.service": "web",
    "traefik.http.middlewares.err.errors.query": "/{status}.html",
    "traefik.http.middlewares.re.redirectregex.regex": "^http://(.*)",
    "traefik.http.middlewares.re.redirectregex.replacement": "https://$${1}",
    "traefik.tcp.routers.db.rule": "HostSNI(`db.example`)",
    "traefik.tcp.routers.db.tls.passthrough": "true",
    "traefik.tcp.services.db.loadbalancer.server.port": "5432",
    "traefik.tcp.services.db.loadbalancer.terminationdelay": "100",
    "traefik.tcp.services.db.loadbalancer.proxyprotocol.version": "1",
    "traefik.tcp.middlewares.few.inflightconn.amount": "5",
    "traefik.udp.routers.log.entrypoints": "web",
    "traefik.udp.services.log.loadbalancer.server.port": "514",
}
ONE_PORT = "traefik.http.services.app.loadbalancer.server.port"
CASES = {
    "common": COMMON,
    "minimal": {"traefik.enable": "true", ONE_PORT: "80"},
    "disabled": {"traefik.enable": "false", ONE_PORT: "80"},
    "url": {"traefik.enable": "true", "traefik.http.services.app.loadbalancer.server.url": "http://x.example:1/y"},
    "two services": {
        "traefik.enable": "true",
        ONE_PORT: "80",
        "traefik.http.services.other.loadbalancer.server.port": "81",
        "traefik.http.routers.r.rule": "Path(`/`)",
        "traefik.http.routers.r.service": "other",
    },
    "only tcp": {
        "traefik.enable": "true",
        "traefik.tcp.routers.t.rule": "HostSNI(`*`)",
        "traefik.tcp.services.t.loadbalancer.server.port": "1",
    },
    "middleware and router without service": {
        "traefik.enable": "true",
        ONE_PORT: "80",
        "traefik.http.routers.r.middlewares": "m",
        "traefik.http.middlewares.m.compress.minresponsebodybytes": "10",
    },
    "empty values": {
        "traefik.enable": "true",
        ONE_PORT: "80",
        "traefik.http.routers.r.rule": "Path(`/`)",
        "traefik.http.routers.r.tls": "",
        "traefik.http.routers.r.middlewares": "",
    },
}


def test_equal_to_the_swarm_provider(start_traefik, make_service, make_tasks):
    """The same labels through Traefik's Swarm provider and through us: the same objects, for every case."""
    services = []
    for number, labels in enumerate(CASES.values()):
        renamed = {_rename(key, f"c{number}"): _rename(value, f"c{number}") for key, value in labels.items()}
        services.append(make_service(f"app{number}", labels=renamed))
    addresses = ["127.1.0.1", "127.1.0.2"]
    tasks = [task for service in services for task in make_tasks(service["name"], *addresses)]
    with FakeSwarm(services, addresses) as swarm:
        endpoint = {"endpoint": f"tcp://127.0.0.1:{swarm.port}", "exposedByDefault": False, "refreshSeconds": 1}
        expected = _objects(start_traefik(providers={"swarm": endpoint}, api=True), "swarm")
    ours = start_traefik(api=True)
    assert carry_out(ours, services, tasks, {"defaults": False})["problems"] == []
    made = _objects(ours, "file")
    assert len(expected) > 30
    assert {name: made.get(name) for name in expected} == expected
    assert sorted(made) == sorted(expected)


def _rename(text, prefix):
    """The objects of each case get their own names."""
    for name in ("auth", "compress", "sec", "slow", "web", "app", "r", "m", "t"):
        for kind in ("routers", "services", "middlewares"):
            text = text.replace(f".{kind}.{name}.", f".{kind}.{prefix}{name}.").replace(
                f".{kind}.{name.capitalize()}.", f".{kind}.{prefix}{name}."
            )
        text = ",".join(f"{prefix}{part}" if part.split("@")[0] == name else part for part in text.split(","))
    return text


def _objects(traefik, provider):
    """{kind/name: settings} of one provider as Traefik decoded them, without what differs by provider."""
    deadline = time.monotonic() + 60
    while True:
        status, body, _headers = traefik.get("/api/rawdata", port=traefik.api)
        raw = json.loads(body) if status == 200 else {}
        found = {
            f"{kind}/{name.split('@')[0]}": _neutral(value)
            for kind, objects in raw.items()
            for name, value in objects.items()
            if name.endswith("@" + provider) and not name.startswith("stowage")
        }
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def _neutral(value):
    """Without state and provider names."""
    text = json.dumps({key: part for key, part in value.items() if key not in ("status", "usedBy", "serverStatus")})
    return json.loads(text.replace("@swarm", "").replace("@docker", "").replace("@file", ""))


class FakeSwarm:
    """The few calls of the Docker API that Traefik's Swarm provider makes, for services with running tasks."""

    def __init__(self, services, addresses):
        """One overlay network `net`; every service has a task per address."""
        self.answers = {"/_ping": "OK", "/version": {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "28.0"}}
        network = {"Id": "net1", "Name": "net", "Scope": "swarm", "Driver": "overlay"}
        self.answers["/networks"] = [network]
        self.answers["/services"] = [self._service(one) for one in services]
        self.answers["/nodes/node1"] = {"ID": "node1", "Status": {"Addr": "127.0.0.1"}}
        self.tasks = {one["name"]: self._tasks(one, addresses) for one in services}

    @staticmethod
    def _service(one):
        spec = {
            "Name": one["name"],
            "Labels": one["labels"],
            "Mode": {"Replicated": {}},
            "TaskTemplate": {"ContainerSpec": {"Image": "x"}},
            "EndpointSpec": {"Mode": "vip"},
        }
        address = {"NetworkID": "net1", "Addr": "127.9.0.1/24"}
        return {"ID": one["name"], "Spec": spec, "Endpoint": {"Spec": {"Mode": "vip"}, "VirtualIPs": [address]}}

    @staticmethod
    def _tasks(one, addresses):
        return [
            {
                "ID": f"{one['name']}-{slot}",
                "ServiceID": one["name"],
                "NodeID": "node1",
                "Slot": slot,
                "Status": {"State": "running"},
                "Spec": {"ContainerSpec": {"Image": "x"}},
                "NetworksAttachments": [
                    {"Network": {"ID": "net1", "Spec": {"Name": "net"}}, "Addresses": [f"{address}/24"]}
                ],
            }
            for slot, address in enumerate(addresses, start=1)
        ]

    def __enter__(self):
        """Start serving."""
        swarm = self

        class Handler(BaseHTTPRequestHandler):
            """Answers GET and HEAD from the table."""

            def do_GET(self):
                """Path without version and query."""
                path, _mark, query = self.path.partition("?")
                path = path[path.index("/", 1) :] if path.startswith("/v1.") else path
                answer = swarm.answers.get(path)
                if path == "/tasks":
                    answer = next((tasks for name, tasks in swarm.tasks.items() if f"%22{name}%22" in query), [])
                body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(200 if answer is not None else 404)
                self.send_header("Api-Version", "1.44")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *_arguments):
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_details):
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()
