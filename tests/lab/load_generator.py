"""Requests at a steady rate, and a count of every one that failed. No client retry, no second look.

Four kinds at once: GET and POST, on connections that are kept and on fresh ones; and some that take 2 s, always in
flight. An answer counts if it is whole: status 200 and a body of JSON with a version. Anything else is a failure:
another status, a reset, a short body, a kept connection that was closed under us, 15 s of silence.

usage: load_generator.py ADDRESS PORT HOST [RATE [tls] [quick]]
Runs until its standard input ends, then prints one line of JSON.

With tls every connection is TLS, whoever signed the certificate; which ones were seen is counted. With quick there
are no requests that take 2 s. A server that says Connection: close is believed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import sys
import time
from collections import Counter

PATIENCE = 15.0
BODY = b"x" * 512
SLOW = 10  # requests of 2 s in flight at any time
# (method, keeps its connection, share of the rate, workers)
KINDS = [("GET", True, 0.32, 16), ("POST", True, 0.16, 8), ("GET", False, 0.32, 16), ("POST", False, 0.2, 10)]


class Load:
    """Counts of what came back."""

    def __init__(self, address, port, host, tls=False, quick=False):
        self.address, self.port, self.host = address, port, host
        self.good, self.bad, self.versions, self.times = 0, [], Counter(), []
        self.slow = 0 if quick else SLOW
        self.certificates, self.how = Counter(), {}
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.how = {"ssl": context, "server_hostname": host}
        self.ending = asyncio.Event()
        self.began = time.time()

    def request(self, method, path, keep):
        """The bytes of a request."""
        body = BODY if method == "POST" else b""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", f"Connection: {'keep-alive' if keep else 'close'}"]
        lines += [f"Content-Length: {len(body)}"] if body else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    async def one(self, kind, streams, path):
        """Send one request over streams (None: fresh ones). The streams to go on with."""
        method, keep = kind[:2]
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                streams = streams or await self.opened()
                streams[1].write(self.request(method, path, keep))
                await streams[1].drain()
                status, body, more = await answer(streams[0])
            if status != 200:
                raise ValueError(f"status {status}")
            self.versions[json.loads(body)["version"]] += 1
            self.good += 1
            keep = keep and more
            if path == "/":
                self.times.append(time.monotonic() - began)
        except (OSError, ValueError, KeyError, TimeoutError, asyncio.IncompleteReadError) as error:
            words = f"{method} {'kept' if keep else 'fresh'} {path} {type(error).__name__} {error}"
            self.bad.append({"at": round(time.time() - self.began, 2), "what": words[:200]})
            keep = False
        if keep:
            return streams
        if streams:
            streams[1].close()
        return None

    async def opened(self):
        """A fresh connection."""
        streams = await asyncio.open_connection(self.address, self.port, **self.how)
        if self.how:
            shown = streams[1].get_extra_info("ssl_object").getpeercert(binary_form=True)
            self.certificates[hashlib.sha256(shown).hexdigest()[:16]] += 1
        return streams

    async def work(self, kind, pause, offset, path="/"):
        """One worker: a request every `pause` seconds, never two at once."""
        streams, due = None, time.monotonic() + offset
        while not self.ending.is_set():
            await asyncio.sleep(max(due - time.monotonic(), 0))
            due = max(due + pause, time.monotonic() - pause)
            streams = await self.one(kind, streams, path)
        if streams:
            streams[1].close()

    async def run(self, rate):
        """Work until standard input ends."""
        jobs = []
        for kind in KINDS:
            workers = kind[3]
            pause = workers / (rate * kind[2])
            jobs += [self.work(kind, pause, pause * at / workers) for at in range(workers)]
        jobs += [
            self.work(("GET" if at % 2 else "POST", False), 0.0, 0.2 * at, "/?seconds=2") for at in range(self.slow)
        ]
        tasks = [asyncio.create_task(job) for job in jobs]
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        self.ending.set()
        await asyncio.gather(*tasks)

    def report(self):
        """{requests, failed, seconds, rate, p50, p99, versions, failures}; p50 and p99 in ms, without the 2 s ones."""
        quick = sorted(one * 1000 for one in self.times) or [0.0]
        seconds = time.time() - self.began
        return {
            "requests": self.good + len(self.bad),
            "failed": len(self.bad),
            "seconds": round(seconds, 1),
            "rate": round((self.good + len(self.bad)) / seconds, 1),
            "p50": round(quick[len(quick) // 2], 1),
            "p99": round(quick[int(len(quick) * 0.99)], 1),
            "max": round(quick[-1], 1),
            "versions": dict(self.versions),
            "certificates": dict(self.certificates),
            "failures": self.bad[:20],
        }


async def answer(reader):
    """(status, body, whether the connection stays) of one response with a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {key.lower(): value.strip() for key, _colon, value in (line.partition(":") for line in head[1:])}
    body = await reader.readexactly(int(fields["content-length"]))
    return int(head[0].split()[1]), body, fields.get("connection", "").lower() != "close"


async def main():
    """Run one load."""
    address, port, host = sys.argv[1:4]
    load = Load(address, int(port), host, tls="tls" in sys.argv[5:], quick="quick" in sys.argv[5:])
    await load.run(float(sys.argv[4]) if len(sys.argv) > 4 else 200.0)
    print(json.dumps(load.report()))


if __name__ == "__main__":
    asyncio.run(main())
