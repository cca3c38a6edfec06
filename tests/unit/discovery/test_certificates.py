"""Certificates as inputs: read and judged on the controller, put on a host, served by a real Traefik."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
import time

import pytest
from ansible.parsing import vault
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.template import Templar
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import certificates, certified
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import certificates as controller_side
from certificate_maker import make_pair
from real_traefik import Traefik, free_ports, traefik_binary

OPTIONS = discovery.ingress_options({"entrypoints": {"web": ":80", "websecure": ":443"}})


def inventory(tmp_path, *stated):
    variables = {"inventory_dir": str(tmp_path), "stowage_certificates": list(stated)}
    return controller_side.of_inventory(variables, Templar(DataLoader(), variables))


def refusal(tmp_path, *stated):
    with pytest.raises(StowageError) as caught:
        inventory(tmp_path, *stated)
    assert "PRIVATE KEY" not in str(caught.value)
    return [(problem.code, problem.place) for problem in caught.value.problems]


def written(tmp_path, name, *names, **more):
    texts = make_pair(*names, **more)
    for ending, text in zip(("pem", "key"), texts, strict=True):
        (tmp_path / f"{name}.{ending}").write_text(text)
    return {"certificate": f"{name}.pem", "key": f"{name}.key"}


def test_a_pair_is_read_from_files_and_texts_and_named_by_its_digest(tmp_path):
    stated = written(tmp_path, "shop", "shop.example", "*.shop.example")
    certificate, key = ((tmp_path / stated[part]).read_text() for part in ("certificate", "key"))
    (one,), (other,) = inventory(tmp_path, stated), inventory(tmp_path, {"certificate": certificate, "key": key})
    assert one["names"] == ["shop.example", "*.shop.example"]
    assert one["digest"] == other["digest"] == certified.pair_digest(certificate, key)
    assert 89 < (one["ends"] - time.time()) / 86400 < 91
    assert inventory(tmp_path, written(tmp_path, "shop", "shop.example"))[0]["digest"] != one["digest"]


def test_a_key_of_ansible_vault_is_opened_in_memory(tmp_path, monkeypatch):
    secret = VaultSecret(b"of the test")
    stated = written(tmp_path, "shop", "shop.example")
    path = tmp_path / "shop.key"
    key = path.read_text()
    path.write_bytes(VaultLib().encrypt(key, secret=secret))
    assert refusal(tmp_path, stated) == [("STW-SECRET", "secret stowage_certificates[0].key")]
    monkeypatch.setattr(controller_side.vaulted, "passwords", lambda _templar: [("default", secret)])
    assert inventory(tmp_path, stated)[0]["key"] == key
    assert path.read_bytes().startswith(b"$ANSIBLE_VAULT")


def test_a_variable_of_ansible_vault_is_opened_in_memory(tmp_path, monkeypatch):
    secret = ("default", VaultSecret(b"of the test"))
    certificate, key = make_pair("shop.example")
    sealed = VaultLib().encrypt(key, secret=secret[1]).decode()
    loader = DataLoader()
    loader.set_vault_secrets([secret])
    context = getattr(vault, "VaultSecretsContext", None)  # ansible-core 2.19 and later
    if context is not None:
        monkeypatch.setattr(context, "_current", context([secret]))
    indented = "".join(f"\n      {line}" for line in sealed.splitlines())
    public = "".join(f"\n      {line}" for line in certificate.splitlines())
    text = f"stowage_certificates:\n  - certificate: |{public}\n    key: !vault |{indented}\n"
    path = tmp_path / "vars.yml"
    path.write_text(text)
    variables = {"inventory_dir": str(tmp_path), **loader.load_from_file(str(path))}
    (one,) = controller_side.of_inventory(variables, Templar(loader, variables))
    assert (one["key"], one["names"], one["matches"]) == (key, ["shop.example"], True)


def test_what_cannot_be_served_is_refused_all_at_once(tmp_path):
    good, old = written(tmp_path, "good", "good.example"), written(tmp_path, "old", "old.example", days=-1, begins=-9)
    stated = [
        {**good, "key": old["key"]},
        old,
        written(tmp_path, "late", "late.example", begins=5),
        written(tmp_path, "nobody"),
    ]
    codes = ["STW-CERT-KEY", "STW-CERT-EXPIRED", "STW-CERT-EXPIRED", "STW-CERT-NAMES"]
    assert refusal(tmp_path, *stated) == [(code, f"stowage_certificates[{at}]") for at, code in enumerate(codes)]
    unread = [{**good, "key": "good.pem"}, {**good, "certificate": "good.key"}, {**good, "key": "gone.key"}]
    unread.append(written(tmp_path, "closed", "closed.example", passphrase=b"x"))
    places = ["[0].key", "[1].certificate", "[2].key", "[3].key"]
    assert refusal(tmp_path, *unread) == [("STW-CERT-FILE", f"stowage_certificates{place}") for place in places]


@pytest.mark.parametrize(
    "stated",
    [
        {"a": 1},
        ["x"],
        [{"certificate": "a"}],
        [{"certificate": "a", "key": "b", "cert": "c"}],
        [{"certificate": "a", "key": 5}],
        [{"certificate": "a", "key": "b", "default": "yes"}],
        [{"certificate": "a", "key": "b", "default": True}] * 2,
    ],
)
def test_a_list_of_another_form_is_refused(stated):
    with pytest.raises(StowageError) as caught:
        certificates.read_certificates(stated)
    assert caught.value.code == "STW-CERT-OPTION"


def test_certificates_that_end_soon_are_told():
    fact = {"where": "w", "names": ["a", "b", "c", "d"], "ends": 20 * 86400}
    assert certificates.soon([fact], 0) == []
    (line,) = certificates.soon([fact], 10 * 86400)
    assert line == "STW-CERT-SOON w: a, b, c and 1 more expires on 1970-01-21, in 10 day(s); renew it"


@pytest.mark.parametrize(
    ("name", "host", "whether"),
    [
        ("shop.example", "SHOP.example", True),
        ("*.shop.example", "a.shop.example", True),
        ("*.shop.example", "a.b.shop.example", False),
        ("*.shop.example", "shop.example", False),
        ("shop.example", "a.shop.example", False),
    ],
)
def test_a_wildcard_is_for_one_label(name, host, whether):
    assert certificates.covers(name, host) is whether


def test_hosts_without_a_certificate_are_told(make_service):
    labels = {
        "traefik.enable": "true",
        "traefik.http.services.web.loadbalancer.server.port": "80",
        "traefik.http.routers.a.rule": "Host(`a.example`) || Host(`b.example`)",
        "traefik.http.routers.a.tls": "true",
        "traefik.http.routers.a.service": "web",
        "traefik.http.routers.plain.rule": "Host(`plain.example`)",
        "traefik.http.routers.plain.service": "web",
    }
    services = [make_service(labels=labels)]
    (line,) = certificates.uncovered(services, OPTIONS, ["a.example"])
    assert line.startswith("STW-CERT-HOST http router 'a': no certificate is for 'b.example'")
    assert certificates.uncovered(services, OPTIONS, ["*.example"]) == []
    on_hosts = {**OPTIONS, "certificates": [{"cert": "/etc/stowage/traefik/a", "key": "/etc/stowage/traefik/b"}]}
    assert certificates.uncovered(services, on_hosts, []) == []


def test_labels_may_name_the_settings_own_tls_options(make_service):
    labels = {
        "traefik.enable": "true",
        "traefik.http.services.web.loadbalancer.server.port": "80",
        "traefik.http.routers.a.rule": "Host(`a.example`)",
        "traefik.http.routers.a.tls.options": "modern",
    }
    settings = {"tls_options": {"modern": {"minVersion": "VersionTLS13"}}}
    codes = [problem.code for problem in discovery.check([make_service(labels=labels)], OPTIONS)]
    assert codes == ["STW-INGRESS-REFERENCE"]
    options = discovery.ingress_options(settings)
    assert discovery.check([make_service(labels=labels)], options) == []
    document = json.loads(discovery.traefik_file([], [], options)["text"])
    assert document["tls"]["options"] == settings["tls_options"]


@pytest.mark.parametrize(
    "settings",
    [
        {"tls_options": []},
        {"tls_options": {"default": {"minversion": "VersionTLS12"}}},
        {"tls_options": {"default": {"minVersion": "1.2"}}},
        {"tls_options": {"a b": {}}},
        {"ready_entrypoints": "web"},
        {"ready_entrypoints": ["wbe"]},
        {"transports": ["quick"]},
        {"transports": {"stowage": {}}},
        {"transports": {"quick": {"responseHeaderTimeout": "3s"}}},
        {"drain": -1},
        {"drain": "15s"},
        {"drain": True},
    ],
)
def test_settings_of_another_form_are_refused(settings):
    with pytest.raises(StowageError) as caught:
        discovery.ingress_options(settings)
    assert [problem.code for problem in caught.value.problems] == ["STW-INGRESS-OPTION"]


def test_a_draining_traefik_says_so_before_it_stops_listening():
    static = discovery.traefik_static({"entrypoints": {"web": ":80", "dns": ":53/udp"}, "drain": 15})["entryPoints"]
    assert static["web"]["transport"]["keepAliveMaxTime"] == "7.5s"
    for name in ("web", "stowage"):
        assert static[name]["transport"]["lifeCycle"] == {"requestAcceptGraceTimeout": "15s", "graceTimeOut": "10s"}
    assert "transport" not in static["dns"]
    assert "transport" not in discovery.traefik_static({})["entryPoints"]["web"]


def wanted(pairs, port=8090, source="inventory"):
    return {"source": source, "port": port, **certificates.certificates_file(pairs, source)}


def facts(name, default=False):
    certificate, key = make_pair(name)
    return {
        "digest": certified.pair_digest(certificate, key),
        "default": default,
        "certificate": certificate,
        "key": key,
    }


def seen(_port, generation, _timeout, _older):
    return {"generation": generation, "seen": True, "seconds": 0.0}, []


def names_of(root):
    folder = root / "etc/stowage/traefik/certificates/inventory"
    return sorted(os.listdir(folder)) if folder.exists() else []


def test_pairs_are_kept_by_digest_for_root_alone_and_old_ones_removed(tmp_path):
    one, other = facts("shop.example"), facts("shop.example")
    first = certified.deliver(wanted([one]), [one], str(tmp_path), wait=seen)
    assert (first["changed"], first["problems"]) == (True, [])
    assert names_of(tmp_path) == sorted([f"{one['digest']}.key", f"{one['digest']}.pem"])
    folder = tmp_path / "etc/stowage/traefik/certificates/inventory"
    for name in names_of(tmp_path):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert certified.deliver(wanted([one]), [], str(tmp_path), wait=seen)["changed"] is False
    check = certified.deliver(wanted([other]), [], str(tmp_path), check=True, wait=seen)
    assert (check["changed"], check["missing"], check["surplus"]) == (True, [other["digest"]], [one["digest"]])
    assert names_of(tmp_path) == sorted([f"{one['digest']}.key", f"{one['digest']}.pem"])
    certified.deliver(wanted([other]), [other], str(tmp_path), wait=seen)
    assert names_of(tmp_path) == sorted([f"{other['digest']}.key", f"{other['digest']}.pem"])
    (folder / f"{other['digest']}.key").write_text("somebody else's")
    assert certified.look(wanted([other]), str(tmp_path))["missing"] == [other["digest"]]
    certified.deliver(wanted([]), [], str(tmp_path), wait=seen)
    assert names_of(tmp_path) == []
    assert list((tmp_path / "var/lib/stowage/traefik/dynamic").iterdir()) == []


def test_what_traefik_does_not_serve_is_taken_back(tmp_path):
    one, other = facts("shop.example"), facts("shop.example")
    certified.deliver(wanted([one]), [one], str(tmp_path), wait=seen)
    path = tmp_path / "var/lib/stowage/traefik/dynamic/stowage-certificates.yml"
    text = path.read_text()
    result = certified.deliver(wanted([other]), [other], str(tmp_path), wait=lambda *_: ({"seen": False}, ["no"]))
    assert (result["changed"], result["problems"]) == (False, ["no"])
    assert path.read_text() == text
    assert names_of(tmp_path) == sorted([f"{one['digest']}.key", f"{one['digest']}.pem"])


def test_only_what_was_named_is_written(tmp_path):
    one, other = facts("shop.example"), facts("shop.example")
    for sent in ([], [{**other, "digest": one["digest"]}]):
        result = certified.deliver(wanted([one]), sent, str(tmp_path), wait=seen)
        assert [problem.code for problem in result["problems"]] == ["STW-CERT-STALE"]
        assert names_of(tmp_path) == []


def served(port, host):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))


@pytest.mark.skipif(not traefik_binary(), reason="no Traefik here")
def test_a_real_traefik_serves_them_by_name_and_the_new_one_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.setattr(certificates, "DIRECTORY", f"{tmp_path}/etc/stowage/traefik/certificates")
    (port,) = free_ports(1)
    traefik = Traefik(tmp_path, static=None)
    try:
        fence = traefik.fence
        traefik.wait_ready(fence)
        shop, wild, default = facts("shop.example"), facts("*.example"), facts("default.example", default=True)
        result = certified.deliver(wanted([shop, wild, default], fence), [shop, wild, default], str(tmp_path))
        assert result["problems"] == []
        assert result["fence"]["seen"] is True
        router = {"rule": "Host(`shop.example`)", "service": "ping@internal", "entryPoints": ["web"], "tls": {}}
        (traefik.dynamic / "own.yml").write_text(json.dumps({"http": {"routers": {"own": router}}}))
        deadline = time.monotonic() + 20
        while traefik.log and time.monotonic() < deadline:
            try:
                served(traefik.web, "shop.example")
                break
            except OSError:
                time.sleep(0.2)
        assert served(traefik.web, "shop.example").strip() == shop["certificate"].strip()
        assert served(traefik.web, "api.example").strip() == wild["certificate"].strip()
        assert served(traefik.web, "elsewhere.test").strip() == default["certificate"].strip()
        fresh = facts("shop.example")
        result = certified.deliver(wanted([fresh, wild, default], fence), [fresh], str(tmp_path))
        assert result["problems"] == []
        assert served(traefik.web, "shop.example").strip() == fresh["certificate"].strip()
        assert f"{shop['digest']}.key" not in names_of(tmp_path)
        assert port
    finally:
        traefik.stop()


def test_labels_may_name_the_settings_own_transports(make_service):
    labels = {
        "traefik.enable": "true",
        "traefik.http.services.web.loadbalancer.server.port": "80",
        "traefik.http.services.web.loadbalancer.serverstransport": "quick",
        "traefik.http.routers.a.rule": "Host(`a.example`)",
    }
    codes = [problem.code for problem in discovery.check([make_service(labels=labels)], OPTIONS)]
    assert codes == ["STW-INGRESS-REFERENCE"]
    settings = {"transports": {"quick": {"forwardingTimeouts": {"responseHeaderTimeout": "3s"}}}}
    options = discovery.ingress_options(settings)
    assert discovery.check([make_service(labels=labels)], options) == []
    document = json.loads(discovery.traefik_file([make_service(labels=labels)], [], options)["text"])
    assert document["http"]["serversTransports"] == {
        "quick": {"forwardingTimeouts": {"dialTimeout": "1s", "responseHeaderTimeout": "3s"}}
    }
    assert document["http"]["services"]["web"]["loadBalancer"]["serversTransport"] == "quick"
