# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shim: a script in front of a container's entrypoint, run by a static busybox that is mounted with it.

It has the host pull the container's configuration (x-stowage.config_source), makes variables of secret files
(x-stowage.secret_env), then becomes the process that the image or the stack file names. Nothing of it has to be in the
image. Pure: no Engine, no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import configured, merging, mounts

SOURCE = "/usr/local/lib/stowage/shim"
TARGET = "/.stowage"
PROGRAM, SCRIPT = "busybox", "run"
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names of ours begin with stowage_: whatever else stands here would be seen by, or hidden from, the process.
# busybox's shell and its env prefer their own applets to the image's programs, so PATH is searched here.
TEXT = f"""# Written by stowage.fleet.shim.
# usage: run [-c SECONDS] [-e NAME=FILE]... -- COUNT [NAME=VALUE]... COMMAND [ARGUMENT]...
# With -c it asks the host for this container's configuration, and waits so long for it at most. Exports the content of
# each FILE, without line ends at its end, as NAME, and becomes COMMAND. COUNT variables follow whose names a shell
# cannot hold. Exit code 75: no configuration now; 78: it is not as required, or a FILE cannot be read; 127: COMMAND is
# not in PATH.
stowage_box={TARGET}/{PROGRAM}
unset SHLVL PWD OLDPWD
if [ "$1" = -c ]; then
    stowage_gate={configured.TARGET}
    stowage_word=$($stowage_box cat /proc/sys/kernel/random/uuid)
    stowage_tick=0
    stowage_for=
    trap 'exit 143' TERM
    trap 'exit 130' INT
    while :; do
        # Opened for reading too, so that it does not wait for the host's service.
        [ $((stowage_tick % 20)) = 0 ] && echo "$stowage_word" 1<>$stowage_gate/ask
        [ -r $stowage_gate/answer ] && read -r stowage_for stowage_code stowage_text <$stowage_gate/answer
        [ "$stowage_for" = "$stowage_word" ] && break
        stowage_tick=$((stowage_tick + 1))
        if [ $stowage_tick -gt $(($2 * 10)) ]; then
            echo "stowage: no configuration within $2 s: stowage-config.service of the host does not answer" >&2
            exit 75
        fi
        $stowage_box sleep 0.1
    done
    trap - TERM INT
    [ -z "$stowage_text" ] || echo "stowage: $stowage_text" >&2
    [ "$stowage_code" = 0 ] || exit "$stowage_code"
    shift 2
fi
while [ "$1" = -e ]; do
    if [ ! -r "${{2#*=}}" ]; then
        echo "stowage: user $($stowage_box id -u) cannot read ${{2#*=}} for the variable ${{2%%=*}}" >&2
        exit 78
    fi
    export "${{2%%=*}}=$($stowage_box cat "${{2#*=}}")"
    shift 2
done
stowage_odd=$2
shift 2
eval "stowage_name=\\${{$((stowage_odd + 1))}}"
stowage_path=
case $stowage_name in
*/*) stowage_path=$stowage_name ;;
*)
    IFS=:
    for stowage_folder in $PATH; do
        stowage_path=${{stowage_folder:-.}}/$stowage_name
        [ -f "$stowage_path" ] && [ -x "$stowage_path" ] && break
        stowage_path=
    done
    unset IFS
    ;;
esac
if [ -z "$stowage_path" ]; then
    echo "stowage: $stowage_name is not in PATH ($PATH)" >&2
    exit 127
fi
if [ "$stowage_odd" = 0 ]; then
    shift
    exec -a "$stowage_name" "$stowage_path" "$@"
fi
stowage_at=0
for stowage_word in "$@"; do
    [ "$stowage_at" = 0 ] && set --
    [ "$stowage_at" = "$stowage_odd" ] && stowage_word=$stowage_path
    set -- "$@" "$stowage_word"
    stowage_at=$((stowage_at + 1))
done
exec $stowage_box env "$@"
"""


def wrapped(template: Mapping[str, Any], body: Mapping[str, Any], image: Mapping[str, Any]) -> dict[str, list[str]]:
    """{Entrypoint, Cmd} of a container whose template has a shim; {} without.

    body: what it would be created from without one. image: the image's Config, {} if it is not known. The Engine drops
    the image's command where an entrypoint is given, so both are stated anew.
    """
    asked = template.get("shim")
    if not asked:
        return {}
    entrypoint, command = merging.process(body, image)
    options = ["-c", str(asked["pull"])] if asked.get("pull") else []
    options += [word for name, path in sorted(asked["env"].items()) for word in ("-e", f"{name}={path}")]
    found = sorted(merging.environment(body, image).items())
    odd = [f"{name}={value}" for name, value in found if not IDENTIFIER.fullmatch(name)]
    front = [f"{TARGET}/{PROGRAM}", "sh", f"{TARGET}/{SCRIPT}", *options, "--", str(len(odd)), *odd]
    return {"Entrypoint": [*front, *entrypoint], "Cmd": command}


def mount() -> dict[str, Any]:
    """The mount of the shim, as POST /containers/create takes it."""
    return mounts.read_only(SOURCE, TARGET)
