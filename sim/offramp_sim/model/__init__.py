"""Reference model of the send path, in plain Python over bytes.

The model is the specification restated as code: what frames and which completion a request must lead to,
with no notion of beats, lanes or cycles. It imports nothing but the standard library, so that it can be
read, trusted and reused on its own.

>>> from offramp_sim.model import Config, Request, send
>>> outcome = send(Request(frame=bytes(60), tag=7))
>>> outcome.completion.status, len(outcome.frames)
('ok', 1)
"""

from offramp_sim.model.records import Build, Completion, Config, Outcome, Request, Status
from offramp_sim.model.send import send

__all__ = ["Build", "Completion", "Config", "Outcome", "Request", "Status", "send"]
