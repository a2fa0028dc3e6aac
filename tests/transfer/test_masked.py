"""Masked words: what is hidden, what is lowered, and a model that is used as a downloaded one."""

import json
import math
from dataclasses import replace
from importlib.util import find_spec
from itertools import product

import pytest
import torch
from torch import nn

import headstart as hs
from headstart.engine import Run
from headstart.maths import generator
from headstart.tasks import Labelled, Tokens
from headstart.testing import check_objective
from headstart.transfer import MaskedWords, word_head

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None or find_spec("tokenizers") is None, reason="needs transformers"
)
WORDS = ("she", "he"), ("has", "sees"), ("nut", "bolt")
LINES = [f"{who} {verb} the {what} ." for who, verb, what in product(*WORDS)]


@pytest.fixture(scope="module")
def texts():
    return hs.datasets.plain_texts("texts", LINES, hs.datasets.train_tokenizer(LINES, 60))


def made(texts, width=16):
    config = {
        "model_type": "bert", "vocab_size": texts.kind.outputs, "hidden_size": width, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 16,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    torch.manual_seed(0)
    trunk = hs.models.hf("new", weights=None, config=config)
    return hs.Net(trunk, {"texts": word_head(trunk)})


def learn(net, texts, steps, run=None):
    return hs.fit(
        net,
        hs.batches([texts], 8, generator=torch.Generator().manual_seed(0)),
        MaskedWords(texts),
        steps=steps,
        optimizer=torch.optim.AdamW(net.parameters(), lr=1e-2),
        run=run,
        progress=False,
    )


def test_answers_are_the_tokens_and_marks_are_never_asked_for(texts):
    x, y = texts.train.x, texts.train.y
    assert (x[:, 0] == 2).all()  # [CLS]
    assert torch.equal(y >= 0, (x > 4))
    assert torch.equal(y[y >= 0], x[y >= 0])


def test_a_tokenizer_is_the_same_each_time_and_knows_frequent_words():
    lines = [*LINES * 3, "un coeur 日本 \U00020000"]
    once, again = (hs.datasets.train_tokenizer(lines, 70) for _ in range(2))
    assert once == again
    known = json.loads(once)["model"]["vocab"]
    assert {"has", "sees", "nut", "bolt", "the", "she", "##e", "c", "日"} <= known.keys()
    assert len(known) <= 70


def test_of_the_tokens_that_are_asked_for_eighty_per_cent_are_hidden(texts):
    many = Labelled(texts.train.x.repeat(400, 1), texts.train.y.repeat(400, 1))
    shown, asked = MaskedWords(texts, share=0.25).hide(many, torch.Generator().manual_seed(0))
    words, mask = many.y >= 0, texts.encoding.words().index("[MASK]") + 1
    hidden, same = shown == mask, shown == many.x
    total, count = int(words.sum()), int(asked.sum())

    def near(found, share, of):
        assert abs(int(found) / of - share) < 4 * math.sqrt(share * (1 - share) / of)

    near(count, 0.25, total)
    near((hidden & asked).sum(), 0.8, count)
    pieces = texts.kind.outputs
    near((~hidden & ~same & asked).sum(), 0.1 * (1 - 1 / pieces), count)
    assert not (asked & ~words).any()
    assert same[~asked].all()


def test_the_loss_is_the_cross_entropy_of_the_tokens_that_were_asked_for(texts):
    net, objective = made(texts).double(), MaskedWords(texts, share=0.4)
    shown, asked = MaskedWords(texts, share=0.4).hide(texts.train, generator(0, "masked words", (0.5).hex()))
    loss = objective(net, {"texts": texts.train}, 0.5)["texts"]
    model, head = net.backbone.model, net.heads["texts"].head
    z = model(input_ids=shown, attention_mask=(shown > 0).long()).last_hidden_state
    log_p = head(z).log_softmax(2)
    hand = -log_p.gather(2, texts.train.x[..., None])[..., 0][asked].mean()
    assert torch.allclose(loss, hand)
    assert head[-1].weight is model.get_input_embeddings().weight


def test_battery(texts):
    check_objective(MaskedWords(texts, share=0.5), made(texts), {"texts": texts.train})


def test_a_run_that_is_resumed_hides_what_it_would_have_hidden(texts, tmp_path):
    whole = made(texts)
    learn(whole, texts, 12)
    first = made(texts)
    run = Run.create(tmp_path / "run", {}, every_steps=5)

    class Stop(Exception):
        pass

    def ends(net, batch, progress):
        if progress > 0.6:
            raise Stop
        return MaskedWords(texts)(net, batch, progress)

    stream = hs.batches([texts], 8, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.AdamW(first.parameters(), lr=1e-2)
    with pytest.raises(Stop):
        hs.fit(first, stream, ends, steps=12, optimizer=optimizer, run=run, progress=False)
    again = made(texts)
    learn(again, texts, 12, Run.open(tmp_path / "run"))
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_small_bert_learns_and_is_used_as_one_that_was_downloaded(texts, tmp_path):
    net = made(texts)
    losses = learn(net, texts, 60).losses["texts"]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])
    hs.models.save_hf(net.backbone, tmp_path / "own", texts.encoding.tokenizer)
    use = f"hf:{tmp_path / 'own'}"
    again = hs.backbone(use).eval()
    assert torch.equal(again(texts.train.x), net.backbone.eval()(texts.train.x))
    assert hs.models.tokenizer(use) == again.tokenizer
    import transformers

    model = transformers.AutoModel.from_pretrained(tmp_path / "own")
    cut = transformers.AutoTokenizer.from_pretrained(tmp_path / "own")
    assert cut(LINES[0])["input_ids"] == [n for n in texts.train.x[0].tolist() if n]
    assert torch.equal(model.get_input_embeddings().weight, again.model.get_input_embeddings().weight)


def test_what_cannot_be_is_told(texts):
    with pytest.raises(ValueError, match="share"):
        MaskedWords(texts, share=1.0)
    with pytest.raises(ValueError, match="tokens that are their own answers"):
        MaskedWords(hs.datasets.read("digits")[0])
    with pytest.raises(ValueError, match=r"\[MASK\]"):
        MaskedWords(replace(texts, encoding=None))
    with pytest.raises(ValueError, match="table of tokens"):
        word_head(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="as `hf` builds it"):
        hs.models.save_hf(nn.Linear(2, 2), "anywhere")
    with pytest.raises(ValueError, match="at least 60"):
        hs.datasets.train_tokenizer(LINES, 10)
    with pytest.raises(ValueError, match="with a word"):
        hs.datasets.train_tokenizer(["", " "])
    with pytest.raises(ValueError, match="at least one"):
        hs.datasets.plain_texts("texts", [], texts.encoding.tokenizer)
    with pytest.warns(UserWarning, match="of 1 of 9 texts only the first 256 tokens are read"):
        hs.datasets.plain_texts("texts", [*LINES, "nut " * 300], texts.encoding.tokenizer)
    assert isinstance(texts.kind, Tokens)
