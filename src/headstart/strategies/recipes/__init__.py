"""The recipes, each with its entry beside its function; here they stand in the order of the tables."""

from ..strategy import Strategy
from .align import DANN_STRATEGY, MMD_STRATEGY, SOURCE_ONLY
from .episodes import MAML_STRATEGY, PRETRAIN_MULTITASK_FEWSHOT, PROTONET
from .features import LOGREG, MLP, PROBE, SVM
from .finetune import FINETUNE, GRADUAL, L2_SP, LP_FT
from .scratch import SCRATCH
from .sharing import MULTITASK

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        SCRATCH,
        LOGREG, SVM, MLP, PROBE,
        FINETUNE, LP_FT, GRADUAL, L2_SP,
        MULTITASK,
        PROTONET, MAML_STRATEGY, PRETRAIN_MULTITASK_FEWSHOT,
        SOURCE_ONLY, DANN_STRATEGY, MMD_STRATEGY,
    )
}  # fmt: skip

NO_REUSE = ("scratch",)
AS_IT_IS = ("source-only",)

__all__ = ["AS_IT_IS", "NO_REUSE", "STRATEGIES"]
