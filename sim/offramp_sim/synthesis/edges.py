"""Registers around a block, so that its inputs and outputs count as much as what is inside."""

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

PREFIX = "edge_"
"""Begins the names of these registers, which are no part of the block's area."""


def netlist(block: wiring.Component, *, registers: bool) -> str:
    """Return the RTLIL of ``block`` in a module `top`, the same text from run to run.

    With ``registers``, every port goes through a flip-flop that may be placed anywhere: paths from and to
    neighbours are timed like those between two registers of the block.
    """
    m = Module()
    m.submodules.block = block
    ports: list[Signal] = []
    for path, member, member_value in block.signature.flatten(block):
        value = Value.cast(member_value)
        port = Signal(len(value), name="_".join(map(str, path)))
        ports.append(port)
        source, sink = (port, value) if member.flow is In else (value, port)
        if registers:
            edge = Signal(len(value), name=PREFIX + port.name, reset_less=True, attrs={"keep": 1})
            m.d.sync += edge.eq(source)
            source = edge
        m.d.comb += sink.eq(source)
    return str(rtlil.convert(m, name="top", ports=ports, platform=_Board(), emit_src=False))


class _Board:
    """A platform that is not None: leaves out assertions, like a build for a board."""
