# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Random Traefik labels of every kind the grammar has, spelled as badly as people do."""

from __future__ import annotations

from ansible_collections.stowage.fleet.plugins.module_utils.discovery import fields

VALUES = {
    fields.TEXT: ["foobar", "a b", " x ", "", "a,b", "42", "true", "x=y", "\u00fc", "a@swarm"],
    fields.INT: ["42", "0", "-1", "007", "+5", "99999999999"],
    fields.BOOL: ["true", "false", "TRUE", "t", "1", "F"],
    fields.DURATION: ["42s", "3", "0", "1m30s", "1.5s", ".5s", "100ms", "1\u00b5s"],
    fields.LIST: ["a", "a,b", " a , b ", "a,,b", "", ",", "a@swarm,b@docker"],
}
ODD = {
    fields.TEXT: ["  "],
    fields.INT: [" 42", "1e3", "4.5", "", "0x10", "9223372036854775808"],
    fields.BOOL: ["yes", "", "tRuE", " true", "on"],
    fields.DURATION: ["3 s", "", "1.5", "5d"],
    fields.LIST: [" "],
}
SWITCHES = ["true", "false", "TRUE", "", "x"]


class LabelMaker:
    """Makes the labels of one service; `random` is a seeded random.Random."""

    def __init__(self, random, odd):
        """Take odd: how often, 0 to 1, a value is one that Traefik refuses."""
        self.random = random
        self.odd = odd

    def service(self, prefix):
        """Labels of a service whose objects' names all begin with the prefix."""
        labels = {}
        for number in range(self.random.choice([1, 1, 2, 3])):
            protocol = self.random.choice(["http", "http", "http", "tcp", "udp"])
            self._object(labels, protocol, f"{prefix}x{number}")
        for protocol in ("http", "tcp", "udp"):
            self._make_sound(labels, protocol, prefix)
        return labels

    def _object(self, labels, protocol, name):
        kinds = fields.ROOT.fields[protocol].fields
        kind = self.random.choice(sorted(kinds))
        path = f"traefik.{self._spell(protocol)}.{self._spell(kind)}.{self.random.choice([name, name.upper()])}"
        of = kinds[kind].of
        if kind == "middlewares":
            chosen = self.random.choice(sorted(of.fields))
            self._value(labels, of.fields[chosen], f"{path}.{self._spell(chosen)}")
        else:
            self._value(labels, of, path)

    def _make_sound(self, labels, protocol, prefix):
        """Routers get a service and a rule, services a port: Traefik makes nothing of those without."""
        mine = [key.split(".") for key in list(labels) if key.lower().startswith(f"traefik.{protocol}.")]
        for parts in mine:
            base = ".".join(parts[:4])
            if parts[2].lower() == "routers":
                self._ensure(labels, f"{base}.service", "somewhere")
                if protocol == "tcp":
                    self._ensure(labels, f"{base}.rule", "HostSNI(`*`)")
            elif parts[2].lower() == "services" and not _has(labels, f"{base}.loadbalancer.server.url"):
                self._ensure(labels, f"{base}.loadbalancer.server.port", "82")
        if not any(parts[2].lower() == "services" for parts in mine) and (mine or protocol == "http"):
            labels[f"traefik.{protocol}.services.{prefix}x8.loadbalancer.server.port"] = "83"

    def _value(self, labels, kind, path):
        if isinstance(kind, fields.Struct):
            self._struct(labels, kind, path)
        elif isinstance(kind, fields.Map):
            for name in self.random.sample(["X-One", "x-two", "NAME", "Name", "q"], 2):
                self._value(labels, kind.of, f"{path}.{name}")
        elif isinstance(kind, fields.Items):
            for index in self.random.sample(range(12), self.random.choice([1, 2, 3])):
                self._value(labels, kind.of, f"{path}[{index}]")
        elif kind == fields.FREE:
            labels[f"{path}.p.a"] = "1"
            labels[f"{path}.p.B.c"] = self.random.choice(VALUES[fields.TEXT])
        elif path.lower().endswith(".server.port"):
            labels[path] = self.random.choice(["80", "8080"])
        elif path.lower().endswith(".server.url"):
            labels[path] = "http://a.example:3/x"
        else:
            odd = self.random.random() < self.odd
            labels[path] = self.random.choice((ODD if odd else VALUES)[kind])

    def _struct(self, labels, kind, path):
        names = self.random.sample(sorted(kind.fields), min(len(kind.fields), self.random.choice([1, 1, 2, 3])))
        if kind.empty and self.random.random() < 0.4:
            labels[path] = self.random.choice(SWITCHES)
            names = names if self.random.random() < 0.6 else []
        for name in names:
            self._value(labels, kind.fields[name], f"{path}.{self._spell(name)}")

    def _spell(self, name):
        ways = [name, name.lower(), name.lower(), name.upper(), name.capitalize()]
        return self.random.choice(ways)

    @staticmethod
    def _ensure(labels, key, value):
        if not _has(labels, key):
            labels[key] = value


def _has(labels, key):
    return any(known.lower() == key.lower() for known in labels)
