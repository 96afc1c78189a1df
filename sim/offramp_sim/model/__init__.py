"""Reference model of the send and the receive path, in plain Python over bytes.

The model is the specification restated as code: what frames and which completion a request must lead to,
and what must be said of a frame that comes in, with no notion of beats, lanes or cycles. It imports nothing
but the standard library, so that it can be read, trusted and reused on its own.

>>> from offramp_sim.model import Config, ReceiveConfig, Request, receive, send
>>> outcome = send(Request(frame=bytes(60), tag=7))
>>> outcome.completion.status, len(outcome.frames)
('ok', 1)
>>> receive(bytes(60), ReceiveConfig(active=True)).reason
'not_ip'
"""

from offramp_sim.model.receive import receive
from offramp_sim.model.reception import Reason, ReceiveConfig, Reception, Verdicts, VmqFilter
from offramp_sim.model.records import Build, Completion, Config, Outcome, Request, Status
from offramp_sim.model.send import send

__all__ = [
    "Build",
    "Completion",
    "Config",
    "Outcome",
    "Reason",
    "ReceiveConfig",
    "Reception",
    "Request",
    "Status",
    "Verdicts",
    "VmqFilter",
    "receive",
    "send",
]
