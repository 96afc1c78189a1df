"""Puts together what is said of a received frame."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from offramp.receive.inspect import Checks, Findings
from offramp.receive.steer import Steering
from offramp.receive.sums import Right
from offramp.records import Metadata, Reason, Verdict

REASON_CYCLES = 2
"""Cycles from a frame's findings to the reason not to check it."""


class Scope(data.Struct):
    """Which checksums of a frame are checked, each of them there and wanted.

    ``blamed`` says that no reason against the transport checksum comes before a wrong one of the tunnel.
    """

    outer_ip: 1
    tunnel: 1
    inner_ip: 1
    transport: 1  # unless the tunnel's is wrong
    blamed: 1


class Report(wiring.Component):
    """Says what the checksums of a frame come to (RXC-1 to RXC-10), and everything else that is known of it.

    Free-running, one frame a cycle. What comes first waits for what comes last.

    Parameters
    ----------
    sums_cycles, steering_cycles : int
        Cycles from a frame's findings to the verdicts of its sums, and to its steering.

    Attributes
    ----------
    latency : int
        Cycles from a frame's findings to its metadata.

    Members
    -------
    found : In({"valid": 1, "findings": Findings, "checks": Checks})
        Once a frame.
    reason : In(Reason)
        :data:`REASON_CYCLES` later.
    right : In(Right)
        ``sums_cycles`` after ``found``.
    steering : In(Steering)
        ``steering_cycles`` after ``found``.
    reported : Out({"valid": 1, "metadata": Metadata})
        Once a frame, in order. Not registered.
    """

    def __init__(self, *, sums_cycles: int, steering_cycles: int) -> None:
        self.sums_cycles = sums_cycles
        self.steering_cycles = steering_cycles
        self.latency = max(sums_cycles, steering_cycles)
        super().__init__({
            "found": In(data.StructLayout({"valid": 1, "findings": Findings, "checks": Checks})),
            "reason": In(Reason),
            "right": In(Right),
            "steering": In(Steering),
            "reported": Out(data.StructLayout({"valid": 1, "metadata": Metadata})),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()

        def delayed(name: str, value: Any, cycles: int) -> Any:
            for n in range(cycles):
                later: Any = Signal(value.shape(), name=f"{name}{n}", reset_less=True)
                m.d.sync += later.eq(value)
                value = later
            return value

        valid = Signal(self.latency)
        m.d.sync += valid.eq(valid << 1 | self.found.valid)
        found = delayed("early", self.found.findings, REASON_CYCLES)
        checks = delayed("checks", self.found.checks, REASON_CYCLES)

        # What is checked is told as soon as there is a reason, and then waits for how it is.
        code = Value.cast(self.reason)
        trusted = (code != Reason.INACTIVE.value) & (code != Reason.MARKED_BAD.value)
        scope: Any = Signal(Scope)
        m.d.comb += [
            scope.outer_ip.eq(trusted & checks.ipv4 & found.outer_ip),
            scope.tunnel.eq(trusted & found.tunnel_checksum),
            scope.inner_ip.eq(trusted & checks.ipv4 & found.inner_ip),
            scope.transport.eq(code == Reason.CHECKED.value),
            scope.blamed.eq((code == Reason.CHECKED.value) | (code > Reason.TUNNEL_CHECKSUM.value)),
        ]
        waiting = self.latency - REASON_CYCLES
        scope = delayed("scope", scope, waiting)
        found = delayed("found", found, waiting)
        reason = delayed("reason", self.reason, waiting)
        right = delayed("right", self.right, self.latency - self.sums_cycles)
        steering = delayed("steering", self.steering, self.latency - self.steering_cycles)

        def verdict(checked: Value, is_right: Value) -> Value:
            return Mux(checked, Mux(is_right, Verdict.GOOD, Verdict.BAD), Verdict.NOT_CHECKED)

        tunnel_bad = scope.tunnel & ~right.outer
        transport = scope.transport & ~tunnel_bad
        transport_right = Mux(found.tunnel, right.inner, right.outer)
        ip_bad = (scope.outer_ip & ~right.outer_ip) | (scope.inner_ip & ~right.inner_ip)

        metadata: Any = self.reported.metadata
        checksum, verdicts = metadata.checksum, metadata.verdicts
        m.d.comb += [
            self.reported.valid.eq(valid[-1]),
            checksum.ip_failed.eq(ip_bad),
            checksum.ip_succeeded.eq((scope.outer_ip | scope.inner_ip) & ~ip_bad & ~found.hidden),
            checksum.tcp_failed.eq(transport & found.tcp & ~transport_right),
            checksum.tcp_succeeded.eq(transport & found.tcp & transport_right),
            checksum.udp_failed.eq(transport & found.udp & ~transport_right),
            checksum.udp_succeeded.eq(transport & found.udp & transport_right),
            verdicts.outer_ip.eq(verdict(scope.outer_ip, right.outer_ip)),
            verdicts.inner_ip.eq(verdict(scope.inner_ip, right.inner_ip)),
            verdicts.tunnel.eq(verdict(scope.tunnel, right.outer)),
            verdicts.transport.eq(verdict(transport, transport_right)),
            metadata.reason.eq(Mux(tunnel_bad & scope.blamed, Reason.TUNNEL_CHECKSUM, reason)),
            metadata.hash_value.eq(steering.hash_value),
            Value.cast(metadata.hash_type).eq(steering.hash_type.as_value() << 8),
            metadata.queue.eq(steering.queue),
            metadata.length.eq(found.length),
            metadata.layers.eq(found.layers),
            metadata.protocol.eq(found.protocol),
        ]
        return m
