# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""payload.container: a table of template keys and what the Engine gets."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import labels, payload, payload_host
from hypothesis import given
from hypothesis import strategies as st

TASK = {
    "name": "shop_web.2.3fa94c21",
    "service": "shop_web",
    "stack": "shop",
    "slot": "2",
    "node": "n1",
    "ip": "10.128.0.5",
    "spec": "ab" * 32,
}
CONTEXT = {"fleet": "lab", "domain": "fleet", "gateway": "10.128.0.1", "api": "1.41"}


def body(template=None, **context):
    return payload.container({"image": "app:1", **(template or {})}, TASK, {**CONTEXT, **context})["body"]


@pytest.mark.parametrize(
    ("template", "path", "wanted"),
    [
        ({}, "Image", "app:1"),
        ({"command": ["a", "b"]}, "Cmd", ["a", "b"]),
        ({"entrypoint": ["/x"]}, "Entrypoint", ["/x"]),
        ({"entrypoint": []}, "Entrypoint", [""]),
        ({"environment": {"B": "1", "A": None}}, "Env", ["A", "B=1"]),
        ({"environment": {"A": "{{.Node.Hostname}}-{{ .Task.Slot }}"}}, "Env", ["A=n1-2"]),
        ({"environment": {"A": "{{.Task.Name}} {{.Service.Name}}"}}, "Env", ["A=shop_web.2.3fa94c21 shop_web"]),
        ({"environment": {"A": '{{ env "X" }}{{.Task.No}}'}}, "Env", ['A={{ env "X" }}{{.Task.No}}']),
        ({"environment": {"A": "{{.Task.ID}} {{.Service.ID}}"}}, "Env", ["A=3fa94c21 shop_web"]),
        ({"command": ["{{.Task.Slot}}"]}, "Cmd", ["{{.Task.Slot}}"]),
        ({"hostname": "web-{{.Task.Slot}}"}, "Hostname", "web-2"),
        ({"user": "1000:1000"}, "User", "1000:1000"),
        ({"working_dir": "/srv"}, "WorkingDir", "/srv"),
        ({"domainname": "d"}, "Domainname", "d"),
        ({"tty": True}, "Tty", True),
        ({"stdin_open": True}, "OpenStdin", True),
        ({"stop_signal": "SIGINT"}, "StopSignal", "SIGINT"),
        ({"stop_grace_period": 0.5}, "StopTimeout", 1),
        ({"stop_grace_period": 0}, "StopTimeout", 0),
        ({"labels": {"k": "{{.Task.Slot}}"}}, "Labels/k", "{{.Task.Slot}}"),
        ({"labels": {"stowage.fleet": "evil"}}, "Labels/stowage.fleet", "lab"),
        ({}, "Labels/com.docker.stack.namespace", "shop"),
        ({}, "Labels/com.docker.swarm.service.name", "shop_web"),
        ({}, "Labels/com.docker.swarm.task.name", "shop_web.2.3fa94c21"),
        ({}, "Labels/com.docker.swarm.node.id", "n1"),
        ({}, "HostConfig/NetworkMode", "stowage"),
        ({}, "HostConfig/RestartPolicy", {"Name": "unless-stopped"}),
        ({"restart": {"condition": "none"}}, "HostConfig/RestartPolicy", {"Name": "no"}),
        (
            {"restart": {"condition": "on-failure", "max_attempts": 3}},
            "HostConfig/RestartPolicy",
            {"Name": "on-failure", "MaximumRetryCount": 3},
        ),
        ({}, "HostConfig/Dns", ["10.128.0.1"]),
        ({}, "HostConfig/DnsSearch", ["shop.svc.fleet"]),
        ({}, "HostConfig/DnsOptions", ["ndots:2"]),
        ({"dns": ["9.9.9.9"]}, "HostConfig/Dns", ["9.9.9.9"]),
        ({"dns_search": ["x"]}, "HostConfig/DnsSearch", ["x"]),
        ({"limits": {"cpus": 0.5}}, "HostConfig/NanoCpus", 500_000_000),
        ({"limits": {"memory": 64}}, "HostConfig/Memory", 64),
        ({"limits": {"pids": 9}}, "HostConfig/PidsLimit", 9),
        ({"reservations": {"memory": 32}}, "HostConfig/MemoryReservation", 32),
        ({"read_only": True}, "HostConfig/ReadonlyRootfs", True),
        ({"init": True}, "HostConfig/Init", True),
        ({"cap_add": ["NET_ADMIN"]}, "HostConfig/CapAdd", ["NET_ADMIN"]),
        ({"cap_drop": ["ALL"]}, "HostConfig/CapDrop", ["ALL"]),
        ({"sysctls": {"net.core.somaxconn": "9"}}, "HostConfig/Sysctls", {"net.core.somaxconn": "9"}),
        ({"shm_size": 64}, "HostConfig/ShmSize", 64),
        ({"tmpfs": ["/run:size=64m", "/tmp"]}, "HostConfig/Tmpfs", {"/run": "size=64m", "/tmp": ""}),
        ({"extra_hosts": ["db=10.0.0.1", "x:1.2.3.4"]}, "HostConfig/ExtraHosts", ["db:10.0.0.1", "x:1.2.3.4"]),
        ({"extra_hosts": {"db": "10.0.0.1"}}, "HostConfig/ExtraHosts", ["db:10.0.0.1"]),
        (
            {"ulimits": {"nofile": {"soft": 1, "hard": 2}, "core": 3}},
            "HostConfig/Ulimits",
            [{"Name": "core", "Soft": 3, "Hard": 3}, {"Name": "nofile", "Soft": 1, "Hard": 2}],
        ),
        (
            {"logging": {"driver": "json-file", "options": {"max-size": "1m"}}},
            "HostConfig/LogConfig",
            {"Type": "json-file", "Config": {"max-size": "1m"}},
        ),
        (
            {"healthcheck": {"test": ["CMD", "x"], "interval": 0.5, "timeout": 2, "start_period": 1, "retries": 4}},
            "Healthcheck",
            {
                "Test": ["CMD", "x"],
                "Interval": 500_000_000,
                "Timeout": 2_000_000_000,
                "StartPeriod": 1_000_000_000,
                "Retries": 4,
            },
        ),
        ({"healthcheck": {"disable": True, "test": ["CMD", "x"]}}, "Healthcheck", {"Test": ["NONE"]}),
        (
            {"mounts": [{"type": "volume", "source": "data-{{.Task.Slot}}", "target": "/d/{{.Service.Name}}"}]},
            "HostConfig/Mounts",
            [{"Type": "volume", "Source": "data-2", "Target": "/d/shop_web"}],
        ),
        (
            {"mounts": [{"type": "bind", "source": "/a", "target": "/b", "read_only": True}]},
            "HostConfig/Mounts",
            [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}],
        ),
        (
            {"mounts": [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": 5, "mode": 511}}]},
            "HostConfig/Mounts",
            [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5, "Mode": 511}}],
        ),
        (
            {"files": [{"kind": "secret", "name": "s", "target": "/run/secrets/s", "digest": "d" * 64}]},
            "HostConfig/Mounts/0/Target",
            "/run/secrets",
        ),
        (
            {"files": [{"kind": "config", "name": "c", "target": "/c", "digest": "ab", "uid": "5", "mode": 0o400}]},
            "HostConfig/Mounts/0/Source",
            "/var/lib/stowage/configs/ab-5-0-400",
        ),
        (
            {"ports": [{"target": 53, "published": 5353, "protocol": "udp", "mode": "host"}]},
            "HostConfig/PortBindings",
            {"53/udp": [{"HostIp": "", "HostPort": "5353"}]},
        ),
        (
            {"ports": [{"target": 80, "published": 8080, "mode": "host", "host_ip": "127.0.0.1"}]},
            "HostConfig/PortBindings",
            {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
        ),
        ({"ports": [{"target": 80, "published": 0}]}, "HostConfig/PortBindings/80~tcp/0/HostPort", ""),
        ({"ports": [{"target": 80, "published": 8080}]}, "ExposedPorts", {"80/tcp": {}}),
    ],
)
def test_template_key(template, path, wanted):
    found = body(template)
    for key in path.split("/"):
        found = found[int(key)] if isinstance(found, list) else found[key.replace("~", "/")]
    assert found == wanted


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ({"privileged": True}, {"Privileged": True}),
        ({"pid": "host"}, {"PidMode": "host"}),
        ({"ipc": "shareable"}, {"IpcMode": "shareable"}),
        ({"uts": "host"}, {"UTSMode": "host"}),
        ({"userns_mode": "host"}, {"UsernsMode": "host"}),
        ({"cgroup": "private"}, {"CgroupnsMode": "private"}),
        ({"cgroup_parent": "/x"}, {"CgroupParent": "/x"}),
        ({"group_add": ["44", "video"]}, {"GroupAdd": ["44", "video"]}),
        ({"security_opt": ["no-new-privileges:true"]}, {"SecurityOpt": ["no-new-privileges:true"]}),
        (
            {"security_opt": ["systempaths=unconfined", "apparmor=x"]},
            {"SecurityOpt": ["apparmor=x"], "MaskedPaths": [], "ReadonlyPaths": []},
        ),
        (
            {"devices": ["/dev/a", "/dev/b:/dev/c", "/dev/d:r", "/dev/e:/dev/f:rw"]},
            {
                "Devices": [
                    {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rwm"},
                    {"PathOnHost": "/dev/b", "PathInContainer": "/dev/c", "CgroupPermissions": "rwm"},
                    {"PathOnHost": "/dev/d", "PathInContainer": "/dev/d", "CgroupPermissions": "r"},
                    {"PathOnHost": "/dev/e", "PathInContainer": "/dev/f", "CgroupPermissions": "rw"},
                ]
            },
        ),
        ({"device_cgroup_rules": ["c 189:* rmw"]}, {"DeviceCgroupRules": ["c 189:* rmw"]}),
        (
            {"gpus": [{"count": 2, "capabilities": ["gpu"], "driver": "nvidia", "options": {"a": "b"}}]},
            {
                "DeviceRequests": [
                    {"Driver": "nvidia", "Capabilities": [["gpu"]], "Count": 2, "Options": {"a": "b"}},
                ]
            },
        ),
        (
            {"gpus": [{"device_ids": ["0"], "capabilities": ["gpu"]}]},
            {"DeviceRequests": [{"Driver": "", "Capabilities": [["gpu"]], "DeviceIDs": ["0"]}]},
        ),
        ({"oom_score_adj": -5}, {"OomScoreAdj": -5}),
        ({"oom_kill_disable": True}, {"OomKillDisable": True}),
        ({"cpu_shares": 512}, {"CpuShares": 512}),
        ({"cpu_period": 100000, "cpu_quota": 5000}, {"CpuPeriod": 100000, "CpuQuota": 5000}),
        ({"cpuset": "0-1"}, {"CpusetCpus": "0-1"}),
        ({"mem_swappiness": 0}, {"MemorySwappiness": 0}),
        ({"memswap_limit": -1}, {"MemorySwap": -1}),
        ({"runtime": "runsc"}, {"Runtime": "runsc"}),
        ({"storage_opt": {"size": "1G"}}, {"StorageOpt": {"size": "1G"}}),
        ({"annotations": {"a": "b"}}, {"Annotations": {"a": "b"}}),
        ({"dns_opt": ["ndots:5"]}, {"DnsOptions": ["ndots:5"]}),
        ({"network_mode": "host"}, {"NetworkMode": "host"}),
        (
            {"blkio_config": {"weight": 300, "weight_device": [{"path": "/dev/x", "weight": 10}]}},
            {"BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/x", "Weight": 10}]},
        ),
        (
            {"blkio_config": {"device_read_bps": [{"path": "/dev/x", "rate": 1048576}]}},
            {"BlkioDeviceReadBps": [{"Path": "/dev/x", "Rate": 1048576}]},
        ),
        (
            {"blkio_config": {"device_write_iops": [{"path": "/dev/x", "rate": 9}]}},
            {"BlkioDeviceWriteIOps": [{"Path": "/dev/x", "Rate": 9}]},
        ),
    ],
)
def test_what_the_host_gives(template, wanted):
    found = body(template)["HostConfig"]
    assert {key: found.get(key) for key in wanted} == wanted
    assert not set(found) - set(wanted) - set(body()["HostConfig"])


def test_the_host_s_network_has_no_address_of_its_own():
    found = body({"network_mode": "host"})
    assert not {"NetworkingConfig", "MacAddress"} & set(found)
    assert found["Labels"]["stowage.ip"] == "10.128.0.5"


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        ({"type": "bind", "bind": {"recursive": "disabled"}}, {"BindOptions": {"NonRecursive": True}}),
        ({"type": "bind", "bind": {"recursive": "readonly"}}, {"BindOptions": {"ReadOnlyForceRecursive": True}}),
        (
            {"type": "volume", "volume": {"nocopy": True, "subpath": "a/b"}},
            {"VolumeOptions": {"NoCopy": True, "Subpath": "a/b"}},
        ),
    ],
)
def test_options_of_a_mount(mount, options):
    found = body({"mounts": [{"source": "/a", "target": "/b", **mount}]})["HostConfig"]["Mounts"][0]
    assert {key: found.get(key) for key in options} == options


@pytest.mark.parametrize(("api", "wanted"), [("1.41", None), ("1.44", 2_000_000_000)])
def test_start_interval_is_left_out_where_the_engine_knows_it_not(api, wanted):
    assert body({"healthcheck": {"start_interval": 2}}, api=api)["Healthcheck"].get("StartInterval") == wanted


@pytest.mark.parametrize(
    ("template", "api", "words"),
    [
        ({"annotations": {"a": "b"}}, (1, 42), "annotations needs Engine 24"),
        ({"mounts": [{"volume": {"subpath": "a"}}]}, (1, 44), "volume.subpath needs Engine 26"),
        ({"mounts": [{"bind": {"recursive": "writable"}}]}, (1, 43), "bind.recursive needs Engine 25"),
        ({"annotations": {"a": "b"}}, (1, 43), ""),
        ({"privileged": True}, (1, 41), ""),
    ],
)
def test_an_engine_that_is_too_old_says_so(template, api, words):
    assert payload_host.too_old(template, api) == words


def test_nothing_stated_leaves_the_image_s_own():
    found = body()
    assert not {"Cmd", "Entrypoint", "Env", "Hostname", "User", "Healthcheck", "StopTimeout"} & set(found)


def test_stated_dns_takes_our_search_and_options_away():
    assert not {"DnsSearch", "DnsOptions"} & set(body({"dns": ["9.9.9.9"]})["HostConfig"])


def test_a_missing_bind_source_is_never_created():
    text = str(body({"mounts": [{"type": "bind", "source": "/a", "target": "/b"}]}))
    assert "CreateMountpoint" not in text
    assert "Binds" not in text


@pytest.mark.parametrize(("api", "on_endpoint"), [("1.41", False), ("1.43", False), ("1.44", True), ("1.52", True)])
def test_mac_is_where_the_engine_s_generation_wants_it(api, on_endpoint):
    found = body(api=api)
    endpoint = found["NetworkingConfig"]["EndpointsConfig"]["stowage"]
    assert endpoint["IPAMConfig"] == {"IPv4Address": "10.128.0.5"}
    assert ("MacAddress" in endpoint, "MacAddress" in found) == (on_endpoint, not on_endpoint)
    assert (endpoint if on_endpoint else found)["MacAddress"] == "02:42:0a:80:00:05"


def test_labels_prove_themselves_under_their_own_name_only():
    found = body()["Labels"]
    assert not labels.tampered(TASK["name"], found)
    assert labels.tampered("copy", found)
    assert labels.tampered(TASK["name"], {**found, "stowage.slot": "3"})


@given(st.sampled_from(["slot", "spec", "ip", "service", "stack", "name"]), st.text(min_size=1, max_size=5))
def test_every_label_is_under_the_checksum(key, value):
    changed = labels.task_labels("lab", {**TASK, key: value + "!"})
    assert changed["stowage.check"] != labels.task_labels("lab", TASK)["stowage.check"]


@given(st.text(max_size=40))
def test_text_without_known_placeholders_is_kept(text):
    assert payload.fill(text.replace("{{", "{ {"), TASK) == text.replace("{{", "{ {")
