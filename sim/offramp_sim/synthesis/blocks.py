"""What can be synthesized on its own, by name."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from amaranth.lib import wiring


@dataclass(frozen=True)
class Target:
    """What a block should reach on the fastest ECP5; None where there is nothing to reach."""

    fmax_mhz: float | None = None
    lut4: int | None = None
    ff: int | None = None


@dataclass(frozen=True)
class Block:
    """A part of the hardware that makes sense alone."""

    name: str
    title: str
    module: str
    """Module of :mod:`offramp` that holds it, imported only when it is built."""

    construct: Callable[[Any, int], wiring.Component]
    """Function of that module and the lanes."""

    targets: dict[int, Target] = field(default_factory=dict)
    """Targets by lanes."""

    def build(self, lanes: int) -> wiring.Component:
        """Return a new component of that width."""
        return self.construct(importlib.import_module(self.module), lanes)


BLOCKS = (
    Block(
        "send",
        "send path with AXI4-Stream edges and counters",
        "offramp.top.send",
        lambda module, lanes: module.SendTop(lanes=lanes),
        {8: Target(fmax_mhz=200), 64: Target(fmax_mhz=150)},
    ),
    Block(
        "receive",
        "receive path with AXI4-Stream edges and counters",
        "offramp.top.receive",
        lambda module, lanes: module.ReceiveTop(lanes=lanes),
        {8: Target(fmax_mhz=200), 64: Target(fmax_mhz=150)},
    ),
    Block("gather", "joins buffers", "offramp.send.gather", lambda module, lanes: module.Gather(lanes)),
    Block("walk", "finds headers", "offramp.walk.chain", lambda module, lanes: module.HeaderWalk(lanes)),
    Block(
        "slicer",
        "cuts, rotates and sums payload",
        "offramp.send.slicer",
        lambda module, lanes: module.Slicer(lanes, module.Limits()),
    ),
    Block(
        "template",
        "stores headers and their patches",
        "offramp.send.template",
        lambda module, lanes: module.Template(lanes, module.Limits()),
    ),
    Block(
        "plan",
        "computes the fields of each frame",
        "offramp.send.plan",
        lambda module, _: module.Plan(module.Limits()),
    ),
    Block(
        "range-sum",
        "one's-complement sum of byte ranges",
        "offramp.checksum",
        lambda module, lanes: module.RangeSum(lanes),
        {8: Target(fmax_mhz=300), 64: Target(fmax_mhz=240)},
    ),
    Block(
        "range-verdict",
        "whether checksums of byte ranges are right",
        "offramp.checksum",
        lambda module, lanes: module.RangeVerdict(lanes),
        # What the best open block known to us takes for the sum alone.
        {8: Target(fmax_mhz=187, lut4=162, ff=92), 64: Target(fmax_mhz=185, lut4=1135, ff=597)},
    ),
    Block(
        "inserter",
        "stand-alone insertion of one checksum",
        "offramp.inserter",
        lambda module, lanes: module.Inserter(lanes),
        {8: Target(fmax_mhz=178, lut4=822, ff=450)},
    ),
)
"""All of them; both paths first, then their parts, then what stands alone."""
