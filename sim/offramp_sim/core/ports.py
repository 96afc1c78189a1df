"""The ports of a generated core, read from its Verilog."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Port:
    """One port of the top module: its name, width in bits and whether the core drives it."""

    name: str
    width: int
    output: bool


@dataclass(frozen=True, slots=True)
class Streams:
    """How the streams of a kind of core are called, beside ``m_axis_frame``, which all have.

    Attributes
    ----------
    module : str
        The core's module.
    requests : str
        Records in, one for some packets each; empty if every packet stands for itself.
    packets : str
        Packets in.
    records : str
        Records out.
    side : str
        What stands beside the bytes of a frame: ``"tid"``, the tag of its request, or ``"tuser"``, the mark
        of a bad frame, which packets then have as well.
    """

    module: str
    requests: str
    packets: str
    records: str
    side: str

    @property
    def marked(self) -> bool:
        """Whether packets and frames can be marked as bad."""
        return self.side == "tuser"


SEND = Streams("offramp_send", "s_axis_request", "s_axis_buffer", "m_axis_completion", "tid")
RECEIVE = Streams("offramp_receive", "", "s_axis_frame", "m_axis_metadata", "tuser")


@dataclass(frozen=True, slots=True)
class Ports:
    """Every port of ``module``, in the order of its header."""

    module: str
    all: tuple[Port, ...]

    @property
    def lanes(self) -> int:
        """Bytes per beat, from the width of the first stream of packets."""
        return next(port.width for port in self.all if port.name.endswith("_tkeep"))

    def width(self, name: str) -> int:
        """Return the width of the port ``name``."""
        return next(port.width for port in self.all if port.name == name)

    @property
    def configuration(self) -> tuple[Port, ...]:
        """Configuration inputs, ``cfg_*``."""
        return tuple(port for port in self.all if port.name.startswith("cfg_") and not port.output)

    @property
    def counters(self) -> tuple[Port, ...]:
        """Counter outputs, ``stat_*``."""
        return tuple(port for port in self.all if port.name.startswith("stat_") and port.output)


_DECLARATION = re.compile(
    r"^\s*(input|output)\s+(?:wire\s+|reg\s+)?(?:\[(\d+):0\]\s*)?(\w+)\s*;", re.MULTILINE
)


def read(verilog: str, module: str = "offramp_send") -> Ports:
    """Return the ports of ``module`` in ``verilog``, which must be in the plain form that Yosys writes."""
    header = re.search(
        rf"^module\s+\\?{module}\s*\(([^)]*)\)\s*;(.*?)^endmodule", verilog, re.MULTILINE | re.DOTALL
    )
    if header is None:
        raise ValueError(f"no module {module!r} in the Verilog")
    declared = {
        name: Port(name, int(high or 0) + 1, direction == "output")
        for direction, high, name in _DECLARATION.findall(header[2])
    }
    return Ports(module, tuple(declared[name.strip()] for name in header[1].split(",")))
