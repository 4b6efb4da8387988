"""Pictures and videos from anywhere: read as a person sees them, or refused with a sentence that names the file."""

from __future__ import annotations

import io
import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.dataset import shots
from tests.dataset.shots import drawn, film, giant, written
from trainer.dataset import media, pictures, video
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media, MediaKind, RowProblem
from trainer.dataset.pictures import Facts
from trainer.errors import tell
from trainer.paths import REPOSITORY

RED, BLUE = (255, 0, 0), (0, 0, 255)

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
HTML = "<!DOCTYPE html><html><body>404 – nicht gefunden</body></html>".encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
JPEG = written(drawn(400, 300), "JPEG")
PNG = written(Image.effect_noise((90, 90), 60))
GIF, WEBP, TIFF = (written(drawn(), kind) for kind in ("GIF", "WEBP", "TIFF"))
MP4 = film(40, 10)

# name of the file -> its content, the code of the sentence, whether the header tells it already.
BROKEN: dict[str, tuple[bytes, str, bool]] = {
    "page.png": (HTML, "row_image_text", True),
    "words.jpg": (b"just a few words", "row_image_text", True),
    "empty.png": (b"", "row_image_empty", True),
    "cut.jpg": (JPEG[: len(JPEG) // 2], "row_image_truncated", False),
    "cut.png": (PNG[: len(PNG) // 2], "row_image_truncated", False),
    "cut.gif": (written(Image.effect_noise((90, 90), 60), "GIF")[:2000], "row_image_truncated", False),
    "head.png": (PNG[:20], "row_image_truncated", True),
    "head.jpg": (JPEG[:12], "row_image_truncated", True),
    "rubbed.png": (PNG[:60] + bytes(80) + PNG[140:], "row_image_broken", False),
    "bomb.png": (giant(60_000, 60_000), "row_image_large", True),
    "large.png": (giant(7_100, 7_100), "row_image_large", True),
    "nothing.png": (giant(0, 10), "row_image_broken", True),
    "lies.png": (giant(4_000, 4_000), "row_image_truncated", False),
    "drawing.svg": (SVG, "row_image_svg", True),
    "drawing.png": (b'<svg width="9" height="9"></svg>', "row_image_svg", True),
    "paper.jpg": (b"%PDF-1.7\n%\xe2\xe3\n1 0 obj", "row_image_pdf", True),
    "phone.heic": (HEIC, "row_image_heic", True),
    "film.png": (film(), "row_image_video", True),
    "lfs.png": (POINTER, "row_image_pointer", True),
    "noise.png": (bytes(range(256)) * 9, "row_image_unknown", True),
    "plot.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "row_image_text", True),
}


def _told(media_: Media, whole: bool = False) -> str:
    """The code with which a medium is refused; its sentence names the file, the row, and what to do."""
    with pytest.raises(Unusable) as refused:
        media.check(media_, whole)
    problem = RowProblem("museum", 7, refused.value.code, refused.value.values)
    assert "museum" in problem.text and "row 7" in problem.text
    assert media_.name in problem.text
    assert tell(problem.code, problem.shown).hint
    return refused.value.code


def _file(folder: Path, name: str, content: bytes, kind: MediaKind = "image") -> Media:
    (folder / name).write_bytes(content)
    return Media(kind, path=folder / name)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_refused(tmp_path: Path, name: str) -> None:
    content, code, at_once = BROKEN[name]
    shot = _file(tmp_path, name, content)
    if at_once:
        assert _told(shot) == code
    else:
        media.check(shot)
    assert _told(shot, whole=True) == code
    for look in (media.open_image, media.thumbnail):
        with pytest.raises(Unusable, match=code):
            look(shot)
    if content:  # the same as bytes of the row
        assert _told(Media("image", data=content), whole=True) == code


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "dangling.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "through").write_bytes(b"x")
    names = {
        "folder.png": "no_file", "dangling.png": "link", "circle.png": "closed", "pipe.png": "no_file",
        "gone.png": "missing", "through/a.png": "missing", "a" * 300: "closed", "nul\0.png": "closed",
        "https:/example.org/a.png": "missing",
    }  # fmt: skip
    for kind in ("image", "video"):
        for name, code in names.items():
            assert _told(Media(kind, path=tmp_path / name)) == f"row_{kind}_{code}", name
        assert _told(Media(kind, data=b"")) == f"row_{kind}_empty"
    assert _told(Media("image", path=Path("/dev/zero"))) == "row_image_no_file"


def test_a_link_to_a_picture_is_one(tmp_path: Path) -> None:
    _file(tmp_path, "real.png", written(drawn()))
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    assert media.check(Media("image", path=tmp_path / "link.png"), whole=True) == Facts(60, 40, format="PNG")


def test_limits_are_those_of_the_content(tmp_path: Path) -> None:
    guard = Image.MAX_IMAGE_PIXELS
    shot = _file(tmp_path, "long.png", written(Image.new("1", (20_000, 10))))
    assert media.check(shot, whole=True) == Facts(20_000, 10, format="PNG")
    assert media.open_image(shot).size == (20_000, 10)
    assert Image.open(io.BytesIO(media.thumbnail(shot))).size == (160, 1)
    just = _file(tmp_path, "just.png", giant(10_000, 5_000))
    assert media.check(just).width == 10_000
    assert _told(_file(tmp_path, "bomb.png", giant(60_000, 60_000))) == "row_image_large"
    assert guard == Image.MAX_IMAGE_PIXELS  # the guard of the whole process is as it was
    with (tmp_path / "heavy.png").open("wb") as file:
        file.truncate(pictures.MOST_BYTES + 1)
    assert _told(Media("image", path=tmp_path / "heavy.png")) == "row_image_heavy"
    with (tmp_path / "heavy.mp4").open("wb") as file:
        file.truncate(video.MOST_BYTES + 1)
    assert _told(Media("video", path=tmp_path / "heavy.mp4")) == "row_video_heavy"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_kinds_are_known_by_content_whatever_the_name(tmp_path: Path, kind: str) -> None:
    shot = _file(tmp_path, "picture.txt", written(drawn(), kind))
    facts = media.check(shot, whole=True)
    assert (facts.width, facts.height, facts.frames, facts.format) == (60, 40, 1, kind)
    picture = media.open_image(shot)
    assert picture.mode == "RGB" and picture.size == (60, 40)
    _near(picture.getpixel((5, 5)), RED)
    _near(picture.getpixel((50, 30)), BLUE)


def _near(found: object, wanted: tuple[int, int, int], by: int = 6) -> None:
    assert isinstance(found, tuple)
    assert all(abs(one - other) <= by for one, other in zip(found, wanted, strict=True)), (found, wanted)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_pixels(orientation: int) -> None:
    corners = {1: (5, 5), 2: (55, 5), 3: (55, 35), 4: (5, 35), 5: (5, 5), 6: (35, 5), 7: (35, 55), 8: (5, 55)}
    for content in (
        shots.turned(orientation),
        shots.turned(orientation, "PNG"),
        shots.turned(orientation, "WEBP"),
    ):
        shot = Media("image", data=content)
        facts = media.check(shot)
        picture = media.open_image(shot)
        assert picture.size == (facts.width, facts.height) == ((40, 60) if orientation > 4 else (60, 40))
        assert ("picture_turned" in facts.notes) == (orientation > 1)
        right, low = picture.width - 5, picture.height - 5
        for place in ((5, 5), (right, 5), (5, low), (right, low)):
            _near(picture.getpixel(place), RED if place == corners[orientation] else BLUE, 12)
        small = Image.open(io.BytesIO(media.thumbnail(shot, 30)))
        assert small.size == ((20, 30) if orientation > 4 else (30, 20))
        assert not small.getexif()


# Pillow says so while it looks for the resolution: PIL/TiffImagePlugin.py.
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_exif_that_comes_late_or_is_broken() -> None:
    late = Media("image", data=shots.turned_late())
    assert media.check(late) == Facts(40, 60, format="PNG", notes=("picture_turned",))
    assert media.open_image(late).size == (40, 60)
    broken = written(drawn(), "JPEG", exif=b"Exif\0\0" + b"II*\0" + b"\xff" * 40)
    assert media.open_image(Media("image", data=broken)).size == (60, 40)


def test_colours_of_every_kind() -> None:
    cmyk = Media("image", data=written(drawn().convert("CMYK"), "JPEG", quality=95))
    _near(media.open_image(cmyk).getpixel((5, 5)), RED, 20)
    assert media.check(cmyk).notes == ("picture_converted",)
    palette = Media("image", data=written(drawn().convert("P", palette=Image.Palette.ADAPTIVE)))
    assert media.open_image(palette).getpixel((5, 5)) == RED
    bit = Media("image", data=written(Image.new("1", (9, 9), 1)))
    assert media.open_image(bit).getpixel((5, 5)) == (255, 255, 255)
    grey = Media("image", data=written(Image.new("L", (9, 9), 77)))
    assert media.open_image(grey).getpixel((5, 5)) == (77, 77, 77)
    lab = Media("image", data=written(Image.new("LAB", (9, 9), (255, 128, 128)), "TIFF"))
    assert media.check(lab, whole=True).notes == ("picture_converted",)
    _near(media.open_image(lab).getpixel((5, 5)), (255, 255, 255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_greys(kind: str) -> None:
    deep = Image.new("I;16", (3, 1))
    for at, value in enumerate((0, 32_768, 65_535)):
        deep.putpixel((at, 0), value)
    picture = media.open_image(Media("image", data=written(deep, kind)))
    found = [picture.getpixel((at, 0)) for at in range(3)]
    _near(found[0], (0, 0, 0), 1)
    _near(found[1], (128, 128, 128), 1)
    _near(found[2], (255, 255, 255), 1)


@pytest.mark.parametrize(
    ("mode", "values"), [("F", (0, 0.5, 1)), ("F", (0, 128, 255)), ("I", (0, 128, 255)), ("F", (-9.0, 0, 9))]
)
def test_numbers_of_other_kinds_become_greys(mode: str, values: tuple[float, ...]) -> None:
    deep = Image.new(mode, (3, 1))
    for at, value in enumerate(values):
        deep.putpixel((at, 0), value)
    picture = media.open_image(Media("image", data=written(deep, "TIFF")))
    for at, grey in enumerate((0, 128, 255)):
        _near(picture.getpixel((at, 0)), (grey,) * 3, 1)


def test_what_is_transparent_becomes_white() -> None:
    clear = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    clear.paste((255, 0, 0, 255), (0, 0, 5, 10))
    for content in (
        written(clear),
        written(clear, "WEBP", lossless=True),
        written(clear.convert("P"), transparency=0),
    ):
        assert "picture_transparent" in media.check(Media("image", data=content)).notes
    picture = media.open_image(Media("image", data=written(clear)))
    assert picture.getpixel((2, 5)) == RED and picture.getpixel((8, 5)) == (255, 255, 255)
    grey = Image.new("LA", (4, 4), (0, 0))
    assert media.open_image(Media("image", data=written(grey))).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]
    shot = Media("image", data=written(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert media.check(shot, whole=True).notes == ("picture_animated",)
    _near(media.open_image(shot).getpixel((9, 9)), RED)


def test_one_pixel_and_a_small_thumbnail() -> None:
    one = Media("image", data=written(Image.new("RGB", (1, 1), RED)))
    assert media.check(one, whole=True) == Facts(1, 1, format="PNG")
    assert media.open_image(one).getpixel((0, 0)) == RED
    assert media.thumbnail(one)[:3] == b"\xff\xd8\xff"
    noisy = Media("image", data=written(Image.effect_noise((900, 700), 90), "JPEG"))
    small = media.thumbnail(noisy)
    assert Image.open(io.BytesIO(small)).size == (160, 124) and len(small) < 20_000


# Pillow says so of a wounded header, before the pixels are asked for: PIL/TiffImagePlugin.py, PIL/PngImagePlugin.py.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.sampled_from(
        [shots.turned(6), shots.turned(3, "PNG"), GIF, WEBP, TIFF, written(drawn(), "BMP"), PNG[:900], MP4]
    ),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=4),
    st.sampled_from(["image", "video"]),
)
def test_no_bytes_make_it_trip(
    content: bytes, wounds: list[tuple[float, bytes, int]], kind: MediaKind
) -> None:
    """Whatever is rubbed out or written over: a picture comes out, or a sentence."""
    for where, new, length in wounds:
        at = int(where**3 * len(content))  # headers are near the beginning
        content = content[:at] + new + content[at + length :]
    shot = Media(kind, data=content)
    try:
        facts = media.check(shot, whole=True)
        assert Image.open(io.BytesIO(media.thumbnail(shot))).width <= 160
        assert facts.width > 0 and facts.frames > 0
    except Unusable as unusable:
        assert tell(unusable.code, {"dataset": "d", "number": 1, **unusable.values}).text


KINDS = (
    ("mp4", "libx264"),
    ("matroska", "libx264"),
    ("webm", "libvpx"),
    ("avi", "mpeg4"),
    ("mpegts", "libx264"),
)


@pytest.mark.parametrize(("kind", "codec"), KINDS)
def test_videos_are_measured_and_sampled(tmp_path: Path, kind: str, codec: str) -> None:
    shot = _file(tmp_path, "film.bin", film(kind=kind, codec=codec), "video")
    facts = media.check(shot, whole=True)
    assert (facts.width, facts.height, facts.frames) == (64, 48, 20)
    assert facts.seconds == pytest.approx(2.0, abs=0.11)
    chosen = video.sample(facts, fps=2.0, most=128, step=2, listed=False).indices
    assert chosen == (0, 6, 12, 19)
    greys = [frame.convert("L").getpixel((30, 20)) for frame in video.take(shot, chosen)]
    assert [round(float(str(grey)) / 12) for grey in greys] == list(chosen)
    assert Image.open(io.BytesIO(media.thumbnail(shot, 32))).size == (32, 24)


def test_how_many_frames_are_taken() -> None:
    def chosen(
        frames: int, seconds: float, fps: float = 2.0, most: int = 128, step: int = 1
    ) -> tuple[int, ...]:
        return video.sample(Facts(8, 8, frames, seconds), fps, most, step, False).indices

    assert chosen(300, 10.0) == tuple(at * 299 // 19 for at in range(20))
    assert len(chosen(90_000, 3_600.0)) == 128
    assert chosen(300, 0.2) == (0,)
    assert chosen(300, 0.2, step=2) == (0, 0)
    assert chosen(300, 1.5) == (0, 149, 299) and chosen(300, 1.5, step=2) == (0, 149, 299, 299)
    assert chosen(3, 10.0) == (0, 1, 2)
    assert chosen(1, 0.0) == (0,)
    listed = video.sample(Facts(8, 8, 200), 2.0, 50, 2, True)
    assert len(listed.indices) == 50 and listed.indices[-1] == 199 and listed.fps == 2.0


def test_a_list_of_pictures_is_a_video(tmp_path: Path) -> None:
    frames = tuple(_file(tmp_path, f"{at}.png", written(Image.new("L", (8, 6), at * 20))) for at in range(5))
    shot = Media("video", frames=frames)
    assert media.check(shot, whole=True) == Facts(8, 6, 5, format="PNG")
    assert [frame.getpixel((1, 1)) for frame in video.take(shot, (0, 2, 2))] == [
        (0, 0, 0),
        (40, 40, 40),
        (40, 40, 40),
    ]
    missing = Media("video", frames=(*frames, Media("image", path=tmp_path / "9.png")))
    with pytest.raises(Unusable, match="row_image_missing"):
        media.check(missing)


MKV = film(40, 10, "matroska")
BROKEN_FILMS: dict[str, tuple[bytes, str]] = {
    "page.mp4": (HTML, "row_video_text"),
    "empty.mp4": (b"", "row_video_empty"),
    "cut.mp4": (MP4[: len(MP4) * 2 // 3], "row_video_truncated"),
    "cut.mkv": (MKV[: len(MKV) * 2 // 3], "row_video_truncated"),
    "cut.avi": (film(40, 10, "avi", "mpeg4")[:4500], "row_video_truncated"),
    "head.mp4": (MP4[:60], "row_video_truncated"),
    "noise.mp4": (bytes(range(256)) * 9, "row_video_unknown"),
    "sound.mp4": (shots.sound(), "row_video_no_frames"),
    "picture.mp4": (PNG, "row_video_unknown"),
    "playlist.mp4": (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n",
        "row_video_text",
    ),
    "script.mp4": (b"ffconcat version 1.0\nfile /etc/hostname\n", "row_video_text"),
    "lfs.mp4": (POINTER, "row_video_pointer"),
}


@pytest.mark.parametrize("name", BROKEN_FILMS)
def test_a_broken_video_is_refused(tmp_path: Path, name: str) -> None:
    content, code = BROKEN_FILMS[name]
    assert _told(_file(tmp_path, name, content, "video"), whole=True) == code


def test_a_video_that_ends_early_is_told_when_its_frames_are_taken(tmp_path: Path) -> None:
    shot = _file(tmp_path, "cut.avi", BROKEN_FILMS["cut.avi"][0], "video")
    with pytest.raises(Unusable, match="row_video_truncated"):
        list(video.take(shot, range(40)))


def test_a_stream_without_times_has_its_rate() -> None:
    facts = media.check(Media("video", data=film(kind="h264")))
    assert (facts.frames, facts.seconds) == (20, 2.0)


def test_a_telephone_films_standing_and_writes_lying() -> None:
    upright = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9I", 0, 1 << 16, 0, 0xFFFF0000, 0, 0, 0, 0, 1 << 30)
    whole, lying, track = film().rpartition(upright)
    assert lying
    standing = Media("video", data=whole + clockwise + track)
    assert (media.check(standing).width, media.check(standing).height) == (48, 64)
    assert next(video.take(standing, (0,))).size == (48, 64)

    class Frame:
        rotation = -90  # counted against the clock

        def to_image(self) -> Image.Image:
            return drawn()

    turned = video._picture(Frame())
    assert turned.getpixel((35, 5)) == RED and turned.getpixel((5, 55)) == BLUE


def test_every_sentence_can_be_said() -> None:
    values = {
        "dataset": "d", "number": 1, "file": "a", "reason": "r", "size": 1, "most": 1, "width": 1, "height": 1,
        "megapixels": 1, "kind": "image", "found": 1, "given": 2, "path": "p",
    }  # fmt: skip
    for code in json.loads((REPOSITORY / "trainer/sentences/media.json").read_text(encoding="utf-8")):
        said = tell(code, values)
        assert said.text and (said.hint or code.startswith("picture_"))
        assert said.text.startswith("d, row 1: ") == code.startswith("row_")
