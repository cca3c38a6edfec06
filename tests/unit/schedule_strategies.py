"""Hypothesis strategies: small fleets in which every rule of schedule()'s contract turns up, and meets the others."""

from __future__ import annotations

from hypothesis import strategies as st

GIB = 2**30
HOSTS = ["n1", "n2", "n3", "n4", "n5", "n6"]
NAMES = ["web", "api", "db", "job"]
KEYS = ["node.labels.zone", "node.hostname", "node.labels.disk", "engine.labels.rack"]
CONSTRAINTS = [
    "node.labels.disk == ssd",
    "node.labels.zone != b",
    "node.labels.zone in (a, c)",
    "node.labels.zone not in (b)",
    "node.labels.disk exists",
    "node.labels.disk not exists",
    "node.labels.rank > 2",
    "node.labels.rank <= 2.5",
    "node.facts.kernel version >= 5.10, < 6.5",
    "node.facts.os.name like deb.*",
    "node.labels.zone unlike b|c",
    "node.labels.disk == ssd || node.labels.zone == a",
    "node.platform.arch == amd64",
    "node.ip == 10.0.0.0/30",
    "node.hostname != n1",
    "hostname:UNIQUE",
    "node.labels.zone:MAX_PER:2",
    "node.labels.zone:GROUP_BY",
    "node.labels.zone:GROUP_BY:3",
    "node.labels.zone:CLUSTER",
    "node.labels.zone:CLUSTER:a",
    "engine.labels.rack:CLUSTER",
    "engine.labels.rack:MAX_PER:2",
    "node.labels.disk:IS:ssd",
    "node.labels.zone:LIKE:[ab]",
    "node.labels.zone:UNLIKE:c",
]
PORTS = [
    80,
    {"published": 80, "host_ip": "127.0.0.1"},
    {"published": 53, "protocol": "udp"},
    {"published": 8000, "published_end": 8001},
    {"published": 79, "published_end": 80},
    {"published": 9000, "mode": "ingress"},
]
TAINTS = ["team=ml:NoSchedule", "old:NoExecute", "slow:PreferNoSchedule", "team=web:NoExecute"]
TOLERATIONS = ["team", "team=ml", "old:NoExecute", "*", "slow", "team=web:NoSchedule"]
VOLUMES = [
    "v1",
    "v2",
    {"name": "v3", "class": "fast", "size": GIB},
    {"name": "v4", "class": "fast", "size": 3 * GIB},
    {"name": "net", "shared": True},
    {"name": "net2", "shared": True, "class": "bulk", "size": GIB},
]


def seldom(strategy, default):
    """The default, but for one case in four."""
    return st.one_of(st.just(default), st.just(default), st.just(default), strategy)


@st.composite
def node(draw, name):
    labels = {"zone": st.sampled_from("abc"), "disk": st.sampled_from(["ssd", "hdd"]), "rank": st.sampled_from("1234")}
    return {
        "name": name,
        "labels": draw(st.fixed_dictionaries({}, optional=labels)),
        "engine_labels": draw(st.sampled_from([{}, {"rack": "r1"}, {"rack": "r2"}])),
        "availability": draw(seldom(st.sampled_from(["pause", "drain"]), "active")),
        "platform": draw(st.sampled_from([{}, {"os": "linux", "arch": "x86_64"}, {"os": "linux", "arch": "aarch64"}])),
        "ip": f"10.0.0.{name[1:]}",
        "facts": draw(st.sampled_from([{}, {"kernel": "5.10.0-3", "os": {"name": "debian"}}, {"kernel": "6.8"}])),
        "capacity": draw(
            st.fixed_dictionaries(
                {"cpus": st.sampled_from([0.3, 1, 2.5, 8])},
                optional={
                    "memory": st.integers(0, 4 * GIB),
                    "gpu": st.one_of(st.integers(0, 2), st.sampled_from([["g0"], ["g1", "g0"]])),
                },
            )
        ),
        "reserved": draw(st.sampled_from([{}, {}, {"cpus": 0.2}, {"cpus": 0.1, "memory": GIB}, {"gpu": 1}])),
        "ports": draw(seldom(st.sampled_from([[80], [8000], [{"published": 8001}]]), [])),
        "volumes": draw(seldom(st.lists(st.sampled_from(["v1", "v2", "v3"]), max_size=2, unique=True), [])),
        "storage": draw(st.sampled_from([{"fast": 4 * GIB}, {"fast": None, "bulk": GIB}, ["fast"], {}])),
        "taints": draw(seldom(st.lists(st.sampled_from(TAINTS), max_size=2, unique=True), [])),
        "unknown": draw(seldom(st.booleans(), False)),
    }


@st.composite
def affinity(draw):
    other = draw(st.sampled_from([{"service": name} for name in NAMES] + [{"group": "g1"}, {"group": "g2"}]))
    found = {**other, "domain": draw(st.sampled_from(KEYS)), "anti": draw(st.booleans())}
    return {**found, **draw(st.sampled_from([{"required": True}, {"weight": 50}, {}]))}


@st.composite
def service(draw, name):
    mode = draw(seldom(st.sampled_from(["global", "replicated-job", "global-job"]), "replicated"))
    found = {
        "name": name,
        "mode": mode,
        "replicas": draw(st.integers(0, 7)),
        "reservations": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "cpus": st.sampled_from([0.1, 0.3, 1]),
                    "memory": st.sampled_from([GIB // 3, GIB]),
                    "gpu": st.just(1),
                },
            )
        ),
        "ports": draw(seldom(st.lists(st.sampled_from(PORTS), max_size=1), [])),
        "constraints": draw(st.lists(st.sampled_from(CONSTRAINTS), max_size=2, unique=True)),
        "preferences": draw(seldom(spreads(), [])),
        "max_replicas_per_node": draw(seldom(st.sampled_from([1, 2]), 0)),
        "volumes": draw(seldom(st.lists(st.sampled_from(VOLUMES), max_size=2), [])),
        "strategy": draw(st.sampled_from(["spread", "spread", "binpack", "round_robin"])),
        "hosts": draw(seldom(st.sampled_from([["n1"], ["n2", "n3"]]), [])),
        "affinities": draw(seldom(st.lists(affinity(), max_size=2), [])),
        "groups": draw(st.sampled_from([[], [], ["g1"], ["g1", "g2"]])),
        "tolerations": draw(seldom(st.lists(st.sampled_from(TOLERATIONS), max_size=2, unique=True), [])),
        "priority": draw(seldom(st.sampled_from([-5, 1, 10]), 0)),
        "preempt": draw(seldom(st.booleans(), False)),
    }
    return {**found, "concurrent": draw(st.integers(0, 3))} if mode == "replicated-job" else found


@st.composite
def spreads(draw):
    keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True))
    return [{"spread": key, **draw(st.sampled_from([{}, {"max_skew": 1}, {"max_skew": 2}]))} for key in keys]


@st.composite
def fleets(draw):
    """(nodes, services, current, options)."""
    count = draw(st.integers(3, 6))
    nodes = [draw(node(name)) for name in HOSTS[:count]]
    services = [draw(service(name)) for name in NAMES[: draw(st.integers(1, 4))]]
    if any(isinstance(one["capacity"].get("gpu"), list) for one in nodes):
        for one in services:  # a part of a device is refused where nobody names any
            if "gpu" in one["reservations"]:
                one["reservations"]["gpu"] = draw(st.sampled_from([0.5, 0.3, 1, 2]))
    places = st.sampled_from([*HOSTS[:count], "gone"])
    current = []
    for one in [*services, {"name": "old", "mode": "replicated"}]:
        everywhere = one["mode"].startswith("global")
        for slot in draw(st.lists(places if everywhere else st.integers(1, 8), unique=True, max_size=5)):
            where = [slot] if everywhere else draw(st.lists(places, min_size=1, max_size=2, unique=True))
            current += [{"service": one["name"], "slot": slot, "node": name} for name in where]
    return nodes, services, current, draw(options())


def options():
    return st.sampled_from(
        [
            {},
            {},
            {"assume_lost": ["n1"]},
            {"unknown_missing": "place"},
            {"repair_moves": 0},
            {"repair_moves": 1},
            {"rebalance": {"max_moves": 2}},
            {"rebalance": {"max_moves": 3, "stateful": True}},
        ]
    )


def shuffled(value, chaos):
    """The same value with its mappings and lists in another order, but for lists whose order means something."""
    if isinstance(value, dict):
        items = [(key, shuffled(content, chaos)) for key, content in value.items()]
        chaos.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        items = [shuffled(content, chaos) for content in value]
        if not any(isinstance(item, dict) and "spread" in item for item in items):
            chaos.shuffle(items)
        return items
    return value
