# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Issue 4: ten stack files that nobody here wrote, unchanged, on lab hosts, with a stand-in under each image's name.

Long, so only where asked for: `make test-stacks` (part of `make test-all`). The files come from STOWAGE_DATA.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from conftest import ROOT, Fleet

DATA = Path(os.environ.get("STOWAGE_DATA", ROOT / "../shared/data")).resolve() / "workloads/swarm"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-stacks runs it (STOWAGE_LONG=1)"),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"STOWAGE_DATA has no stack files ({DATA})"),
]

MANAGERS, LABELLED = ("n1", "n2"), "n2"
DOMAIN = "public.localhost"
ENVIRONMENT = {"DOMAIN": DOMAIN, "ADMIN_USER": "admin", "ADMIN_PASSWORD": "x", "HASHED_PASSWORD": "x", "USERNAME": "x"}
INGRESS = {
    "image": "traefik:v3",
    "entrypoints": {"web": ":80", "http": ":8880", "https": ":8443"},
    "fence_port": 8090,
    # The files ask for a resolver; nothing is reached through it, Traefik serves its own certificate.
    "static": {
        "certificatesResolvers": {
            "le": {
                "acme": {
                    "email": "nobody@public.localhost",
                    "storage": "/acme.json",
                    "caServer": "https://127.0.0.1:1/directory",
                    "tlsChallenge": {},
                }
            }
        }
    },
}
# What the Traefik stack of dockerswarm.rocks gives the others.
PUBLIC = """
services:
  redirect:
    image: stowage/app:1.0
    deploy:
      labels:
        traefik.enable: "true"
        traefik.http.middlewares.https-redirect.redirectscheme.scheme: https
        traefik.http.middlewares.https-redirect.redirectscheme.permanent: "true"
        traefik.http.routers.redirect.rule: Host(`redirect.localhost`)
        traefik.http.routers.redirect.entrypoints: web
        traefik.http.services.redirect.loadbalancer.server.port: "8080"
"""


class Stack(NamedTuple):
    """A file, what its host must have, and where its stand-ins listen."""

    path: str
    ports: dict[str, int]  # service: port of its stand-in, 8080 for the others
    published: dict[int, str]  # published port: the service that answers there
    routed: str = ""  # the service behind Host(DOMAIN)
    missing: tuple[str, ...] = ()  # files that it mounts, which the collection of files has not


SWARMPROM = (
    "dockerd-exporter/Caddyfile",
    "prometheus/rules/swarm_node.rules.yml",
    "prometheus/rules/swarm_task.rules.yml",
)
ROCKS = "tiangolo__dockerswarm.rocks/docs"
VOTE = {"vote": 80, "result": 80}
STACKS = {
    "vote": Stack("dockersamples__example-voting-app/docker-stack.yml", VOTE, {8080: "vote", 8081: "result"}),
    "swarmprom": Stack(
        "stefanprodan__swarmprom/docker-compose.yml",
        {"caddy": 3000},
        {3000: "caddy"},
        "",
        ("caddy/Caddyfile", *SWARMPROM),
    ),
    "rocks-portainer": Stack(f"{ROCKS}/portainer.yml", {"portainer": 9000}, {}, "portainer"),
    "rocks-swarmpit": Stack(f"{ROCKS}/swarmpit.yml", {"app": 8080}, {}, "app"),
    "rocks-thelounge": Stack(f"{ROCKS}/thelounge.yml", {"app": 9000}, {}, "app"),
    "training": Stack(
        "BretFisher__udemy-docker-mastery/swarm-stack-6/example-voting-app-stack.yml",
        VOTE,
        {5000: "vote", 5001: "result"},
    ),
    "portainer": Stack("portainer__portainer-compose/docker-stack.yml", {"portainer": 9000}, {9000: "portainer"}),
    "logging": Stack(
        "vfarcic__docker-flow-stacks/logging/logging.yml",
        {"elasticsearch": 9200, "kibana": 5601},
        {9200: "elasticsearch", 5601: "kibana"},
    ),
    "wordpress": Stack("vfarcic__docker-flow-stacks/web/wordpress-df-proxy.yml", {}, {}),
    "visualizer": Stack("BretFisher__udemy-docker-mastery/visualizer/docker-stack.yml", {"viz": 8080}, {8080: "viz"}),
}


@pytest.fixture(scope="module")
def swarm(lab_inventory, bootstrapped, tmp_path_factory):
    """The lab as these files expect a Swarm: managers, labelled nodes, entry points http and https."""
    hosts = yaml.safe_load(lab_inventory.read_text())
    nodes = hosts["all"]["children"]["stowage_nodes"]["hosts"]
    data = ("portainer.portainer-data", "swarmpit.db-data", "swarmpit.influx-data", "thelounge.thelounge-data")
    for name in MANAGERS:
        nodes[name]["stowage_role"] = "manager"
    nodes[LABELLED]["stowage_labels"].update(dict.fromkeys(data, "true"))
    file = tmp_path_factory.mktemp("hosts") / "hosts.yml"
    file.write_text(yaml.safe_dump(hosts))
    fleet = Fleet(file, tmp_path_factory.mktemp("swarm"))
    variables = fleet.directory / "group_vars/all/fleet.yml"
    given = yaml.safe_load(variables.read_text())
    variables.write_text(yaml.safe_dump({**given, "stowage_ingress": INGRESS, "stowage_env": ENVIRONMENT}))
    bootstrapped.wipe()
    fleet.play("bootstrap").ok()
    yield fleet
    fleet.wipe()
    bootstrapped.play("bootstrap").ok()


def services_of(path):
    return yaml.safe_load(path.read_text())["services"]


STAND_IN = """
docker image inspect stowage/app:1.0 >/dev/null 2>&1 || docker pull -q stowage/app:1.0 >/dev/null
made=$(docker create stowage/app:1.0)
docker commit -c 'ENV PORT={port}' $made {image} >/dev/null
docker rm $made >/dev/null
"""


def stand_in(fleet, image, port):
    """Give every node an image of this name: the lab's web server, listening on this port."""
    for node in fleet.nodes:
        fleet.shell(node, STAND_IN.format(image=image, port=port))


def lay_out(fleet, name, stack):
    """The file, byte for byte, in the inventory, with what it mounts; the inventory allows guarded host paths."""
    folder = fleet.directory / "stacks" / name
    folder.mkdir(parents=True)
    for missing in stack.missing:
        (folder / missing).parent.mkdir(parents=True, exist_ok=True)
        (folder / missing).write_text("# a stand-in\n")
    shutil.copyfile(DATA / stack.path, folder / "stack.yml")
    services = services_of(folder / "stack.yml")
    for service, given in services.items():
        stand_in(fleet, given["image"], stack.ports.get(service, 8080))
    stacks = {name: {"files": f"stacks/{name}/stack.yml", "allow_host_paths": ["/"]}}
    if stack.routed:
        (folder / "public.yml").write_text(PUBLIC)
        stacks["public"] = f"stacks/{name}/public.yml"
    (fleet.directory / "group_vars/all/stacks.yml").write_text(yaml.safe_dump({"stowage_stacks": stacks}))
    return services


def expected(services, nodes):
    """{service: number of containers}"""
    found = {}
    for name, given in services.items():
        deploy = given.get("deploy") or {}
        found[name] = len(nodes) if deploy.get("mode") == "global" else deploy.get("replicas", 1)
    return found


def suitable(constraint, nodes):
    """The nodes of a constraint, by what the fixture gave them: an evaluation of the test's own."""
    left, _equals, right = constraint.partition("==")
    if left.strip() == "node.role":
        return {node for node in nodes if (node in MANAGERS) == (right.strip() == "manager")}
    return {LABELLED} if left.strip().startswith("node.labels.") else set(nodes)


def answer(url, host):
    """The JSON behind a URL; redirects are not followed, certificates not checked."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(url, headers={"Host": host})
    with urllib.request.urlopen(request, timeout=10, context=context) as reply:
        return json.loads(reply.read())


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing."""

    def redirect_request(self, *_arguments, **_keywords):
        return None


def redirect(url, host):
    """Where a URL redirects to."""
    request = urllib.request.Request(url, headers={"Host": host})
    try:
        urllib.request.build_opener(Stay).open(request, timeout=10)
    except urllib.error.HTTPError as error:
        return error.headers["Location"]
    return ""


@pytest.mark.parametrize("name", STACKS)
def test_a_real_stack_file_runs_as_it_is(swarm, name):
    stack = STACKS[name]
    swarm.wipe()
    services = lay_out(swarm, name, stack)
    swarm.deploy().ok()
    running = [c for c in swarm.containers() if c["service"].startswith(f"{name}_")]
    count = {service: sum(c["service"] == f"{name}_{service}" for c in running) for service in services}
    assert count == expected(services, swarm.nodes)
    assert {c["state"] for c in running} == {"running"}
    for container in running:
        deploy = services[container["service"].removeprefix(f"{name}_")].get("deploy") or {}
        for constraint in deploy.get("placement", {}).get("constraints", ()):
            assert container["node"] in suitable(constraint, swarm.nodes), container
    for port in stack.published:
        for node in swarm.nodes:
            assert answer(f"http://{swarm.address(node)}:{port}/", "x")["container"]
    if stack.routed:
        ingress = swarm.address(swarm.nodes[0])
        assert redirect(f"http://{ingress}:8880/", DOMAIN).startswith("https://")
        assert answer(f"https://{ingress}:8443/", DOMAIN)["container"]
    again = swarm.deploy().ok()
    assert again.changed == 0
    assert [c for c in swarm.containers() if c["service"].startswith(f"{name}_")] == running
