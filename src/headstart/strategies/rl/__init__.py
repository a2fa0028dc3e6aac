"""Ways of reuse in worlds, each in a file of its own; here they stand in the order of the tables."""

from ..strategy import Strategy
from .align import ALIGN
from .anchor import ANCHOR
from .arena import Arena, Budget
from .bridge import BRIDGE
from .continuing import CONTINUE
from .critic import CRITIC
from .crossing import crossing
from .distill import DISTILL
from .gate import GATE
from .kickstart import KICKSTART
from .multitask import MULTITASK, WEIGHED
from .progressive import PROGRESSIVE
from .reheat import REHEAT
from .scratch import SCRATCH
from .shaping import SHAPING
from .successor import SUCCESSOR
from .trial import Shared, Trial
from .zero_shot import ZERO_SHOT

STRATEGIES: dict[str, Strategy] = {
    one.name: one
    for one in (
        SCRATCH, ZERO_SHOT, CONTINUE, ANCHOR, REHEAT, CRITIC, KICKSTART, GATE, ALIGN, BRIDGE,
        SUCCESSOR, MULTITASK, DISTILL,
    )
}  # fmt: skip
FURTHER: dict[str, Strategy] = {one.name: one for one in (SHAPING, PROGRESSIVE, *WEIGHED)}

__all__ = ["FURTHER", "STRATEGIES", "Arena", "Budget", "Shared", "Trial", "crossing"]
