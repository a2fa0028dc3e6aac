"""Text models of transformers and tables of word vectors, each with its own tokenizer."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from itertools import product

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import headstart as hs
from headstart.datasets import encode, encoding_from_json, from_frame, read
from headstart.datasets.readers.text import PieceEncoding
from headstart.models import Net, backbone, cut, cuts, freeze, load, save, tokenizer
from headstart.models.backbones import hub, start, wheel
from headstart.models.backbones.hf import import_transformers
from headstart.tasks import Multiclass

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "good", "bad", "bolt", "nut", "##s", "."]
SENTENCES = ["A man is eating food.", "A man is eating a piece of bread.", "The girl is carrying a baby."]


def pieces(folder, words=PIECES, pads=True):
    """Write a small tokenizer of word pieces; one that does not pad has no markers either."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]")
    )
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    if pads:
        made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    made.save(str(folder / "tokenizer.json"))


def written(folder, model, **more):
    """Save a small model of random weights as it comes from a hub."""
    folder.mkdir()
    model.save_pretrained(folder)
    for name, about in more.items():
        (folder / f"{name}.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="module")
def transformers():
    try:
        return import_transformers()
    except ModuleNotFoundError:
        pytest.skip("transformers is not installed")


@pytest.fixture(scope="module")
def bert(transformers, tmp_path_factory):
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=20, max_position_embeddings=12, initializer_range=0.5,
    )  # fmt: skip
    folder = written(tmp_path_factory.mktemp("models") / "bert", transformers.BertModel(config))
    pieces(folder)
    return folder


@pytest.fixture(scope="module")
def gpt(transformers, tmp_path_factory):
    torch.manual_seed(0)
    words = ["a", "[UNK]", "good", "bad", "bolt", "nut"]
    config = transformers.GPT2Config(
        vocab_size=len(words), n_embd=16, n_layer=2, n_head=2, n_positions=12,
        bos_token_id=None, eos_token_id=None, initializer_range=0.5,
    )  # fmt: skip
    folder = written(tmp_path_factory.mktemp("models") / "gpt", transformers.GPT2Model(config))
    pieces(folder, words, pads=False)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    words = ["a", "[UNK]", "good", "bad", "bolt", "nut"]
    save_file({"table": torch.arange(12.0).view(6, 2).half()}, folder / "table.safetensors")
    pieces(folder, words, pads=False)
    return folder / "table.safetensors"


def rows(use, texts):
    return PieceEncoding.learn(texts, tokenizer(use)).of(texts)


# Transformers.


def test_features_are_the_mean_over_the_tokens_that_are_there(bert, gpt, transformers):
    for folder, more in ((bert, 0), (gpt, 1)):
        built = backbone(f"hf:{folder}", inputs=(4,)).eval()
        x = rows(built.use, ["a good bolt", "bad"])
        model = transformers.AutoModel.from_pretrained(folder).eval()
        with torch.no_grad():
            alone = [model(row[row > 0][None] - more).last_hidden_state.mean(1)[0] for row in x]
            assert torch.allclose(built(x), torch.stack(alone), atol=1e-5)
        assert built.width == 16
        assert not [name for name, _ in built.named_parameters() if "pooler" in name]


def test_padding_does_not_matter(bert, gpt):
    for folder in (bert, gpt):
        built = backbone(f"hf:{folder}").eval()
        x = rows(built.use, ["a good bolt", "bad", "bad nut"])
        zeros = torch.zeros(3, 4, dtype=torch.long)
        with torch.no_grad():
            z, layers = built(x), hs.models.AtAllCuts(built, cuts(built))
            for other in (torch.cat([x, zeros], 1), torch.cat([zeros, x], 1)):
                assert torch.allclose(built(other), z, atol=1e-5)
                assert torch.allclose(layers(other), layers(x), atol=1e-5)
            assert torch.allclose(torch.cat([built(row[None]) for row in x]), z, atol=1e-5)
            assert built(zeros).isfinite().all()


def test_a_bert_without_padding_in_its_numbers_gets_its_own(transformers, tmp_path):
    config = transformers.RobertaConfig(
        vocab_size=12, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        max_position_embeddings=8, pad_token_id=1, initializer_range=0.5,
    )  # fmt: skip
    folder = written(tmp_path / "roberta", transformers.RobertaModel(config))
    pieces(folder)
    built, model = backbone(f"hf:{folder}").eval(), transformers.AutoModel.from_pretrained(folder).eval()
    text = json.loads(built.tokenizer)
    assert (text["truncation"]["max_length"], text["padding"]) == (6, None)
    with torch.no_grad():
        given = model(torch.tensor([[2, 4, 3]])).last_hidden_state.mean(1)
        assert torch.allclose(built(torch.tensor([[3, 5, 4, 0, 0]])), given, atol=1e-5)


def test_pooling_is_read_beside_the_model(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "sentences")
    (folder / "1_Pooling").mkdir()
    about = {
        "word_embedding_dimension": 16,
        "pooling_mode_cls_token": True,
        "pooling_mode_mean_tokens": False,
    }
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(about))
    modules = [{"type": f"sentence_transformers.models.{n}"} for n in ("Transformer", "Pooling", "Normalize")]
    (folder / "modules.json").write_text(json.dumps(modules))
    built = backbone(f"hf:{folder}").eval()
    x = rows(built.use, ["a good bolt"])
    plain = backbone(f"hf:{bert}", settings={"pooling": "cls"}).eval()
    assert torch.allclose(built(x).norm(dim=1), torch.ones(1))
    assert built.compared  # lengths that are made 1 are made to be compared
    assert not plain.compared
    assert torch.allclose(built(x), nn.functional.normalize(plain(x), dim=1), atol=1e-6)
    (folder / "modules.json").write_text(
        json.dumps([*modules, {"type": "sentence_transformers.models.Dense"}])
    )
    with pytest.raises(ValueError, match="found Dense"):
        backbone(f"hf:{folder}")


def test_new_weights_are_of_the_same_architecture(bert):
    known, new = backbone(f"hf:{bert}"), backbone(f"hf:{bert}", weights=None)
    assert known.settings == new.settings
    names = [name for name, value in known.named_parameters() if value.ndim == 2]
    own = dict(new.named_parameters())
    assert not any(torch.equal(known.get_parameter(name), own[name]) for name in names)


def test_a_checkpoint_without_a_layer_is_refused(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "part")
    state = {n: v for n, v in load_file(folder / "model.safetensors").items() if ".layer.1." not in n}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"16 missing \(encoder\.layer\.1\."):
        backbone(f"hf:{folder}")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="weights of the model"):
        backbone(f"hf:{folder}")
    assert backbone(f"hf:{folder}", weights=None).width == 16


def test_a_file_of_tensors_is_read_without_unpickling_objects(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "bin")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    x = rows(f"hf:{bert}", ["a good bolt"])
    assert torch.equal(backbone(f"hf:{folder}").eval()(x), backbone(f"hf:{bert}").eval()(x))
    torch.save(state | {"code": Planted()}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="weights of the model"):
        backbone(f"hf:{folder}")


class Planted:
    def __reduce__(self):
        return print, ("this must not run",)


def test_from_the_hub_or_its_cache_or_told_at_once(bert, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(hub, "answers", lambda host: False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"small/bert.*no network.*name a folder"):
        backbone("hf:small/bert")
    (tmp_path / "models--small--bert" / "refs").mkdir(parents=True)
    (tmp_path / "models--small--bert" / "refs" / "main").write_text("abc")
    shutil.copytree(bert, tmp_path / "models--small--bert" / "snapshots" / "abc")
    assert backbone("hf:small/bert").tokenizer == tokenizer(f"hf:{bert}")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        backbone("hf:./nowhere/at/all")


def test_every_layer_can_be_cut_behind(bert, gpt):
    for folder, names in ((bert, "encoder.layer."), (gpt, "h.")):
        built = freeze(backbone(f"hf:{folder}"))
        assert cuts(built)[:2] == [f"{names}0", f"{names}1"]
        x = rows(built.use, ["a good bolt", "bad"])
        z = hs.models.AtAllCuts(built, [f"{names}0"])(x)
        assert torch.equal(cut(built, f"{names}0", x)(x), z)


def test_a_saved_model_needs_no_folder(bert, tmp_path):
    folder = shutil.copytree(bert, tmp_path / "bert")
    built = backbone(f"hf:{folder}")
    text = tokenizer(built.use)
    encoding = PieceEncoding.learn(["a good bolt"], text)
    for name, trunk in (
        ("whole", built),
        ("part", cut(backbone(f"hf:{folder}"), "encoder.layer.1", encoding.of(["a"]))),
    ):
        net = Net(trunk, {"tone": nn.Linear(16, 2)}).eval()
        save(net, tmp_path / name, kinds={"tone": Multiclass(["neg", "pos"])}, encoding=encoding)
        texts = ["bad nuts", "a good bolt"]
        expected = net(encoding.of(texts), "tone")
        hidden = folder.rename(tmp_path / "away")
        assert torch.equal(load(tmp_path / name).net(encoding.of(texts), "tone"), expected)
        model = hs.load(tmp_path / name, device="cpu")
        assert torch.allclose(model.predict_proba(texts).float(), expected.softmax(1))
        again = backbone(f"file:{tmp_path / name}")
        assert again.tokenizer == tokenizer(f"file:{tmp_path / name}") == text
        hidden.rename(folder)


def test_a_model_of_text_is_exported_with_its_tokenizer_in_words(bert, tmp_path):
    use = f"hf:{bert}"
    texts = ["a good bolt", "bad nuts .", "a bad bolt and a nut ."]
    encoding = PieceEncoding.learn(texts, tokenizer(use)).asking("parts", Multiclass(["good", "bad"]))
    torch.manual_seed(0)
    net = Net(freeze(backbone(use)), {"parts": nn.Linear(16, 2)})
    save(net, tmp_path / "m", kinds={"parts": Multiclass(["good", "bad"])}, encoding=encoding)
    model = hs.load(tmp_path / "m")
    file = model.export(tmp_path / "parts.pt2", encoding.of(texts))
    assert "tokenizer.json" in (tmp_path / "parts.pt2.md").read_text()
    made = torch.export.load(file).module()(encoding.of(texts[:1]))
    answers = made["parts"] if isinstance(made, dict) else made[0]
    assert answers.argmax(1).tolist() == [["good", "bad"].index(model.predict(texts[:1])[0])]
    assert (encoding.made_up(50, torch.Generator().manual_seed(0)) < len(PIECES) + 1).all()


def test_building_leaves_the_global_random_state(bert):
    before = torch.get_rng_state()
    backbone(f"hf:{bert}")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": "other.safetensors"}, '"default" or None'),
        ({"settings": {"poling": "mean"}}, 'did you mean "pooling"'),
        ({"settings": {"pooling": "max"}}, '"mean" or "cls"'),
        ({"inputs": (3, 8, 8)}, "of shape"),
        ({"inputs": (13,), "settings": {}}, ""),
    ],
)
def test_what_is_wrong_is_told(bert, changes, words):
    if not words:  # of padding alone there is nothing too long
        assert backbone(f"hf:{bert}", **changes).width == 16
        return
    with pytest.raises(ValueError, match=words):
        backbone(f"hf:{bert}", **changes)


def test_other_rows_are_told(bert, tmp_path):
    built = backbone(f"hf:{bert}")
    with pytest.raises(ValueError, match="found 0 to 11"):
        built(torch.tensor([[2, 11, 0]]))
    with pytest.raises(ValueError, match="at most 12 tokens; found 13"):
        built(torch.full((1, 13), 5))
    with pytest.raises(ValueError, match="float32"):
        built(torch.zeros(1, 3))
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match=r"with config\.json"):
        backbone(f"hf:{tmp_path / 'x'}")


def test_a_model_of_neither_texts_nor_images_is_refused(transformers, tmp_path):
    config = transformers.T5Config(vocab_size=9, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    folder = written(tmp_path / "t5", transformers.T5Model(config))
    with pytest.raises(ValueError, match="an encoder or a decoder of text"):
        backbone(f"hf:{folder}")


# Word vectors.


def test_a_text_is_the_mean_of_its_words(table):
    built = backbone(f"words:{table}", inputs=(3,))
    x = rows(built.use, ["a good", "nut", ""])
    assert x.tolist() == [[1, 3], [6, 0], [0, 0]]
    assert built(x).tolist() == [[2.0, 3.0], [10.0, 11.0], [0.0, 0.0]]
    assert built.table.weight.dtype == torch.float32
    net = Net(built, {"a": nn.Linear(2, 2)})
    net(x, "a").sum().backward()
    assert built.table.weight.grad.isfinite().all()


def test_word_vectors_are_saved_and_drawn_anew(table, tmp_path):
    net = Net(backbone(f"words:{table}"), {"a": nn.Linear(2, 2)})
    save(net, tmp_path / "model", kinds={"a": Multiclass(2)})
    x = torch.tensor([[1, 3]])
    assert torch.equal(load(tmp_path / "model").net(x, "a"), net(x, "a"))
    new = backbone(f"words:{table}", weights=None)
    assert new.settings == net.backbone.settings
    assert not torch.equal(new(x), net.backbone(x))


def test_what_is_wrong_with_word_vectors_is_told(table, tmp_path):
    other = tmp_path / "table.safetensors"
    save_file({"table": torch.zeros(6, 2), "more": torch.zeros(2)}, other)
    with pytest.raises(ValueError, match="one table"):
        backbone(f"words:{other}")
    save_file({"table": torch.zeros(6, 2)}, other)
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json in"):
        backbone(f"words:{other}")
    beside = table.with_name("tokenizer.json")
    assert backbone(f"words:{other}", settings={"tokenizer": str(beside)}).width == 2
    (tmp_path / "tokenizer.json").write_text("no JSON")
    with pytest.raises(ValueError, match="the JSON of a tokenizer"):
        backbone(f"words:{other}")
    with pytest.raises(FileNotFoundError, match="nothing at"):
        backbone(f"words:{tmp_path / 'none.safetensors'}")


# Rows.


def reviews(path, count=12, first=0):
    lines = ["text\tlabel\tsplit"]
    ends = list(product(["nuts", "bolt", "a", "nut", "."], repeat=2))
    for i in range(first, first + count):
        tone, (one, two) = ("good", "bad")[i % 2], ends[i // 2]
        lines.append(f"{tone} {one} {two}\t{tone}\t{'test' if i % 4 > 1 else 'train'}")
    path.write_text("\n".join(lines))


def test_texts_are_cut_by_the_tokenizer_of_the_backbone(bert, tmp_path):
    reviews(tmp_path / "a.tsv")
    text = tokenizer(f"hf:{bert}")
    (task,) = read("text:a.tsv#label", base=tmp_path, tokens=text)
    assert task.train.x[1].tolist() == [2, 6, 8, 9, 8, 9, 3]
    facts = task.encoding.facts()
    assert (facts["vocabulary"], facts["special"]) == (11, [0, 1, 2, 3])
    (tmp_path / "new.txt").write_text("bad nuts.\na a a a a a a a\n")
    again = encoding_from_json(json.loads(json.dumps(task.encoding.to_json())))
    assert again == task.encoding.asking(task.name, task.kind)
    with pytest.warns(UserWarning, match="of 1 of 2 texts only the first 7 tokens are read"):
        x = encode("new.txt", again, base=tmp_path)
    assert x.tolist() == [[2, 6, 8, 9, 10, 3, 0], [2, 4, 4, 4, 4, 4, 3]]  # the marker of the end stays
    with pytest.raises(ValueError, match="numbers from 0 to 10"):
        again.rows(torch.full((1, 7), 11))
    from_file = read("text:a.tsv#label", base=tmp_path, tokens=bert / "tokenizer.json")[0]
    assert from_file.train.x[1].tolist() == [3, 7, 9, 10, 9, 10, 4]  # that does not say that it pads with 0


def test_a_frame_is_cut_as_a_file_is(bert):
    pandas = pytest.importorskip("pandas")
    notes = {"note": ["a good bolt", "bad nuts"], "label": ["x", "y"], "split": ["train", "test"]}
    frame = pandas.DataFrame(notes)
    text = tokenizer(f"hf:{bert}")
    (task,) = from_frame(frame, label="label", text="note", tokens=text)
    assert [task.train.x.tolist(), task.test.x.tolist()] == [[[2, 4, 5, 7, 3]], [[2, 6, 8, 9, 3]]]
    with pytest.raises(ValueError, match="no column of text"):
        from_frame(frame, label="label", tokens=text)


@pytest.mark.parametrize(
    ("reference", "tokens", "error"),
    [
        ("digits", "{}", "given for text only"),
        ("csv:a.tsv#label", "{}", 'write "text:"'),
        ("text:a.tsv#label", '{"model": 1}', "of the library `tokenizers`"),
        ("text:a.tsv#label", "nowhere.json", "nothing at"),
    ],
)
def test_where_a_tokenizer_does_not_fit_it_is_told(reference, tokens, error, tmp_path):
    reviews(tmp_path / "a.tsv")
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        read(reference, base=tmp_path, tokens=tokens)


def test_a_problem_file_cuts_all_texts_by_the_backbone(bert, tmp_path):
    from headstart.problems import load_problem

    reviews(tmp_path / "a.tsv")
    reviews(tmp_path / "b.tsv", 24, 12)
    shutil.copytree(bert, tmp_path / "bert")
    (tmp_path / "p.toml").write_text(
        '[target]\ndata = "text:a.tsv#label"\n[[sources]]\ndata = "text:b.tsv#label"\n'
        '[backbone]\nuse = "hf:bert"\n[budget]\nsteps = 2\npretrain = 2\noptions = 1\n'
    )
    problem = load_problem(tmp_path / "p.toml").problem()
    assert problem.sources[0].encoding.facts()["tokenizer"] == problem.start.tokenizer()
    ways = ["features+logreg", "features@layer+logreg", "tfidf+logreg", "finetune", "scratch"]
    result = hs.compare(problem, ways, 1, out=tmp_path / "run", baseline="scratch", progress=False)
    shutil.rmtree(tmp_path / "bert")
    assert len(result.rows) == len(ways)
    for way in ways:
        model = hs.load(tmp_path / "run" / "models" / way)
        assert len(model.predict(["a good bolt", "bad bolt"])) == 2
    (tmp_path / "p.toml").write_text('[target]\ndata = "digits"\n[backbone]\nuse = "hf:bert"\n')
    shutil.copytree(bert, tmp_path / "bert")
    with pytest.raises(ValueError, match="given for text only"):
        load_problem(tmp_path / "p.toml").problem()


def test_rows_cut_into_words_are_refused(bert, tmp_path):
    reviews(tmp_path / "a.tsv")
    (task,) = read("text:a.tsv#label", base=tmp_path)
    for use in (f"hf:{bert}", backbone(f"hf:{bert}")):
        with pytest.raises(ValueError, match=r"cut into words.*hs\.models\.tokenizer"):
            start(use).build(facts=task.encoding.facts())
    with pytest.raises(ValueError, match="found none"):
        tokenizer("conv4")


def test_marks_of_a_tokenizer_are_no_words(bert, tmp_path):
    reviews(tmp_path / "a.tsv")
    (task,) = read("text:a.tsv#label", base=tmp_path, tokens=tokenizer(f"hf:{bert}"))
    problem = hs.Problem(task, backbone=f"hf:{bert}")
    trial = hs.strategies.Trial(problem, {"C": 1.0}, 0)
    trunk = hs.strategies.STRATEGIES["tfidf+logreg"].run(trial).net.backbone
    z = trunk(torch.tensor([[2, 5, 8, 3]]))
    assert z.nonzero()[:, 1].tolist() == [5, 8]


# Real weights.


def real(name):
    there = wheel.place(name).exists()
    return pytest.mark.skipif(not there, reason=f"no real weights: run `headstart weights {name}`")


@real("minilm")
def test_the_real_net_knows_what_is_alike(transformers):
    built = backbone("wheel:minilm").eval()
    with torch.no_grad():
        z = built(rows("wheel:minilm", SENTENCES))
    assert (z @ z.T)[0, 1:].tolist() == pytest.approx([0.7553, -0.105], abs=1e-3)


@real("minilm")
def test_the_real_net_is_saved_without_its_place(transformers, tmp_path, monkeypatch):
    built = backbone("wheel:minilm")
    encoding = PieceEncoding.learn(SENTENCES, built.tokenizer)
    net = Net(built, {"a": nn.Linear(384, 2)}).eval()
    save(net, tmp_path / "model", kinds={"a": Multiclass(2)}, encoding=encoding)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "empty"))
    x = encoding.of(SENTENCES)
    assert torch.equal(load(tmp_path / "model").net(x, "a"), net(x, "a"))
    assert "hscache" not in (tmp_path / "model" / "model.json").read_text()


@real("minilm")
def test_the_real_net_tells_its_licence(transformers):
    assert "Apache-2.0" in backbone("wheel:minilm").licence


@real("wordllama")
def test_real_word_vectors_know_what_is_alike():
    pytest.importorskip("tokenizers")
    built = backbone("wheel:wordllama")
    z = nn.functional.normalize(built(rows("wheel:wordllama", SENTENCES)), dim=1)
    assert (z @ z.T)[0, 1:].tolist() == pytest.approx([0.707, -0.0318], abs=1e-3)


@pytest.mark.parametrize("name", ["minilm", "wordllama"])
def test_what_is_not_fetched_says_how(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    for ask in (backbone, tokenizer):
        with pytest.raises(FileNotFoundError, match=f"headstart weights {name}"):
            ask(f"wheel:{name}")


def test_a_package_is_unpacked_whole_or_not_at_all(table, tmp_path, monkeypatch):
    """A folder is kept under the names that the table of packages says, and nothing beside it."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    packed = tmp_path / "words.whl"
    known = wheel.WHEELS["wordllama"]
    with zipfile.ZipFile(packed, "w") as archive:
        for member, name in known.members.items():
            archive.write(table.with_name(name), member)
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    monkeypatch.setitem(wheel.WHEELS, "wordllama", replace(known, sha256=digest))
    monkeypatch.setattr(wheel, "_downloaded", lambda of, folder: packed)
    assert wheel.fetch("wordllama") == wheel.fetch("wordllama") == tmp_path / "weights" / "wordllama"
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["wordllama"]
    assert backbone("wheel:wordllama").use == "wheel:wordllama"
    known = replace(known, sha256=digest, members={**known.members, "missing": "missing"})
    monkeypatch.setitem(wheel.WHEELS, "wordllama", replace(known, kept="other"))
    with pytest.raises(KeyError):
        wheel.fetch("wordllama")
    assert [path.name for path in (tmp_path / "weights").iterdir()] == ["wordllama"]
