"""The recipes, each with its entry beside its function; here they stand in the order of the tables."""

from ..strategy import Strategy
from .align import ADABN, ADAMATCH, ALIGNING, DANN_STRATEGY, MMD_STRATEGY, SOURCE_ONLY
from .averaged import EMA, SWA, WISE_FT
from .blobs import RAW_BLOBS
from .chained import LAYER_CHAIN
from .constant import CONSTANT
from .contrastive import CONTRASTIVE
from .decayed import FINETUNE_DECAY
from .denoising import DENOISED
from .episodes import (
    ANIL_STRATEGY,
    MAML_STRATEGY,
    MATCHING,
    PRETRAIN_MULTITASK_FEWSHOT,
    PROTONET,
    R2D2,
    REPTILE_STRATEGY,
)
from .features import LOGREG, MLP, PROBE, SVM
from .finetune import FINETUNE, GRADUAL, L2_SP, LP_FT
from .grouped import MULTITASK_GROUPS
from .jointly import MULTITASK_FINETUNE, SIDE_BY_SIDE, pair
from .layers import LAYER_LOGREG
from .lora import LORA
from .means import RAW_MEANS
from .named import NAMES, NAMES_CONTRASTIVE, NAMES_LOGREG
from .near import BSS_STRATEGY, COTUNING, DELTA_STRATEGY, LOGIT_ADJUSTED
from .places import RAW_LEXICON, RAW_PIXELS, RAW_THRESHOLD, RAW_WINDOW
from .pooled import POOLED, POOLED_LOGREG, POOLED_RIDGE, POOLED_SVM, SOURCE_LOGREG, SOURCE_RIDGE, SOURCE_SVM
from .prompted import PROMPT, PROMPT_CALIBRATED, PROMPT_EXAMPLES
from .raw import RAW_BOOSTING, RAW_KNN, RAW_LOGREG, RAW_RIDGE, RAW_SVM, TFIDF_LOGREG, UNTRAINED_LOGREG
from .scratch import SCRATCH
from .several import LABELLED_TOO, MULTI_DANN
from .sharing import MULTITASK
from .surgical import SURGICAL
from .together import TOGETHER
from .transferable import TRANSFERABLE
from .tuned import LAYER_FINETUNE
from .twophase import ADDA_STRATEGY, SHOT_STRATEGY
from .unlike import JOINT_SPACE, PLAIN
from .ways import SHALLOW

# Those that reuse nothing: what reuse gains is measured against the best of them.
_ALONE = (
    CONSTANT,
    RAW_LOGREG, RAW_KNN, RAW_SVM, RAW_BOOSTING, RAW_RIDGE, TFIDF_LOGREG, RAW_LEXICON, RAW_WINDOW, RAW_MEANS,
    RAW_THRESHOLD, RAW_PIXELS, RAW_BLOBS, UNTRAINED_LOGREG,
    SCRATCH,
)  # fmt: skip

STRATEGIES: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        *_ALONE,
        SOURCE_LOGREG, SOURCE_SVM, SOURCE_RIDGE, SOURCE_ONLY,
        POOLED_LOGREG, POOLED_SVM, POOLED_RIDGE, POOLED,
        LOGREG, LAYER_LOGREG, SVM, MLP, PROBE,
        FINETUNE, LP_FT, GRADUAL, L2_SP,
        MULTITASK,
        PROTONET, MAML_STRATEGY, PRETRAIN_MULTITASK_FEWSHOT,
        DANN_STRATEGY, MMD_STRATEGY,
        *PLAIN, JOINT_SPACE,
    )
}  # fmt: skip

NO_REUSE: tuple[str, ...] = tuple(strategy.name for strategy in _ALONE)
# What is run where it is named, and not by "auto".
FURTHER: dict[str, Strategy] = {
    strategy.name: strategy
    for strategy in (
        LAYER_FINETUNE, LAYER_CHAIN, CONTRASTIVE, NAMES, NAMES_LOGREG, NAMES_CONTRASTIVE,
        PROMPT, PROMPT_EXAMPLES, PROMPT_CALIBRATED,
        FINETUNE_DECAY, SURGICAL, LORA, WISE_FT, SWA, EMA, DELTA_STRATEGY, BSS_STRATEGY,
        LOGIT_ADJUSTED, COTUNING,
        MATCHING, R2D2, ANIL_STRATEGY, REPTILE_STRATEGY, MULTITASK_FINETUNE, MULTITASK_GROUPS,
        *ALIGNING, ADDA_STRATEGY, SHOT_STRATEGY, MULTI_DANN, *LABELLED_TOO, ADABN, ADAMATCH,
        *SHALLOW, *DENOISED, *TRANSFERABLE, TOGETHER,
    )
}  # fmt: skip
# In their place where the target has no labels: what uses the sources as they are.
AS_IT_IS = (SOURCE_LOGREG.name, SOURCE_SVM.name, SOURCE_RIDGE.name, SOURCE_ONLY.name)

__all__ = ["AS_IT_IS", "FURTHER", "NO_REUSE", "SIDE_BY_SIDE", "STRATEGIES", "pair"]
