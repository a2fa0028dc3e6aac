"""Columns of ids: numbers from 1 on, the same from every reader, kept with the model; and MovieLens."""

import json
import zipfile

import pytest
import torch

from headstart.datasets import SplitSpec, encode, encoding_from_json, from_frame, read
from headstart.datasets.sets import movielens

HEAD = "user,item,price,stars,split\n"
ROWS = "u1,007,1.5,4,train\nu2,007,2.5,1,train\nu1,12,3.5,5,train\nu2,12,0.5,2,train\n"
TEST = "u9,7,1.5,4,test\nu2,12,,3,test\n"


@pytest.fixture
def table(tmp_path):
    (tmp_path / "a.csv").write_text(HEAD + ROWS + TEST)
    return tmp_path


def test_ids_become_numbers_and_what_training_did_not_have_is_0(table):
    (task,) = read("csv:a.csv#stars", base=table, ids=["user", "item"], kind="numbers")
    assert task.train.x[:, :2].tolist() == [[1, 1], [2, 1], [1, 2], [2, 2]]
    assert task.test.x[:, :2].tolist() == [[0, 0], [2, 2]]  # "7" is not "007"
    assert task.encoding.facts() == {"ids": {"0": 2, "1": 2}}


def test_they_are_kept_with_the_model_and_read_alike_from_other_readers(table):
    pandas = pytest.importorskip("pandas", reason="needs the extra `tables`")
    (task,) = read("csv:a.csv#stars", base=table, ids=["user", "item"], kind="numbers")
    known = encoding_from_json(json.loads(json.dumps(task.encoding.to_json())))
    assert torch.equal(encode(table / "a.csv", known)[:4], task.train.x)
    frame = pandas.DataFrame({"user": ["u2"], "item": ["12"], "price": [0.5]})
    assert torch.equal(known.rows(frame), task.train.x[3:])
    whole = pandas.read_csv(table / "a.csv", dtype={"item": str})
    (again,) = from_frame(whole, label="stars", ids=["user", "item"], kind="numbers")
    assert torch.equal(again.train.x, task.train.x)


def test_ids_that_are_no_columns_or_of_no_table_are_refused(table):
    with pytest.raises(ValueError, match="usr"):
        read("csv:a.csv#stars", base=table, ids=["usr"])
    with pytest.raises(ValueError, match="`ids` should be given for tables only"):
        read("digits", ids=["user"])


RATINGS = "userId,movieId,rating,timestamp\n" + "".join(
    f"{user},{film},{1 + (user * film) % 9 / 2},{user}\n" for user in range(1, 9) for film in (10, 20, 30)
)
MOVIES = (
    'movieId,title,genres\n10,"Heat, The (1995)",Action|Crime\n20,Naked,Drama\n30,Up (2009),Drama|Action\n'
)


@pytest.fixture
def films(tmp_path):
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "ratings.csv").write_text(RATINGS)
    (tmp_path / "ml" / "movies.csv").write_text(MOVIES)
    return tmp_path


def test_movielens_is_two_tasks_on_one_table(films):
    stars, liked = read("movielens:ml", base=films)
    assert (stars.name, liked.name) == ("rating", "liked")
    assert stars.train.x is liked.train.x or torch.equal(stars.train.x, liked.train.x)
    assert ((stars.train.y >= 4) == (liked.train.y == list(liked.kind.classes).index("yes"))).all()
    assert stars.encoding.facts()["ids"].keys() == {"0", "1"}
    assert list(stars.encoding.features) == [
        "user",
        "film",
        "year",
        "genre Action",
        "genre Crime",
        "genre Drama",
    ]


def test_users_kept_apart_are_new(films):
    stars, _ = read("movielens:ml", base=films, split=SplitSpec(test=0.25, group="user"))
    assert not stars.test.x[:, 0].any()
    assert stars.test.x[:, 1].all()


def test_the_files_of_1998_are_made_into_the_tables_of_today(tmp_path):
    flags = "|".join("1" if name in ("Drama", "War") else "0" for name in movielens.GENRES)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("ml-100k/u.data", "7\t1\t3\t880606923\n8\t1\t5\t880606924\n")
        title = 'L"A Café (1950)'.encode("latin-1")
        archive.writestr(
            "ml-100k/u.item", b"1|" + title + b"|01-Jan-1950||http://x|" + flags.encode() + b"\n"
        )
    ratings, films = (made.decode() for made in movielens.make([tmp_path / "a.zip"]))
    assert ratings == "userId,movieId,rating,timestamp\n7,1,3,880606923\n8,1,5,880606924\n"
    assert films == 'movieId,title,genres\n1,"L""A Café (1950)",Drama|War\n'


def test_a_folder_without_the_files_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no ratings\.csv"):
        read("movielens:nothing", base=tmp_path)
