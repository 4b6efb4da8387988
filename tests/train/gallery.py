"""Rows with pictures for tests of training, drawn here: in any turn, several in one, none, and a short film."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.dataset import shots
from tests.train.tiny import WORDS

COLUMNS = {
    "mixed": ("messages", "images"), "shown": ("messages", "images"), "said": ("messages",),
    "films": ("messages", "images", "videos"),
}  # fmt: skip
TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}


def _words(start: int, length: int) -> str:
    return " ".join(WORDS[(start * 5 + place * 7) % len(WORDS)] for place in range(length))


def row(number: int, marks: tuple[int, ...]) -> dict[str, Any]:
    """A conversation with so many pictures in each of its turns."""
    messages = []
    for turn, count in enumerate(marks):
        messages += [
            {"role": "user", "content": "<image>" * count + _words(number + turn, 1 + number % 4)},
            {"role": "assistant", "content": _words(number + turn + 3, 1 + (number * 3) % 7)},
        ]
    return {"messages": messages, "images": [f"{(number + at) % 6}.png" for at in range(sum(marks))]}


MARKS = ((1,), (0,), (2,), (0, 1), (0, 0), (1,), (1, 1), (0,))


def save(folder: Path) -> Path:
    """The datasets `mixed` (12 rows, some without pictures), `shown` (one picture in each), `said` (none), `films`."""
    for number in range(6):
        picture = shots.drawn(40 + 9 * number, 60 - 5 * number)
        (folder / f"{number}.png").write_bytes(shots.written(picture))
    (folder / "film.mp4").write_bytes(shots.film(8, 4))
    film = {**row(2, (0,)), "videos": ["film.mp4"]}
    film["messages"][0]["content"] = "<video>" + film["messages"][0]["content"]
    found = {
        "mixed": [row(number, MARKS[number % len(MARKS)]) for number in range(12)],
        "shown": [row(number, (1,)) for number in range(8)],
        "said": [row(number, (0,)) for number in range(8)],
        "films": [film, row(3, (1,)), row(4, (0,))],
    }
    info = {}
    for name, rows in found.items():
        (folder / f"{name}.json").write_text(json.dumps(rows), encoding="utf-8")
        columns = {column: column for column in COLUMNS[name]}
        info[name] = {"file_name": f"{name}.json", "formatting": "sharegpt", "columns": columns, "tags": TAGS}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return folder
