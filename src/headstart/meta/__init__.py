"""Methods that learn from many small tasks to adapt to a new one from a few rows."""

from ._episodic import Episodic
from ._maml import MAML
from ._protonet import ProtoNet
from .fewshot import FewShot

__all__ = ["MAML", "Episodic", "FewShot", "ProtoNet"]
