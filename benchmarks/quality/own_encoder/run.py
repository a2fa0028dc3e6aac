"""Does a small transformer that reads unlabelled texts for some minutes give other tasks a head start?

``python benchmarks/quality/own_encoder/run.py FOLDER`` learns a tokenizer and a BERT of two layers by masked
words, on one thread, on texts without their labels: the train texts of CLINC150, SNIPS, TREC and SST-2, and
10,000 pieces of unlabelled reviews of 15 domains (FDU-MTL; that of films is left out, whose sentences others
have among their test rows). A text that is a test row of any of these is left out. The model is written to
``FOLDER`` and used as ``hf:FOLDER``, as one that was downloaded would be: frozen, tuned, and the same net
from new weights, beside counted words. Goes on with what is not in ``figures.json`` beside this file. Needs
``HEADSTART_DATA``.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

import headstart as hs
from headstart.atomic import write_atomic
from headstart.comparison.learned import measured, outputs_of
from headstart.datasets.sets import clinc150, fdu_mtl, snips, text_cls
from headstart.datasets.sets._sentences import unpacked
from headstart.engine import FeatureStore
from headstart.maths import wilson
from headstart.strategies import FURTHER, STRATEGIES, Budget, Starts, Trial
from headstart.tasks import Labelled
from headstart.transfer import MaskedWords, word_head

FILE = Path(__file__).with_name("figures.json")
PIECES, LAYERS, WIDTH, WORDS, REVIEWS = 6000, 2, 128, 24, 10_000
STEPS, ROWS, LR, SHARE = 4000, 64, 1e-3, 0.2
SEEDS, TUNED = 2, 200
STUDIES = {
    "intents": ("clinc150", 10, 1500),
    "questions": ("text_cls:TREC", 20, 500),
    "sentiment": ("text_cls:SST-2", 100, 500),
}
WAYS = ("tfidf+logreg", "scratch", "features+logreg", "finetune", "contrastive")


def lines() -> list[str]:
    """Read the texts, none of them a test row, in pieces of 24 words."""
    free = _table("fdu_mtl/fdu_mtl_unlabelled.tsv.xz", fdu_mtl.RECIPES)
    reviews, held = [row[3] for row in free if row[0] != "MR"], set()
    held |= {row[3] for row in _table("fdu_mtl/fdu_mtl_labelled.tsv.xz", fdu_mtl.RECIPES) if row[1] == "test"}
    intents = json.loads(unpacked("clinc150/data_full.json.xz", clinc150.RECIPES))
    found = [text for text, _ in intents["train"]]
    held |= {text for part in ("val", "test", "oos_val", "oos_test") for text, _ in intents[part]}
    found += [row[1] for row in _table("snips/snips_train.tsv.xz", snips.RECIPES)]
    held |= {row[1] for row in _table("snips/snips_test.tsv.xz", snips.RECIPES)}
    for name in ("TREC.train.all", "stsa.binary.train", "TREC.test.all", "stsa.binary.test"):
        texts = [line.partition(" ")[2] for line in _lines(f"text_cls/{name}.txt.xz", text_cls.RECIPES)]
        found, held = (found, held | set(texts)) if ".test" in name else (found + texts, held)
    found, pieces = (_pieces([text for text in some if text not in held]) for some in (found, reviews))
    drawn = torch.randperm(len(pieces), generator=torch.Generator().manual_seed(0))[:REVIEWS]
    return found + [pieces[at] for at in drawn.tolist()]


def _pieces(texts: list[str]) -> list[str]:
    words = [text.split() for text in texts]
    return [" ".join(row[i : i + WORDS]) for row in words for i in range(0, len(row), WORDS)]


def _lines(file: str, recipes) -> list[str]:
    return [line for line in unpacked(file, recipes).split("\n") if line.strip()]


def _table(file: str, recipes) -> list[list[str]]:
    return [line.split("\t", 3) for line in _lines(file, recipes)]


def pretrain(folder: Path) -> dict[str, object]:
    """Learn a tokenizer and a small BERT, and write them."""
    began, texts = time.process_time(), lines()
    tokens = hs.datasets.train_tokenizer(texts, PIECES)
    task = hs.datasets.plain_texts("texts", texts, tokens)
    read = time.process_time() - began
    config = {
        "model_type": "bert", "vocab_size": task.kind.outputs, "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": WIDTH // 32, "intermediate_size": 4 * WIDTH,
        "max_position_embeddings": 128,
    }  # fmt: skip
    torch.manual_seed(0)
    trunk = hs.models.hf("new", weights=None, config=config)
    net = hs.Net(trunk, {"texts": word_head(trunk)})
    stream = hs.batches([task], ROWS, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=0.01, fused=True)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, STEPS + 1, pct_start=0.1)
    began = time.process_time()
    history = hs.fit(
        net, stream, MaskedWords(task, SHARE), steps=STEPS, optimizer=optimizer, scheduler=scheduler, clip=1.0
    )
    hs.models.save_hf(trunk, folder, tokens)
    loss = history.losses["texts"]
    means = {str(at): round(sum(loss[at - 50 : at]) / 50, 3) for at in (50, STEPS // 4, STEPS // 2, STEPS)}
    return {
        "texts": len(texts), "tokens": int((task.train.y >= 0).sum()), "steps": STEPS, "rows": ROWS,
        "layers": LAYERS, "width": WIDTH, "weights": sum(p.numel() for p in trunk.parameters()),
        "loss": means,
        "seconds to read": round(read), "seconds to learn": round(time.process_time() - began),
    }  # fmt: skip


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    found = json.loads(FILE.read_text()) if FILE.exists() else {}
    if not (folder / "config.json").exists():
        found = {"pretraining": pretrain(folder)}
        write_atomic(FILE, json.dumps(found, indent=1) + "\n")
    use = f"hf:{folder}"
    for name, (data, shots, test) in STUDIES.items():
        (task,) = hs.datasets.read(data, tokens=hs.models.tokenizer(use))
        assert isinstance(task.test, Labelled)
        draws = torch.randperm(len(task.test), generator=torch.Generator().manual_seed(0))
        task = replace(task, valid=None, test=task.test.take(draws[:test]))
        problem = hs.Problem(task, backbone=use, shots=[shots], budget=Budget(steps=TUNED, options=1))
        starts = Starts(FeatureStore())
        for seed in range(SEEDS):
            posed = problem.cut(shots, seed)
            for way in WAYS:
                about = {"data": data, "shots": shots, "test": test, "steps": TUNED, "metric": "accuracy"}
                here = found.setdefault(name, about | {"ways": {}})["ways"].setdefault(way, {})
                if str(seed) in here:
                    continue
                began, strategy = time.process_time(), (STRATEGIES | FURTHER)[way]
                trained = strategy.learn(Trial(posed, strategy.options[0], seed, starts))
                outputs, y = outputs_of(starts, trained.net, posed.target, posed.target.test)
                score = measured(posed.target, outputs, y, "accuracy")["accuracy"]
                told = {"score": score, "ci95": list(wilson(round(score * len(y)), len(y)))}
                here[str(seed)] = told | {"seconds": round(time.process_time() - began, 1)}
                write_atomic(FILE, json.dumps(found, indent=1) + "\n")
                print(name, seed, way, here[str(seed)], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
