"""Pictures that wait to be sent and those in a conversation: taken, refused, counted, drawn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest

from tests.dataset.shots import drawn, film, giant, written
from tests.webui.test_panel import EVIL, Elements
from trainer.chat.engine import ChatEngine
from trainer.chat.request import Chunk
from trainer.dataset.conversation import Media
from trainer.errors import UserError
from webui.i18n import LANGUAGES
from webui.pictures import MOST, Tray, Uploads, receive, recounted, refused, tray_html
from webui.talk import Talk, talk_html


class Model:
    """An engine that takes what it is told to and counts each picture as seven tokens, or has nothing loaded."""

    def __init__(self, *sees: str, loaded: bool = True) -> None:
        self.loaded = object() if loaded else None
        self._sees = sees

    def cost(self, media: Media) -> int:
        if media.kind not in self._sees:
            raise UserError("chat_no_video" if self._sees else "chat_no_eyes")
        return 7


def engine(*sees: str, loaded: bool = True) -> ChatEngine:
    return cast(ChatEngine, Model(*sees, loaded=loaded))


@pytest.fixture
def uploads() -> Uploads:
    return Uploads()


def sent(folder: Path, **files: bytes) -> list[Path]:
    """Files as Gradio leaves them; `_` in a name is a dot."""
    paths = []
    for name, data in files.items():
        paths.append(folder / name.replace("_", "."))
        paths[-1].write_bytes(data)
    return paths


def test_files_are_moved_and_counted_and_removed_with_their_picture(tmp_path: Path, uploads: Uploads) -> None:
    paths = sent(tmp_path, red_png=written(drawn()), clip_bin=film(8))
    tray = receive(Tray(), uploads, engine("image", "video"), "../../page", paths)
    assert [(each.name, each.media.kind, each.tokens) for each in tray.pictures] == [
        ("red.png", "image", 7), ("clip.bin", "video", 7),
    ]  # fmt: skip
    assert not any(path.exists() for path in paths), "nothing stays where Gradio serves from"
    kept = [cast(Path, each.media.path) for each in tray.pictures]
    assert all(path.is_file() and ".." not in path.parts for path in kept)
    assert tray.without(tray.pictures[0].id).pictures == tray.pictures[1:]
    uploads.drop(tray.pictures[:1])
    assert [path.exists() for path in kept] == [False, True]


def test_what_cannot_be_shown_is_told_and_removed(tmp_path: Path, uploads: Uploads) -> None:
    broken = sent(
        tmp_path, cut_png=written(drawn())[:90], bomb_png=giant(60_000, 60_000), text_jpg=b"hello", clip_mp4=film(8)
    )  # fmt: skip
    good = sent(tmp_path, good_png=written(drawn()))
    tray = receive(Tray(), uploads, engine("image"), "page", [*broken, *good])
    assert [each.name for each in tray.pictures] == ["good.png"]
    codes = ["chat_media_truncated", "chat_media_large", "chat_media_unknown", "chat_no_video"]
    assert [each.code for each in tray.problems] == codes
    for problem, path in zip(tray.problems[:3], broken, strict=False):
        assert path.name in problem.text and str(tmp_path) not in problem.text

    many = sent(tmp_path, **{f"n{at}_png": written(drawn()) for at in range(MOST + 2)})
    full = receive(Tray(), uploads, engine("image"), "page", many)
    assert len(full.pictures) == MOST and [each.code for each in full.problems] == ["chat_media_many"]
    assert not any(path.exists() for path in [*broken, *good, *many])


def test_another_model_counts_anew(tmp_path: Path, uploads: Uploads) -> None:
    waiting = receive(
        Tray(), uploads, engine(loaded=False), "page", sent(tmp_path, a_png=written(drawn()))
    )  # fmt: skip
    assert waiting.pictures[0].tokens is None and not waiting.problems
    assert recounted(engine("image"), waiting).pictures[0].tokens == 7
    blind = recounted(engine(), waiting)
    assert blind.pictures == waiting.pictures and [each.code for each in blind.problems] == ["chat_no_eyes"]
    assert [each.code for each in refused(Tray()).problems] == ["chat_no_eyes"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_tray_and_the_history_draw_each_thumbnail_once(
    tmp_path: Path, uploads: Uploads, lang: str
) -> None:
    (tmp_path / "sub").mkdir()
    evil = tmp_path / 'a"><b>.png'
    evil.write_bytes(written(drawn()))
    tray = receive(Tray(), uploads, engine("image"), "page", [evil])
    picture = tray.pictures[0]
    talk = Talk().asked(EVIL, ["base", "tuned"], tray.pictures)
    talk = talk.heard(Chunk("base", "A", "end", 1, 1.0)).asked("", ["base", "tuned"], tray.pictures)
    html = tray_html(tray, talk.pictures, ("image",), lang, limit=5)
    assert html.count("base64,") == 1
    found = Elements(html)
    assert "b" not in found.names and "aria-disabled" not in found.buttons["attach"]
    assert found.buttons["remove"]["data-id"] == picture.id
    drawn_talk = talk_html(talk, {"base": "A", "tuned": "B"}, lang)
    assert drawn_talk.count(f"tb-thumb-{picture.id}") == 4 and "base64" not in drawn_talk
    assert drawn_talk.count("tb-question") == 2, "a message may be a picture alone"
    assert str(picture.media.path) not in html + drawn_talk, "the page knows ids and names only"
    assert re.search(r"\b7\b|7", drawn_talk)
    assert talk.histories()["base"][0].media == (picture.media,)
    assert talk.without_last().shown == (tray.pictures,)

    blind: Any = Elements(tray_html(Tray(), (), (), lang, limit=5))
    assert blind.buttons["attach"]["aria-disabled"] == "true" and blind.buttons["attach"]["data-why"]
    assert "aria-disabled" not in Elements(tray_html(Tray(), (), None, lang, limit=5)).buttons["attach"]
