"""Connections from a container that stay open, and say when they were cut."""

from __future__ import annotations

FLOW = """import socket, sys, time
s = socket.create_connection((sys.argv[1], 8080), 3)
print('open', flush=True)
s.settimeout(60)
try:
    s.sendall(b'GET ')
    while True:
        time.sleep(0.1)
        s.sendall(b'/')
except OSError as error:
    print('cut', time.time(), flush=True)
"""


class Flows:
    """One connection to port 8080 of each address, from one container on one node."""

    def __init__(self, fleet, node, container, addresses):
        self.fleet, self.node = fleet, node
        self.looks = [f"docker exec {container} cat /tmp/flow{number}" for number in range(len(addresses))]
        for number, address in enumerate(addresses):
            fleet.shell(
                node,
                f"cat > /tmp/flow.py <<'END'\n{FLOW}END\n"
                f"docker exec -i {container} sh -c 'cat > /tmp/flow.py' < /tmp/flow.py;"
                f"docker exec -d {container} sh -c 'python3 /tmp/flow.py {address} > /tmp/flow{number} 2>&1'",
            )

    def said(self):
        """What each said: open, and when it was cut."""
        return [self.fleet.shell(self.node, look) for look in self.looks]
