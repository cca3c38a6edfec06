"""Issue 6, ingress: certificates as inputs, closed doors, two ingress hosts, back ends that die. make test-ingress"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from certificate_maker import make_pair
from test_rollout import Load, shown

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-ingress runs it (STOWAGE_LONG=1)"),
]

EDGE = {
    "image": "traefik:v3",
    "entrypoints": {"web": ":80", "websecure": ":443"},
    "fence_port": 8090,
    "tls_options": {"default": {"minVersion": "VersionTLS12"}},
    "metrics": True,
}
SHOP = """
services:
  web:
    image: stowage/app:1.0
    healthcheck:
      test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"]
      interval: 1s
      timeout: 2s
      retries: 3
    deploy:
      replicas: 3
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.routers.secure.rule: Host(`shop.localhost`) || Host(`api.shop.localhost`)
        traefik.http.routers.secure.entrypoints: websecure
        traefik.http.routers.secure.tls: "true"
        traefik.http.services.shop.loadbalancer.server.port: "8080"
"""
DOORS = (
    "/",
    "/api",
    "/api/rawdata",
    "/api/version",
    "/dashboard/",
    "/ping",
    "/metrics",
    "/debug/vars",
    "/.stowage/ready",
)
PLACES = "/etc /root /tmp /var/tmp /var/log /var/lib/stowage /var/lib/docker/containers /run"


def settings(fleet, name="edge", **variables):
    """Variables of the inventory in a file of their own, read after the fleet's."""
    path = fleet.directory / f"group_vars/all/z_{name}.yml"
    path.write_text(yaml.safe_dump(variables))
    return path


@pytest.fixture(scope="module")
def edge(bootstrapped):
    """Two ingress hosts that also speak TLS, and the shop behind them."""
    fleet = bootstrapped
    hosts = yaml.safe_load((fleet.directory / "hosts.yml").read_text())
    hosts["all"]["children"]["stowage_ingress"]["hosts"] = dict.fromkeys(fleet.nodes[:2])
    (fleet.directory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    (fleet.directory / "certificates").mkdir(exist_ok=True)
    settings(fleet, stowage_ingress=EDGE)
    fleet.play("bootstrap").ok()
    fleet.wipe()
    fleet.stack(SHOP)
    fleet.deploy().ok()
    return fleet


def written(fleet, name, *names):
    """A pair in the inventory; its entry for stowage_certificates, and the certificate."""
    certificate, key = make_pair(*names)
    (fleet.directory / f"certificates/{name}.pem").write_text(certificate)
    (fleet.directory / f"certificates/{name}.key").write_text(key)
    return {"certificate": f"certificates/{name}.pem", "key": f"certificates/{name}.key"}, certificate


def mark(certificate):
    """What the load generator counts a certificate by."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()[:16]


def served(fleet, node, host):
    """The mark of the certificate that a host shows for a name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((fleet.address(node), 443), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()[:16]


class TlsLoad(Load):
    """The same requests over TLS."""

    def __init__(self, fleet):
        super().__init__(fleet, port=443)
        self.argv.append("tls")


def started(fleet, node):
    return fleet.shell(node, "docker inspect -f '{{.State.StartedAt}}' stowage-ingress")


def secret_line(fleet, name):
    """One line out of the middle of a key: what must be nowhere."""
    return (fleet.directory / f"certificates/{name}.key").read_text().splitlines()[1]


def test_certificates_are_served_rotated_under_load_and_removed(edge, capsys):
    fleet, ingress = edge, edge.nodes[:2]
    shop, old = written(fleet, "shop", "shop.localhost")
    wild, star = written(fleet, "wild", "*.shop.localhost")
    other, default = written(fleet, "default", "default.localhost")
    password = fleet.directory / "password"
    password.write_text("of the test")
    vault = ("--vault-password-file", str(password))
    binary = os.path.join(os.path.dirname(os.sys.executable), "ansible-vault")
    wild_key = secret_line(fleet, "wild")
    subprocess.run([binary, "encrypt", *vault, str(fleet.directory / "certificates/wild.key")], check=True)
    settings(fleet, "certificates", stowage_certificates=[shop, wild, {**other, "default": True}])
    since = [started(fleet, node) for node in ingress]
    refused = fleet.deploy()
    assert refused.rc != 0
    assert "STW-SECRET secret stowage_certificates[1].key" in refused.text

    plan = fleet.play("plan", *vault).ok()
    assert "n1: certificate shop.localhost: expires 20" in plan.text
    assert fleet.deploy("--check", "--diff", *vault).ok().changed > 0
    run = fleet.deploy("--diff", "-vvv", *vault).ok()
    for node in ingress:
        shows = [served(fleet, node, name) for name in ("shop.localhost", "api.shop.localhost", "elsewhere.test")]
        assert shows == [mark(old), mark(star), mark(default)]
        folder = "/etc/stowage/traefik/certificates"
        modes = fleet.shell(node, f"stat -c '%a %U' {folder} {folder}/inventory {folder}/inventory/*").splitlines()
        assert modes == ["700 root"] * 2 + ["600 root"] * 6
    for key in (secret_line(fleet, "shop"), wild_key):
        assert key not in run.text
        found = subprocess.run(["grep", "-rl", key, str(fleet.directory)], capture_output=True, text=True, check=False)
        assert [line for line in found.stdout.splitlines() if not line.endswith(".key")] == []
        for node in fleet.nodes:
            found = fleet.shell(node, f"grep -rlF -- '{key}' {PLACES}", check=False).splitlines()
            assert [path for path in found if not path.startswith(f"{folder}/inventory/")] == []
            assert bool(found) is (node in ingress)
    assert fleet.deploy(*vault).ok().changed == 0

    with TlsLoad(fleet) as load:
        _again, new = written(fleet, "shop", "shop.localhost")
        run = fleet.deploy(*vault).ok()
        time.sleep(2)
    shown(capsys, "a certificate rotated", load.report)
    assert "certificate shop.localhost: expires 20" in run.text
    assert "1 certificate(s) that are not wanted any more: removed" in run.text
    assert load.report["failed"] == 0, load.report["failures"]
    assert set(load.report["certificates"]) == {mark(old), mark(new)}
    assert [served(fleet, node, "shop.localhost") for node in ingress] == [mark(new)] * 2
    assert fleet.deploy(*vault).ok().changed == 0

    settings(fleet, "certificates", stowage_certificates=[])
    assert "3 certificate(s) that are not wanted" in fleet.deploy().ok().text
    assert fleet.shell(ingress[0], "ls /etc/stowage/traefik/certificates/inventory") == ""
    assert served(fleet, ingress[0], "shop.localhost") not in (mark(old), mark(new))
    assert [started(fleet, node) for node in ingress] == since, "Traefik was never restarted"


def test_bad_certificates_are_refused_before_any_host_is_touched(edge):
    fleet = edge
    good, _text = written(fleet, "good", "shop.localhost")
    wrong = {**good, "key": written(fleet, "wrong", "wrong.localhost")[0]["key"]}
    settings(fleet, "certificates", stowage_certificates=[wrong, {"certificate": "none.pem", "key": "none.key"}])
    for playbook in ("plan", "deploy"):
        run = fleet.play(playbook)
        assert run.rc != 0
        assert "STW-CERT-FILE stowage_certificates[1].certificate" in run.text
        assert "Traceback" not in run.text
    settings(fleet, "certificates", stowage_certificates=[good])
    assert "STW-CERT-HOST http router 'secure': no certificate is for 'api.shop.localhost'" in fleet.play("plan").text
    settings(fleet, "certificates", stowage_certificates=[])


def status(url, host=None):
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_no_dashboard_no_api_no_metrics_from_outside(edge):
    """Whatever host is asked for: only the stacks' own routes answer, and nothing listens but the entry points."""
    fleet = edge
    for node in fleet.nodes[:2]:
        address = fleet.address(node)
        for door in DOORS:
            for host in (None, "traefik.localhost", "localhost", "127.0.0.1:8090"):
                assert status(f"http://{address}{door}", host) == 404, (door, host)
        assert status(f"http://{address}/", "shop.localhost") == 200
        for port in (8080, 8090):
            assert status(f"http://{address}:{port}/dashboard/") == 0
            assert status(f"http://{address}:{port}/api/rawdata") == 0
        assert fleet.shell(node, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8090/metrics") == "200"
        assert fleet.shell(node, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8090/api/rawdata") == "404"
        listening = fleet.shell(node, "ss -Hltnp | grep traefik | awk '{print $4}'").split()
        assert sorted(listening) == ["*:443", "*:80", "127.0.0.1:8090"]


# --- back ends that die or hang, through the ingress

AGAIN = """
        traefik.http.middlewares.again.retry.attempts: "4"
        traefik.http.middlewares.again.retry.initialinterval: 50ms
        traefik.http.middlewares.again.retry.status: "502-504"
        traefik.http.middlewares.again.retry.retrynonidempotentmethod: "true"
        traefik.http.routers.shop.middlewares: again
        traefik.http.services.shop.loadbalancer.serverstransport: quick
"""
QUICK = {"quick": {"forwardingTimeouts": {"responseHeaderTimeout": "1s"}}}


class QuickLoad(Load):
    """Without requests that take 2 s."""

    def __init__(self, fleet):
        super().__init__(fleet)
        self.argv.append("quick")


def signaled(fleet, signal, seconds=12):
    """The load's report while one of three back ends gets a signal; it is restarted by the Engine if it died."""
    victim = fleet.containers("shop_web")[1]
    pid = fleet.shell(victim["node"], f"docker inspect -f '{{{{.State.Pid}}}}' {victim['id']}")
    with QuickLoad(fleet) as load:
        fleet.shell(victim["node"], f"kill -{signal} {pid}")
        time.sleep(seconds)
    if signal == "STOP":
        fleet.shell(victim["node"], f"kill -CONT {pid}")
    time.sleep(3)
    return load.report


def test_a_back_end_that_is_killed_or_hangs_fails_no_request(edge, capsys):
    """The app says by its labels that a POST may be sent again, and how long it may take to answer."""
    fleet = edge
    settings(fleet, stowage_ingress={**EDGE, "transports": QUICK})
    fleet.stack(SHOP.rstrip() + AGAIN)
    fleet.deploy().ok()
    killed, hung = signaled(fleet, "KILL"), signaled(fleet, "STOP")
    shown(capsys, "one of three killed", killed)
    shown(capsys, f"one of three stopped (slowest {hung['max']:.0f} ms)", hung)
    assert killed["failed"] == 0, killed["failures"]
    assert hung["failed"] == 0, hung["failures"]
    assert hung["p99"] < 2000
    assert min(killed["requests"], hung["requests"]) > 1000


def test_without_such_labels_only_posts_in_flight_are_lost(edge, capsys):
    """What is not known to be harmless is not sent twice."""
    fleet = edge
    settings(fleet, stowage_ingress=EDGE)
    fleet.stack(SHOP)
    fleet.deploy().ok()
    report = signaled(fleet, "KILL")
    shown(capsys, "one of three killed, nothing said of POST", report)
    assert [failure for failure in report["failures"] if not failure["what"].startswith("POST")] == []
    assert report["failed"] < 20


# --- a thousand services

SERVICES, ENDPOINTS = 1000, 10
RENDER_SECONDS, LIVE_SECONDS = 0.5, 4.0
SWITCH = """
import http.client, os, time
began = time.monotonic()
os.rename("/var/lib/stowage/traefik/stage/big.yml", "/var/lib/stowage/traefik/dynamic/stowage.yml")
while True:
    link = http.client.HTTPConnection("127.0.0.1", 8090, timeout=5)
    link.request("GET", "/.stowage/gen/{generation}")
    if link.getresponse().status == 200:
        break
    assert time.monotonic() - began < 60
    time.sleep(0.02)
print(time.monotonic() - began)
"""


def many():
    """A thousand services of ten replicas, as the planner has them."""
    services, tasks = [], []
    for number in range(SERVICES):
        name = f"big_s{number}"
        labels = {
            "traefik.enable": "true",
            f"traefik.http.routers.s{number}.rule": f"Host(`s{number}.example`)",
            f"traefik.http.services.s{number}.loadbalancer.server.port": "8080",
        }
        services.append(
            {"name": name, "stack": "big", "short": f"s{number}", "labels": labels, "ports": [], "template": {}}
        )
        for slot in range(ENDPOINTS):
            at = number * ENDPOINTS + slot
            ip = f"10.128.{at // 250}.{at % 250 + 2}"
            tasks.append({"service": name, "slot": str(slot + 1), "node": "n1", "ip": ip})
    return services, tasks


def test_a_thousand_services_are_live_in_four_seconds(edge, capsys):
    fleet, node = edge, edge.nodes[1]
    services, tasks = many()
    options = discovery.ingress_options(EDGE, ingress_nodes=2)
    began = time.process_time()
    made = discovery.traefik_file(services, tasks, options)
    rendering = time.process_time() - began
    stage = "/var/lib/stowage/traefik/stage"
    command = [*fleet.ssh(node), f"mkdir -p {stage} && cat > {stage}/big.yml"]
    subprocess.run(command, input=made["text"], text=True, check=True, timeout=60)
    script = SWITCH.format(generation=made["generation"])
    live = float(subprocess.run([*fleet.ssh(node), "python3 -"], input=script, text=True, check=True, stdout=-1).stdout)
    with capsys.disabled():
        size = len(made["text"]) // 1024
        print(
            f"\n{SERVICES} services x {ENDPOINTS}, {size} KiB: rendered in {rendering:.2f} s CPU, live after {live:.2f} s"
        )
    assert status(f"http://{fleet.address(node)}/", "s999.example") in (502, 503, 504), "known, and nobody serves"
    assert fleet.deploy().ok().changed > 0, "the next deploy puts the routes back"
    assert status(f"http://{fleet.address(node)}/", "shop.localhost") == 200
    assert rendering < RENDER_SECONDS
    assert live < LIVE_SECONDS


# --- two ingress hosts behind a balancer, and with a floating address

HAPROXY = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend shop
    bind :8088
    default_backend ingress
backend ingress
    option httpchk GET /.stowage/ready
    default-server check inter 500ms fall 2 rise 2
    server n1 {n1}:80
    server n2 {n2}:80
"""
DRAINED = {**EDGE, "ready_entrypoints": ["web"], "drain": 12, "access_log": False}


class ThroughBalancer(Load):
    """The same requests through the balancer on the third host."""

    def __init__(self, fleet):
        super().__init__(fleet, port=8088)
        self.argv[2] = fleet.address(fleet.nodes[2])


@pytest.fixture
def balanced(edge):
    """HAProxy on the third host before two ingress hosts that drain."""
    fleet, where = edge, edge.nodes[2]
    settings(fleet, stowage_ingress=DRAINED)
    fleet.stack(SHOP)
    fleet.play("bootstrap").ok()
    fleet.deploy().ok()
    text = HAPROXY.format(**{node: fleet.address(node) for node in fleet.nodes[:2]})
    fleet.shell(where, f"mkdir -p /etc/edge; cat > /etc/edge/haproxy.cfg <<'END'\n{text}\nEND")
    mounts = "-v /etc/edge:/etc/edge:ro"
    fleet.shell(where, f"docker run -d --name edge-balancer --network host {mounts} stowage/edge:1", timeout=180)
    yield fleet
    fleet.shell(where, "docker rm -f edge-balancer")


def test_ingress_hosts_are_restarted_and_upgraded_behind_a_balancer(balanced, capsys):
    fleet, ingress = balanced, balanced.nodes[:2]
    for node in ingress:
        fleet.shell(node, "docker tag traefik:v3 traefik:next")
    since = [started(fleet, node) for node in ingress]
    settings(fleet, stowage_ingress={**DRAINED, "image": "traefik:next", "access_log": True})
    with ThroughBalancer(fleet) as load:
        run = fleet.play("bootstrap").ok()
    shown(capsys, f"both ingress hosts upgraded in {run.seconds:.0f} s", load.report)
    again = [started(fleet, node) for node in ingress]
    assert all(one != other for one, other in zip(since, again, strict=True))
    assert load.report["failed"] == 0, load.report["failures"]
    assert fleet.play("bootstrap").ok().changed == 0
    # The same without any care: the load can fail.
    with ThroughBalancer(fleet) as load:
        for node in ingress:
            fleet.shell(node, "docker restart -t 0 stowage-ingress")
            time.sleep(4)
    shown(capsys, "restarted at once", load.report)
    assert load.report["failed"] > 0


def holders(fleet, address):
    """Which ingress hosts have the floating address now."""
    return [n for n in fleet.nodes[:2] if f" {address}/" in fleet.shell(n, "ip -4 address", check=False)]


def moved(fleet, address, since):
    """Seconds until the floating address answers again, and how long it did not."""
    while time.monotonic() - since < 60:
        if status(f"http://{address}/", "shop.localhost") == 200:
            return time.monotonic() - since
        time.sleep(0.05)
    raise AssertionError(f"{address} does not answer")


def within(seconds, true):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.3)


def test_the_floating_address_leaves_a_host_that_dies_or_does_not_serve(edge, capsys):
    fleet = edge
    address = fleet.address(fleet.nodes[0]).rpartition(".")[0] + ".100"
    settings(fleet, "floating", stowage_ingress_address=f"{address}/24")
    settings(fleet, stowage_ingress=EDGE)
    fleet.stack(SHOP)
    fleet.play("bootstrap").ok()
    fleet.deploy().ok()
    assert fleet.play("bootstrap").ok().changed == 0
    within(20, lambda: len(holders(fleet, address)) == 1)
    assert status(f"http://{address}/", "shop.localhost") == 200

    (first,) = holders(fleet, address)
    other = next(node for node in fleet.nodes[:2] if node != first)
    fleet.shell(first, "docker stop -t 0 stowage-ingress")
    stopped = moved(fleet, address, time.monotonic())
    within(10, lambda: holders(fleet, address) == [other])
    fleet.shell(first, "docker start stowage-ingress")
    time.sleep(6)
    assert holders(fleet, address) == [other], "it does not move back"

    subprocess.run(["docker", "kill", fleet.outer(other)], check=True, stdout=subprocess.DEVNULL)
    since = time.monotonic()
    try:
        killed = moved(fleet, address, since)
        assert first in holders(fleet, address)
    finally:
        subprocess.run(["docker", "start", fleet.outer(other)], check=True, stdout=subprocess.DEVNULL)
        fleet.wait_for(other, 120)
    with capsys.disabled():
        print(
            f"\nfloating address: answers {stopped:.1f} s after Traefik ended, {killed:.1f} s after its host was killed"
        )
    within(30, lambda: len(holders(fleet, address)) == 1)
    assert max(stopped, killed) < 10
    settings(fleet, "floating", stowage_ingress_address="")
    fleet.play("bootstrap").ok()
    assert holders(fleet, address) == []
