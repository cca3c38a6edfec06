"""Timing: CPU seconds of this process, contenders in turns, the garbage collector off for all of them alike.

What the scheduler remembers from call to call (texts that it parsed) is forgotten before each: a run starts cold.
"""

from __future__ import annotations

import gc
import sys
import time
from statistics import median

SCHEDULER = "ansible_collections.stowage.fleet.plugins.module_utils.scheduler"


def forget():
    """Empty every cache of the scheduler's modules: a run of a playbook is a new process."""
    for name, module in list(sys.modules.items()):
        if name.startswith(SCHEDULER):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def timed(work):
    """(CPU seconds, result) of one call that nothing was prepared for."""
    forget()
    gc.collect()
    gc.disable()
    try:
        start = time.process_time()
        result = work()
        return time.process_time() - start, result
    finally:
        gc.enable()


def in_turns(contenders, runs):
    """Each contender `runs` times, every round in another order: {name: [seconds]} and {name: last result}."""
    names = list(contenders)
    seconds = {name: [] for name in names}
    results = {}
    for turn in range(runs):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            took, results[name] = timed(contenders[name])
            seconds[name].append(took)
    return seconds, results


def ratio(above, below):
    """The median of the ratios of the same rounds."""
    return median(one / other for one, other in zip(above, below))


__all__ = ["forget", "in_turns", "median", "ratio", "timed"]
