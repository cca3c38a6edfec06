"""Timing: CPU seconds of this process, contenders in turns, the garbage collector off for all of them alike."""

from __future__ import annotations

import gc
import time
from statistics import median


def timed(work):
    """(CPU seconds, result) of one call."""
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


__all__ = ["in_turns", "median", "ratio", "timed"]
