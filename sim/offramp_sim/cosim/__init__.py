"""Simulations that cocotb drives, with the bus models of cocotbext-axi at every port of a path.

:mod:`~offramp_sim.cosim.runner` builds the generated core and runs a module of cocotb tests on it;
:class:`~offramp_sim.cosim.host.Host` and :class:`~offramp_sim.cosim.mac.Mac` are what those tests speak
through. Slower by orders of magnitude than :mod:`offramp_sim.core`, which shares no bus model with it: what
one of them would overlook the other sees.
"""
