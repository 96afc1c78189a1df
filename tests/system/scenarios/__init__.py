"""What every core must do, at any width, in any simulator and however its ports stall: a property a function.

A scenario yields requests, back to back, and says of each what scapy, or the specification, makes of it.
Where it says nothing, the reference model decides alone. Names tell the property, docstrings the rules; the
traps of specification section 16 are named T-nn. Nothing here knows how the core is driven.
"""

import random

from tests.model.shapes import ON
from tests.system.cases import SCENARIOS, Case

from . import checksums, completions, headers, segments

__all__ = ["SCENARIOS", "back_to_back", "checksums", "completions", "headers", "segments"]


def back_to_back(rng: random.Random, count: int, most_bytes: int = 2_000) -> list[Case]:
    """T-36: return ``count`` cases of all scenarios under one configuration, in any order."""
    pool = [
        case
        for make in SCENARIOS.values()
        for case in make()
        if case.config == ON and len(case.request.frame) <= most_bytes
    ]
    return rng.sample(pool, count)
