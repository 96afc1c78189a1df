"""Sums up everything in a received frame that has a checksum, as it streams past."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.checksum import RangeVerdict
from offramp.receive.survey import Surveyed
from offramp.walk.layout import Protocol
from offramp.walk.place import Places


class Right(data.Struct):
    """Whose checksums are right, if there are any.

    ``outer_ip`` and ``inner_ip`` are the IPv4 headers, ``outer`` and ``inner`` the protocol above: TCP, UDP,
    or outside GRE as well.
    """

    outer_ip: 1
    outer: 1
    inner_ip: 1
    inner: 1


class FrameSums(wiring.Component):
    """Judges the checksums of both layers, each over what the length fields say (RXC-6).

    Every range is known with the beat that it begins in: it is told by places, never by the frame's end. A
    pseudo-header is made of the addresses as they pass, and of words that come with the frame's end; GRE has
    none. That it is GRE is known in time only if the IP header says so itself: behind IPv6 extension headers
    its sum means nothing.

    Free-running, one beat a cycle and one frame a cycle.

    Parameters
    ----------
    shape : Surveyed
        Layout of the beats.

    Attributes
    ----------
    latency : int
        Cycles from a frame's last beat to what is right in it.

    Members
    -------
    surveyed : In(shape)
        Beats.
    right : Out({"valid": 1, "right": Right})
        Once a frame, in order. Each bit means something only if the range is there, and whole.
    """

    def __init__(self, shape: Surveyed) -> None:
        self.lanes = lanes = shape.lanes
        self._units = {
            "outer_ip": RangeVerdict(lanes, granularity=2),
            "inner_ip": RangeVerdict(lanes, granularity=2),
            "outer": RangeVerdict(lanes, extra=2),
            "inner": RangeVerdict(lanes, extra=2),
        }
        super().__init__({
            "surveyed": In(shape),
            "right": Out(data.StructLayout({"valid": 1, "right": Right})),
        })

    @property
    def latency(self) -> int:
        """Cycles from a frame's last beat to what is right in it."""
        return 2 + max(unit.latency for unit in self._units.values())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat: Any = self.surveyed
        layout, ends = beat.layout, beat.ends
        places = Places(m, beat.index, self.lanes)
        found = layout.tunnel.nvgre | layout.tunnel.vxlan
        gre = layout.outer.whole & (layout.outer.protocol == Protocol.GRE)

        # First cycle: which words of the beat are behind what. Second cycle: which bytes count.
        enables: dict[str, Value] = {}
        for layer, present, addressed in (("outer", 1, ~gre), ("inner", found, found)):
            ip = layout[layer]
            header = places.behind(f"{layer}_header", ip.start, ip.ipv4 & present)
            above = places.behind(f"{layer}_above", ip.end, present)
            enables[f"{layer}_ip"] = header & ~places.behind(f"{layer}_header_end", ip.end)

            where = beat.addressed[layer]
            addresses = places.behind(f"{layer}_addresses", where.first, addressed) & ~places.behind(
                f"{layer}_behind_addresses", where.behind
            )
            # The high byte of the word in which an odd range ends still counts. Before the header is whole,
            # its length field may be that of a frame before.
            end = ends[layer]
            low = addresses | (above & ~places.behind(f"{layer}_end", end))
            high = low | places.at(f"{layer}_odd_end", end, end[0] & ip.whole)
            enables[layer] = Cat(Cat(*pair) for pair in zip(high, low, strict=True))

        valid, last = Signal(2), Signal(2, reset_less=True)
        octets = [Signal(beat.data.shape(), name=f"data{n}", reset_less=True) for n in range(2)]
        m.d.sync += [
            valid.eq(Cat(beat.valid, valid)),
            last.eq(Cat(beat.last, last)),
            octets[0].eq(beat.data),
            octets[1].eq(octets[0]),
        ]
        extra = {layer: self._pseudo_header(m, layer) for layer in ("outer", "inner")}

        most = max(unit.latency for unit in self._units.values())
        for name, unit in self._units.items():
            m.submodules[name] = unit
            enable = Signal(len(unit.beat.enable), name=f"enable_{name}", reset_less=True)
            m.d.sync += enable.eq(enables[name])
            m.d.comb += [
                unit.beat.valid.eq(valid[-1]),
                unit.beat.data.eq(octets[-1]),
                unit.beat.enable.eq(enable),
                unit.beat.last.eq(last[-1]),
            ]
            if name in extra:
                m.d.comb += [word.eq(value) for word, value in zip(unit.beat.extra, extra[name], strict=True)]
            good = unit.verdict.good
            for n in range(most - unit.latency):
                waiting = Signal(name=f"{name}_good{n}", reset_less=True)
                m.d.sync += waiting.eq(good)
                good = waiting
            m.d.comb += self.right.right[name].eq(good)
        m.d.comb += self.right.valid.eq(self._units["inner"].verdict.valid)
        return m

    def _pseudo_header(self, m: Module, layer: str) -> list[Value]:
        """Return the protocol and the length, two cycles later."""
        beat: Any = self.surveyed
        ip, transport = beat.layout[layer], beat.layout.transport
        udp = beat.outer_udp if layer == "outer" else transport.udp
        applies = ~beat.layout.tunnel.nvgre if layer == "outer" else 1
        length, kept_length = (Signal(16, name=f"{layer}_length{n}", reset_less=True) for n in range(2))
        protocol, kept_protocol = (Signal(5, name=f"{layer}_protocol{n}", reset_less=True) for n in range(2))
        applying = Signal(name=f"{layer}_applies", reset_less=True)
        m.d.sync += [
            applying.eq(applies),
            length.eq(beat.ends[layer] - ip.end),
            protocol.eq(Mux(udp, Protocol.UDP, Protocol.TCP)),
            kept_length.eq(length & applying.replicate(16)),
            kept_protocol.eq(protocol & applying.replicate(5)),
        ]
        return [kept_length, kept_protocol]
