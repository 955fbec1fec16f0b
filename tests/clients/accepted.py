"""Differences between JupyterHub and Slipway that are meant, each with its reason.

A rule names calls and a place by shell patterns (`*`, `?`, `[…]`); `compare.py` fails when a rule fits nothing.
"""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Accepted:
    calls: str
    place: str
    reason: str
    # Narrows it further: gets (label, place, theirs, ours, more).
    fits: Callable = lambda difference: True


DIFFERENCES = []
