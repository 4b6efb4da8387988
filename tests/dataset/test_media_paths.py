"""Pictures and videos: at which place of which turn, and in which folder."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from trainer.dataset.conversation import Conversation, Media, Part, Row, RowProblem, Text
from trainer.dataset.files import Item
from trainer.dataset.info import parse_entry
from trainer.dataset.rows import Reading, RowReader

SHAREGPT = {"formatting": "sharegpt"}
OPENAI = {"formatting": "openai"}
COLUMNS = {
    "columns": {"prompt": "q", "response": "a", "history": "h", "images": "images", "videos": "videos"}
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for name in ("1.png", "2.png", "3.png", "v.mp4", "sub/1.png", "sub/only.png"):
        (folder / name).write_bytes(b"x")
    return folder


def read(data: Path, row: Any, entry: dict[str, Any], **more: Any) -> Row | RowProblem:
    info = parse_entry(data, "mine", {"file_name": "rows.json", **entry})
    return RowReader(info, Reading(dataset_dir=str(data), **more)).read(Item(1, row))


def one(data: Path, row: Any, entry: dict[str, Any], **more: Any) -> Conversation:
    found = read(data, row, entry, **more)
    assert isinstance(found, Row), found.text
    return found.conversation


def parts(conversation: Conversation) -> list[tuple[Part, ...]]:
    return [each.parts for each in conversation.messages]


def test_marks_become_media_in_their_places(data: Path) -> None:
    one_png, two, three = (Media("image", data / f"{number}.png") for number in (1, 2, 3))
    video = Media("video", data / "v.mp4")
    row = {
        "h": [["See <image><image>", "A"]], "q": "<video>\nand <image> last", "a": "B",
        "images": ["1.png", "2.png", "3.png"], "videos": "v.mp4",
    }  # fmt: skip
    found = one(data, row, COLUMNS)
    assert parts(found) == [
        (Text("See "), one_png, two), (Text("A"),), (video, Text("\nand "), three, Text(" last")), (Text("B"),),
    ]  # fmt: skip
    assert found.media == (one_png, two, video, three)
    # Not a mark missing: all of them before the first question.
    row = {"h": [["Hi", "A"]], "q": "And?", "a": "B", "images": ["1.png", "2.png"], "videos": ["v.mp4"]}
    assert parts(one(data, row, COLUMNS))[:2] == [(one_png, two, video, Text("Hi")), (Text("A"),)]
    assert parts(one(data, {"q": "", "a": "B", "images": "1.png"}, COLUMNS))[0] == (one_png,)


def test_marks_in_chats_and_in_tools_results(data: Path) -> None:
    said = [
        ("human", "<image>?"),
        ("function_call", '{"name": "draw"}'),
        ("observation", "<image>"),
        ("gpt", "It."),
    ]
    row = {
        "conversations": [{"from": who, "value": what} for who, what in said],
        "images": ["1.png", "2.png"],
    }
    first, second = (Media("image", data / f"{number}.png") for number in (1, 2))
    assert parts(one(data, row, SHAREGPT)) == [(first, Text("?")), (), (second,), (Text("It."),)]


def test_parts_name_their_media_or_take_the_next_of_the_column(data: Path) -> None:
    first, second = (Media("image", data / f"{number}.png") for number in (1, 2))
    url = "data:image/png;base64," + base64.b64encode(b"pixels").decode()
    content = [
        {"type": "text", "text": "a"}, {"type": "image", "image": "1.png"}, {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}}, {"type": "image_url", "image_url": url},
        {"type": "image", "path": "2.png"}, {"type": "video", "video": ["1.png", "2.png"]}, {"type": "image", "bytes": b"x"},
    ]  # fmt: skip
    row = {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "c"}]}
    pixels = Media("image", data=b"pixels")
    frames = Media("video", frames=(first, second))
    assert parts(one(data, row, OPENAI))[0] == (
        Text("a"), first, Text("b"), pixels, pixels, second, frames, Media("image", data=b"x"),
    )  # fmt: skip
    row["messages"][0]["content"] = [{"type": "image"}, {"type": "text", "text": "x<image>"}]
    row["images"] = ["1.png", "2.png"]
    assert parts(one(data, row, OPENAI))[0] == (first, Text("x"), second)


@pytest.mark.parametrize(
    ("value", "media"),
    [
        (["1.png"], Media("image", Path("1.png"))),
        ("1.png", Media("image", Path("1.png"))),
        ('["1.png"]', Media("image", Path("1.png"))),
        ({"bytes": None, "path": "1.png"}, Media("image", Path("1.png"))),
        ([{"bytes": b"x", "path": "gone.png"}], Media("image", data=b"x")),
        ([b"x"], Media("image", data=b"x")),
        (b"x", Media("image", data=b"x")),
    ],
)  # fmt: skip
def test_a_column_of_media_in_every_shape(data: Path, value: Any, media: Media) -> None:
    found = one(data, {"q": "<image>", "a": "b", "images": value}, COLUMNS).media
    assert found == ((Media("image", data / media.path) if media.path else media),)


def test_videos_are_files_or_lists_of_frames(data: Path) -> None:
    row = {"q": "<video><video>", "a": "b", "videos": [["1.png", "2.png"], {"path": "v.mp4"}]}
    frames = tuple(Media("image", data / f"{number}.png") for number in (1, 2))
    assert one(data, row, COLUMNS).media == (Media("video", frames=frames), Media("video", data / "v.mp4"))


def test_marks_are_words_where_there_is_no_such_column(data: Path) -> None:
    row = {"q": "What does <video> do in HTML? <image>", "a": "<video> shows a film."}
    entry = {"columns": {"prompt": "q", "response": "a"}}
    assert parts(one(data, row, entry)) == [(Text(row["q"]),), (Text(row["a"]),)]
    plain = {"instruction": row["q"], "output": row["a"]}
    assert parts(one(data, plain, {})) == parts(one(data, row, entry))
    problem = read(data, row, COLUMNS)
    assert isinstance(problem, RowProblem) and problem.code == "row_media_count"


def test_beside_the_file_then_the_media_folder_then_the_data_folder_and_never_here(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, media = tmp_path / "here", tmp_path / "media"
    for folder, names in ((here, ("here.png", "1.png")), (media, ("m.png", "only.png", "3.png"))):
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"x")
    monkeypatch.chdir(here)
    below = {**COLUMNS, "file_name": "sub/rows.json"}

    def place(name: str, **more: Any) -> Path | None:
        return one(data, {"q": "<image>", "a": "b", "images": name}, below, **more).media[0].path

    assert place("1.png") == data / "sub" / "1.png"
    assert place("2.png") == data / "2.png"
    assert place("sub/only.png") == data / "sub" / "only.png"
    assert place("only.png", media_dir=str(media)) == data / "sub" / "only.png"
    assert place("3.png", media_dir=str(media)) == media / "3.png"
    assert place("m.png", media_dir=str(media)) == media / "m.png"
    assert place("only.png", media_dir="sub") == data / "sub" / "only.png"
    assert place("../v.mp4") == data / "sub" / ".." / "v.mp4"
    assert place(str(here / "here.png")) == here / "here.png"
    problem = read(data, {"q": "<image>", "a": "b", "images": "here.png"}, below)
    assert isinstance(problem, RowProblem) and problem.code == "row_media_missing"
    assert problem.text == "mine, row 1: images names 'here.png', which is not there."


def test_links(data: Path) -> None:
    (data / "good.png").symlink_to(data / "1.png")
    (data / "gone.png").symlink_to(data / "none.png")
    (data / "loop.png").symlink_to(data / "loop.png")
    assert one(data, {"q": "<image>", "a": "b", "images": "good.png"}, COLUMNS).media
    for name, code in (
        ("gone.png", "row_media_link"),
        ("loop.png", "row_media_name"),
        ("1.png/x", "row_media_missing"),
    ):
        problem = read(data, {"q": "<image>", "a": "b", "images": [name]}, COLUMNS)
        assert isinstance(problem, RowProblem) and problem.code == code
        assert f"images[1] names {name!r}" in problem.text
