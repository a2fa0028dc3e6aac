"""The loop, evaluation, runs on disk and the feature cache."""

from ..atomic import write_atomic
from ..memory import keep_memory
from .averaging import Averaged
from .devices import device
from .distributed import synchronize
from .evaluate import Estimate, evaluate, predict, score
from .features import FeatureStore, cached_features
from .fit import fit, total
from .held import Held, Watch, losses_of
from .log import History
from .run import Run, list_runs
from .seeding import seeded
from .settle import following, settle
from .status import Heartbeat, Status
from .toml import to_toml

__all__ = [
    "Averaged", "Estimate", "FeatureStore", "Heartbeat", "Held", "History", "Run", "Status", "Watch",
    "cached_features", "device", "evaluate", "fit", "following", "keep_memory", "list_runs", "losses_of",
    "predict", "score", "seeded", "settle", "synchronize", "to_toml", "total", "write_atomic",
]  # fmt: skip
