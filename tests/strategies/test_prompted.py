"""Strategies that ask a small GPT in words, against likelihoods of whole texts by transformers in float64."""

from dataclasses import replace

import pytest
import torch

import headstart as hs
from headstart.models.backbones.hf import import_transformers
from headstart.strategies import FURTHER, Trial
from headstart.testing import check_strategy
from headstart.transfer import contextual_calibration

TEXTS = [
    "a good film",
    "bad , bad film",
    "good",
    "a bad bolt",
    "so good a nut",
    "the film was bad",
    "good good",
]
LABELS = ["very_good", "bad", "very_good", "bad", "very_good", "bad", "very_good"]


@pytest.fixture(scope="module")
def gpt(tmp_path_factory):
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    try:
        transformers = import_transformers()
    except ModuleNotFoundError:
        pytest.skip("transformers is not installed")
    folder = tmp_path_factory.mktemp("gpt")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [f"{text}\nLabel: {label.replace('_', ' ')}" for text, label in zip(TEXTS, LABELS, strict=True)] * 9,
        tokenizers.trainers.BpeTrainer(
            vocab_size=320, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
        ),
    )
    made.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=made.get_vocab_size(), n_embd=24, n_layer=2, n_head=2, n_positions=128,
        bos_token_id=0, eos_token_id=0, initializer_range=0.4,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def problem(folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS, "label": LABELS, "split": ["train"] * len(TEXTS)})
    tokens = hs.models.tokenizer(f"hf:{folder}")
    (task,) = hs.datasets.from_frame(frame, label="label", text="text", tokens=tokens)
    task = replace(task, test=task.train)
    return hs.Problem(task, backbone=f"hf:{folder}", budget=hs.strategies.Budget(steps=8, options=1))


def of_whole_texts(folder, texts, words):
    """Say how likely words are behind prompts, by transformers alone, in float64."""
    import tokenizers

    transformers = import_transformers()
    own = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float64).eval()
    cut = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = torch.zeros(len(texts), len(words), dtype=torch.float64)
    for i, text in enumerate(texts):
        for k, word in enumerate(words):
            ids, start = cut.encode(text + word).ids, len(cut.encode(text).ids)
            assert ids[:start] == cut.encode(text).ids
            with torch.no_grad():
                log_p = own(torch.tensor([ids])).logits[0].log_softmax(1)
            found[i, k] = sum(log_p[at - 1, ids[at]] for at in range(start, len(ids)))
    return found


def learned(name, posed, **settings):
    strategy = FURTHER[name]
    return strategy.learn(Trial(posed, {**strategy.options[0], **settings}, 0))


def told(net, posed):
    with torch.no_grad():
        return net.double().eval()(posed.target.train.x, posed.target.name)


def test_the_likelihoods_are_those_of_the_whole_text(gpt):
    posed = problem(gpt)
    trained = learned("prompt", posed)
    hand = of_whole_texts(gpt, [f"{text}\nLabel:" for text in TEXTS], [" bad", " very good"])
    assert torch.allclose(told(trained.net, posed), hand, atol=1e-4)
    assert trained.told == {"examples": 0}


def test_template_and_words_are_settings(gpt):
    posed = problem(gpt)
    net = learned("prompt", posed, template="Film: {text} It was {label}", words=["bad", "good"]).net
    hand = of_whole_texts(gpt, [f"Film: {text} It was" for text in TEXTS], [" bad", " good"])
    # A text by itself begins without the space that the template has before it.
    assert told(net, posed).shape == hand.shape
    net = learned("prompt", posed, template="{text} It was {label}", words=["bad", "good"]).net
    hand = of_whole_texts(gpt, [f"{text} It was" for text in TEXTS], [" bad", " good"])
    assert torch.allclose(told(net, posed), hand, atol=1e-4)
    for wrong in ({"template": "{text}"}, {"template": "{label} {text}"}, {"words": ["bad"]}):
        with pytest.raises(ValueError, match="should be"):
            learned("prompt", posed, **wrong)


def test_examples_stand_before_and_what_is_said_of_no_text_is_taken_away(gpt):
    posed = problem(gpt)
    trained = learned("prompt+examples", posed, examples=4)
    before = shown(trained, gpt)
    blocks = before.split("\n\n")
    assert trained.told == {"examples": 4}
    assert blocks[-1] == ""
    asked = [block.split("\nLabel: ") for block in blocks[:-1]]
    assert all(LABELS[TEXTS.index(text)].replace("_", " ") == label for text, label in asked)
    assert sorted(label for _, label in asked) == ["bad", "bad", "very good", "very good"]
    hand = of_whole_texts(gpt, [f"{before}{text}\nLabel:" for text in TEXTS], [" bad", " very good"])
    assert torch.allclose(told(trained.net, posed), hand, atol=1e-4)
    calibrated = learned("prompt+calibrated", posed, examples=4)
    empty = [f"{before}{text}\nLabel:" for text in ("", "N/A", "[MASK]")]
    head = contextual_calibration(of_whole_texts(gpt, empty, [" bad", " very good"]))
    assert torch.allclose(told(calibrated.net, posed), head(hand), atol=1e-4)


def shown(trained, folder):
    """Read what stands before a row."""
    import tokenizers

    cut = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    return cut.decode([n - 1 for n in trained.net.backbone.settings["before"]])


def test_what_the_model_has_no_room_for_is_left_out(gpt):
    trained = learned("prompt+examples", problem(gpt), examples=7)
    few = trained.told["examples"]
    assert 1 <= few < 7
    assert len(trained.net.backbone.settings["before"]) <= 64


@pytest.mark.parametrize("name", ["prompt", "prompt+examples", "prompt+calibrated", "lora"])
def test_ways_of_a_gpt_go_through_the_battery(gpt, name):
    if name == "lora":
        pytest.importorskip("peft", reason="peft is not installed")
    check_strategy(FURTHER[name], problem(gpt))


def test_what_is_no_decoder_is_told(gpt):
    (digits,) = hs.datasets.read("digits:0-1")
    assert "no token ids" in FURTHER["prompt"].needs(hs.Problem(digits))
