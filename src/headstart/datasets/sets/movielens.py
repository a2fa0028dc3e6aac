"""MovieLens: what people thought of films."""

from __future__ import annotations

import dataclasses
import re
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import wrong
from ...tasks import Task
from ..options import LabelKind, Options, Reader
from ..readers.files import Table, parse_csv
from ..readers.tables import encode_columns, table_tasks
from .home import locate
from .recipe import Content, Recipe, Source

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama",
    "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
YEAR = re.compile(r"\((\d{4})\)\s*$")
FILES = ("ratings.csv", "movies.csv")
LIKED = 4.0  # stars from which on a film was liked


def read(argument: str, options: Options) -> list[Task]:
    """Read ``movielens``: two tasks on one tensor, the stars that a user gave a film, and if he liked it.

    A row is a user, a film, its year and its genres; users and films are ids. A film with 4 stars or more was
    liked. ``movielens`` alone is the set of 100,000 ratings of 1998, fetched from its public home, since it
    may not be passed on; ``movielens:FOLDER`` reads ``ratings.csv`` and ``movies.csv`` as later releases
    have them. ``SplitSpec(group="user")`` keeps users apart, so that those of the test part are new;
    ``group="film"`` does so with films.

    References:
        Harper & Konstan (TiiS 2015), https://doi.org/10.1145/2827872
    """
    if argument:
        files, where = [options.base / argument / name for name in FILES], f"`{options.base / argument}`"
        if missing := [file.name for file in files if not file.is_file()]:
            hint, found = "name a folder as it comes out of the archive", f"no {missing[0]}"
            expected = f"a folder with {' and '.join(FILES)}"
            raise wrong(where, expected=expected, found=found, hint=hint, error=FileNotFoundError)
    else:
        files, where = [locate(f"movielens/{name}", RECIPES) for name in FILES], "`movielens`"
    ratings, films = (parse_csv(f.read_text("utf-8"), f"{f.name} of {where}") for f in files)
    table = joined(ratings, films, where)
    kinds: dict[str, LabelKind] = {"rating": "numbers", "liked": "classes"}
    asked = dataclasses.replace(options, kinds=kinds, ids=("user", "film"))
    return table_tasks(table, ["rating", "liked"], asked, "csv", partial(encode_columns, ids=asked.ids))


def joined(ratings: Table, films: Table, where: str) -> Table:
    """Put year and genres of its film beside each rating."""
    ratings.check_columns(["userId", "movieId", "rating"], ", as MovieLens has them")
    films.check_columns(["movieId", "title", "genres"], ", as MovieLens has them")
    about: dict[str, tuple[str | None, set[str]]] = {}
    told = [map(str, films.column(name)) for name in ("movieId", "title", "genres")]
    for film, title, genres in zip(*told, strict=True):
        found = YEAR.search(title)
        about[film] = (found[1] if found else None, set(genres.split("|")))
    of_rows = [about.get(str(film), (None, set())) for film in ratings.column("movieId")]
    named = sorted(set().union(*(genres for _, genres in about.values())))
    stars = [float(value) for value in ratings.column("rating")]
    columns: dict[str, Any] = {
        "user": ratings.column("userId"),
        "film": ratings.column("movieId"),
        "year": [year for year, _ in of_rows],
        **{f"genre {name}": ["1" if name in genres else "0" for _, genres in of_rows] for name in named},
        "rating": [str(value) for value in stars],
        "liked": ["yes" if value >= LIKED else "no" for value in stars],
    }
    return Table(columns, where)


def make(raw: Sequence[Path]) -> list[Content]:
    """Write the tables of 1998 as later releases have them."""
    with zipfile.ZipFile(raw[0]) as archive:
        rated = archive.read("ml-100k/u.data").decode().split("\n")
        films = archive.read("ml-100k/u.item").decode("latin-1").split("\n")
    ratings = [",".join(line.split("\t")) for line in rated if line]
    about = []
    for line in films:
        if line:
            number, title, *_ = cells = line.split("|")
            genres = "|".join(name for name, flag in zip(GENRES, cells[5:], strict=True) if flag == "1")
            quoted = title.replace('"', '""')
            about.append(f'{number},"{quoted}",{genres}')
    tables = (["userId,movieId,rating,timestamp", *ratings], ["movieId,title,genres", *about])
    return ["\n".join([*lines, ""]).encode() for lines in tables]


RECIPES = (
    Recipe(
        ("movielens/ratings.csv", "movielens/movies.csv"),
        (
            Source(
                "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
                "md5:0e33842e24a9c977be4e0107933c0723",
            ),
        ),
        make,
    ),
)

READER = Reader(read, 'stars that users gave films: "movielens", "movielens:FOLDER"')
