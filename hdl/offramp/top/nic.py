"""Both directions in one design."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Member, Out, Signature

from offramp.top.receive import ReceiveTop
from offramp.top.send import SendTop

SHARED = ("cfg_encapsulation", "cfg_vxlan_port")
"""Configuration that is the same for both directions (CFG-3 to CFG-5)."""


def port_names(direction: str, signature: Signature) -> dict[str, str]:
    """Return what the ports of one direction are called in the design that has both."""
    kinds = {"stat_": f"stat_{direction}_", "s_axis_": "s_axis_", "m_axis_": "m_axis_", "cfg_": "cfg_"}
    names = {}
    for name in signature.members:
        kind = next(kind for kind in kinds if name.startswith(kind))
        names[name] = kinds[kind] + name.removeprefix(kind)
    if direction == "receive":
        names["s_axis_frame"], names["m_axis_frame"] = "s_axis_received", "m_axis_received"
    return names


class NicTop(wiring.Component):
    """:class:`~offramp.top.send.SendTop` and :class:`~offramp.top.receive.ReceiveTop`, side by side.

    Ports have the names that they have there, but for the streams of received frames, ``s_axis_received`` and
    ``m_axis_received``, and for counters, ``stat_send_...`` and ``stat_receive_...``. Which tunnels to look
    into, and the port of VXLAN, is configured once.

    Parameters
    ----------
    lanes : int
        Bytes per beat: 8, 16, 32 or 64.
    max_mss : int
        Most payload bytes of one segment to send.
    max_header_bytes : int
        Longest header block, in both directions.
    """

    def __init__(self, *, lanes: int, max_mss: int = 9600, max_header_bytes: int = 256) -> None:
        self.lanes = lanes
        self.max_mss = max_mss
        self.max_header_bytes = max_header_bytes
        self.send = SendTop(lanes=lanes, max_mss=max_mss, max_header_bytes=max_header_bytes)
        self.receive = ReceiveTop(lanes=lanes, max_header_bytes=max_header_bytes)
        ports: dict[str, Member] = {}
        for direction, top in (("send", self.send), ("receive", self.receive)):
            for name, port in port_names(direction, top.signature).items():
                ports[port] = top.signature.members[name]
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.send = self.send
        m.submodules.receive = self.receive
        for direction, top in (("send", self.send), ("receive", self.receive)):
            for name, port in port_names(direction, top.signature).items():
                inner, outer = getattr(top, name), getattr(self, port)
                match top.signature.members[name]:
                    case member if not member.is_port:
                        wiring.connect(m, inner, wiring.flipped(outer))
                    case member if member.flow == In:
                        m.d.comb += inner.eq(outer)
                    case member if member.flow == Out:
                        m.d.comb += outer.eq(inner)
        return m
