"""Methods that learn from many small tasks to adapt to a new one from a few rows."""

from ._anil import ANIL
from ._baseline import BaselinePlusPlus
from ._boil import BOIL
from ._cosine import CosineProtoNet
from ._episodic import Episodic
from ._evaluation import EpisodeScores, evaluate_episodes
from ._imaml import iMAML
from ._joint import Joint, JointEpisodic
from ._laplacian import LaplacianShot
from ._logistic import Logistic
from ._maml import MAML
from ._matching import Matching
from ._multistep import MultiStep
from ._protonet import ProtoNet
from ._rates import LSLR, MetaSGD
from ._recurrent import LearnedOptimizer, MetaLSTM, Unrolled
from ._relation import Relation
from ._reptile import Reptile
from ._ridge import Ridge
from ._siamese import Contrastive, Siamese, Triplet
from ._simpleshot import SimpleShot
from ._tim import TIM
from .fewshot import FewShot

__all__ = [
    "ANIL",
    "BOIL",
    "LSLR",
    "MAML",
    "TIM",
    "BaselinePlusPlus",
    "Contrastive",
    "CosineProtoNet",
    "EpisodeScores",
    "Episodic",
    "FewShot",
    "Joint",
    "JointEpisodic",
    "LaplacianShot",
    "LearnedOptimizer",
    "Logistic",
    "Matching",
    "MetaLSTM",
    "MetaSGD",
    "MultiStep",
    "ProtoNet",
    "Relation",
    "Reptile",
    "Ridge",
    "Siamese",
    "SimpleShot",
    "Triplet",
    "Unrolled",
    "evaluate_episodes",
    "iMAML",
]
