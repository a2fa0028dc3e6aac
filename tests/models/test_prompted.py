"""Language models that are asked in words: likelihoods against transformers' own, in float64."""

import math

import pytest
import torch

import headstart as hs
from headstart.models import Net, load, save
from headstart.models.backbones.hf import import_transformers
from headstart.models.backbones.prompted import Prompted, not_to_be_asked
from headstart.tasks import Labelled, Multiclass, Task
from headstart.transfer import Supervised, contextual_calibration, lora

WORDS = ([3], [4, 5], [4, 6, 7])  # of the model's own numbers
BEFORE, BEHIND = [2], [8, 9]
FAMILIES = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "llama": {
        "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
        "intermediate_size": 16, "tie_word_embeddings": True, "max_position_embeddings": 32,
    },
    "opt": {
        "hidden_size": 16, "word_embed_proj_dim": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "ffn_dim": 16, "max_position_embeddings": 32,
    },
}  # fmt: skip
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
OTHERS = {"bert": "an encoder", "gpt_neox": "an output layer of its own"}


@pytest.fixture(scope="module")
def transformers():
    try:
        return import_transformers()
    except ModuleNotFoundError:
        pytest.skip("transformers is not installed")


def made(family, settings):
    config = {"model_type": family, "vocab_size": 12, "bos_token_id": None, "eos_token_id": None, **settings}
    built = hs.models.hf("new", weights=None, config=config)
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in built.parameters():
            p.normal_(0, 0.3, generator=g)
    return built.eval(), config


def prompted(model, words=WORDS, **more):
    def more_by(numbers):
        return [n + model.offset for n in numbers]

    return Prompted(model, more_by(BEFORE), more_by(BEHIND), [more_by(word) for word in words], **more)


def language_model(transformers, model, config):
    """Make transformers' own model of language with the weights of ours."""
    own = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**config))
    getattr(own, own.base_model_prefix).load_state_dict(model.model.state_dict())
    return own.to(next(model.parameters()).dtype).eval()


ROWS = torch.tensor([[1, 10, 3], [5, 0, 0], [6, 7, 0], [0, 0, 0]])


@pytest.mark.parametrize("family", FAMILIES)
def test_likelihoods_are_those_that_transformers_gives_one_by_one(transformers, family):
    model, config = made(family, FAMILIES[family])
    model.double()
    own = language_model(transformers, model, config)
    x = torch.where(ROWS > 0, ROWS + model.offset, 0)
    with torch.no_grad():
        found = prompted(model)(x)
        for row, said in zip(ROWS, found, strict=True):
            for word, value in zip(WORDS, said, strict=True):
                ids = [*BEFORE, *row[row > 0].tolist(), *BEHIND, *word]
                log_p = own(torch.tensor([ids])).logits[0].log_softmax(1)
                hand = sum(log_p[at - 1, ids[at]] for at in range(len(ids) - len(word), len(ids)))
                assert math.isclose(value, hand, abs_tol=1e-9)


@pytest.mark.parametrize("family", OTHERS)
def test_a_model_that_cannot_be_asked_says_why(transformers, family):
    (model, _), reason = made(family, SMALL), OTHERS[family]
    assert reason in not_to_be_asked(model)
    with pytest.raises(ValueError, match=reason):
        prompted(model)


def test_rows_that_are_too_long_are_cut_and_no_room_is_told(transformers):
    model, _ = made("gpt2", FAMILIES["gpt2"])
    ask = prompted(model)
    assert ask.room == 32 - 1 - 2 - 2
    long = torch.randint(1, 12, (2, 60), generator=torch.Generator().manual_seed(0))
    assert torch.equal(ask(long), ask(long[:, : ask.room]))
    with pytest.raises(ValueError, match="take fewer examples"):
        Prompted(model, list(range(1, 12)) * 3, [1], [[1], [2]])


def test_marks_that_stand_for_no_text_are_left_out(transformers):
    model, _ = made("gpt2", FAMILIES["gpt2"])
    ask = prompted(model, special=[12])
    x = torch.tensor([[2, 12, 4, 12, 0], [12, 3, 0, 0, 0]])
    assert torch.allclose(ask(x), prompted(model)(torch.tensor([[2, 4], [3, 0]])), atol=1e-6)


def test_it_is_saved_and_built_again_and_learns(transformers, tmp_path):
    model, _ = made("gpt2", FAMILIES["gpt2"])
    ask = prompted(model, words=([3], [4, 5]))
    x = torch.where(ROWS > 0, ROWS + 1, 0)[:3]
    with torch.no_grad():
        net = Net(ask, {"a": contextual_calibration(ask(x[:1]))})
        said = net(x, "a")
    assert torch.allclose(said[0].softmax(0), torch.full((2,), 0.5), atol=1e-6)
    save(net, tmp_path, kinds={"a": Multiclass(2)})
    again = load(tmp_path).net
    assert torch.equal(again(x, "a"), said)
    task = Task("a", Multiclass(2), Labelled(x, torch.tensor([0, 1, 0])))
    before = net.backbone.model.model.wte.weight.clone()
    pytest.importorskip("peft", reason="peft is not installed")
    with lora(net, 2):
        stream = hs.batches([task], 3, generator=torch.Generator().manual_seed(0))
        optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=1e-2)
        history = hs.fit(net, stream, Supervised(task), steps=20, optimizer=optimizer, progress=False)
    assert history.losses["a"][-1] < history.losses["a"][0] - 0.1
    assert torch.equal(net.backbone.model.model.wte.weight, before)


def test_what_is_said_of_no_text_is_taken_away():
    empty = torch.tensor([[0.2, 0.8], [0.4, 0.6]], dtype=torch.float64)
    p = torch.tensor([[0.6, 0.4]], dtype=torch.float64)
    by_hand = p / empty.mean(0)
    found = contextual_calibration(empty.log())(p.log()).softmax(1)
    assert torch.allclose(found, by_hand / by_hand.sum())
    with pytest.raises(ValueError, match="finite"):
        contextual_calibration(torch.tensor([[0.0, -torch.inf]]))
