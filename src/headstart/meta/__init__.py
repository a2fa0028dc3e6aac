"""Methods that learn from many small tasks to adapt to a new one from a few rows."""

from .episodic import Episodic
from .fewshot import FewShot
from .maml import MAML
from .protonet import ProtoNet

__all__ = ["MAML", "Episodic", "FewShot", "ProtoNet"]
