"""A picture's file or bytes -> what it is, and its pixels. What a file is, its content says, never its name."""

from __future__ import annotations

import io
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from PIL import Image, ImageOps

from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media, MediaKind

MOST_PIXELS = 50_000_000
MOST_BYTES = 512 * 1024**2
# Kinds of pictures that people have; Pillow's other readers are for plots, fonts and icons, and a few start programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO")
# How files of these begin: what begins so and cannot be read is a broken picture, not something else.
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
HEIC = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1")
# What white is in deep greys: the first that no pixel passes, else the brightest pixel.
LEVELS: dict[str, tuple[int, ...]] = {"I;16": (65_535,), "I": (255, 65_535), "F": (1, 255, 65_535)}
TURNED = (5, 6, 7, 8)
ORIENTATION = 0x0112
MOST_CHUNKS = 100_000
_TEXT = bytes({7, 8, 9, 10, 12, 13, 27} | set(range(0x20, 0x100)))


@dataclass(frozen=True, slots=True)
class Facts:
    """What a picture or video is: the size as it is looked at (turned by EXIF), and notes on how it will be read.

    `frames` and `seconds` are of videos; a picture has one frame and no duration. `notes` are codes of sentences.
    """

    width: int
    height: int
    frames: int = 1
    seconds: float = 0.0
    format: str = ""
    notes: tuple[str, ...] = ()


@contextmanager
def opened(media: Media, most_bytes: int = MOST_BYTES) -> Iterator[IO[bytes]]:
    """The bytes of a medium. Raises Unusable when there is no such file, it is none, empty, closed to us or too big."""
    kind = media.kind
    if media.path is None:
        data = media.data or b""
        _require_size(media, len(data), most_bytes)
        yield io.BytesIO(data)
        return
    path = media.path
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise Unusable(f"row_{kind}_no_file", file=str(path))
        _require_size(media, facts.st_size, most_bytes)
        stream = path.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        code = f"row_{kind}_link" if path.is_symlink() else f"row_{kind}_missing"
        raise Unusable(code, file=str(path)) from None
    except (
        OSError,
        ValueError,
    ) as error:  # no right to read, a name too long or with a zero byte, a circle of links
        raise Unusable(f"row_{kind}_closed", file=str(path), reason=_reason(error)) from None
    with stream:
        yield stream


def called(media: Media) -> str:
    """How a sentence calls a medium: with its folder, because many are called 1.png."""
    return str(media.path) if media.path else media.name


@contextmanager
def recognised(media: Media, stream: IO[bytes]) -> Iterator[Any]:
    """The picture in `stream`, not decoded yet. Raises Unusable for what is none, and for more pixels than allowed.

    What Pillow raises inside becomes Unusable, too.
    """
    file = called(media)
    try:
        image = _recognise(stream)
        if image is None:
            stream.seek(0)
            raise Unusable(looks_like(stream.read(1024), "image"), file=file)
        with image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise Unusable(
                    "row_image_large", file=file, width=width, height=height,
                    megapixels=width * height // 1_000_000, most=MOST_PIXELS // 1_000_000,
                )  # fmt: skip
            if not width or not height:
                raise Unusable("row_image_broken", file=file, reason=f"{width} x {height}")
            yield image
    except (Unusable, MemoryError):
        raise
    # A file from anywhere makes Pillow's readers trip in many ways; each is the file's fault.
    except Exception as error:
        cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
        if cut:
            raise Unusable("row_image_truncated", file=file) from None
        raise Unusable("row_image_broken", file=file, reason=_reason(error)) from None


def look(media: Media) -> Facts:
    """What a picture is, from its header."""
    with opened(media) as stream, recognised(media, stream) as image:
        return _facts(image, stream)


def read(media: Media) -> Image.Image:
    """A picture as a person sees it: the first frame, turned by EXIF, in RGB, what is transparent on white."""
    with opened(media) as stream, recognised(media, stream) as image:
        orientation = _orientation(image, stream)
        image.load()
        return _turned(_as_rgb(image), orientation)


def shrink(media: Media, side: int) -> Image.Image:
    """As `read`, made to fit a square of `side` pixels; for a JPEG much quicker, because fewer pixels are decoded."""
    with opened(media) as stream, recognised(media, stream) as image:
        orientation = _orientation(image, stream)
        image.draft(None, (side, side))
        image.load()
        small = _as_rgb(image)
        small.thumbnail((side, side))
        return _turned(small, orientation)


def _recognise(stream: IO[bytes]) -> Any:
    """The first of Pillow's readers that takes the content.

    Image.open would weigh the size against a limit of the whole process, and warn before ours has been asked.
    """
    Image.init()
    prefix = stream.read(16)
    for name in FORMATS:
        if name not in Image.OPEN:  # a build of Pillow without this library
            continue
        reader, accepts = Image.OPEN[name]
        if not accepts or accepts(prefix) is not True:
            continue
        stream.seek(0)
        try:
            return reader(stream, "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            if prefix.startswith(BEGINNINGS):
                raise
    return None


def _facts(image: Any, stream: IO[bytes]) -> Facts:
    width, height = image.size
    orientation = _orientation(image, stream)
    if orientation in TURNED:
        width, height = height, width
    notes = []
    if getattr(image, "is_animated", False) and image.format in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
        notes.append("picture_animated")
    if _transparent(image):
        notes.append("picture_transparent")
    if orientation > 1:
        notes.append("picture_turned")
    if image.mode not in ("RGB", "RGBA", "L", "LA", "P", "1"):
        notes.append("picture_converted")
    return Facts(width, height, format=str(image.format), notes=tuple(notes))


def _transparent(image: Any) -> bool:
    return "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")


def _as_rgb(image: Any) -> Image.Image:
    """Eight bits of red, green and blue. Raises ValueError for a kind of colour that cannot be told in them."""
    picture: Image.Image = _eight_bits(image)
    if _transparent(picture):
        seen = picture.convert("RGBA")
        ground = Image.new("RGB", seen.size, "white")
        ground.paste(seen, mask=seen.getchannel("A"))
        return ground
    return picture.convert("RGB")


def _eight_bits(image: Any) -> Image.Image:
    """Pillow's own conversion of deep greys cuts off at 255, which leaves a white page."""
    picture: Image.Image = image
    levels = next((levels for start, levels in LEVELS.items() if picture.mode.startswith(start)), None)
    if levels is None:
        return picture
    low, high = (float(str(value)) for value in picture.getextrema())
    top = next((level for level in levels if low >= 0 and high <= level), None)
    low, high = (low, high) if top is None else (0.0, float(top))
    scale = 255 / (high - low) if high > low else 0.0
    return picture.convert("F").point(lambda value: value * scale - low * scale).convert("L")


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    if orientation <= 1:
        return picture
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture.info.clear()
    picture.info["exif"] = exif.tobytes()
    turned = ImageOps.exif_transpose(picture)
    turned.info.clear()
    return turned


def _orientation(image: Any, stream: IO[bytes]) -> int:
    """EXIF's orientation, 1 for upright. Broken EXIF says nothing; the picture may be whole all the same."""
    try:
        if image.format == "PNG" and "exif" not in image.info:
            found = Image.Exif()
            found.load(_late_exif(stream))
        else:
            found = image.getexif()
        value = int(found.get(ORIENTATION, 1))
    except Exception:  # a small format of its own, by any camera and any program
        return 1
    return value if 1 <= value <= 8 else 1


def _late_exif(stream: IO[bytes]) -> bytes:
    """The eXIf chunk of a PNG wherever it is: Pillow would decode the whole picture to look behind the pixels.

    Layout: https://www.w3.org/TR/png-3/#5Chunk-layout
    """
    place = stream.tell()
    try:
        stream.seek(8)
        for _ in range(MOST_CHUNKS):
            head = stream.read(8)
            length = int.from_bytes(head[:4], "big")
            if len(head) < 8:
                break
            if head[4:] == b"eXIf":
                return stream.read(min(length, 1 << 20))
            stream.seek(length + 4, io.SEEK_CUR)
        return b""
    finally:
        stream.seek(place)


def looks_like(head: bytes, kind: MediaKind) -> str:
    """The sentence for content that begins with `head` and is no picture or video that we read."""
    words = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if words.startswith(b"version https://git-lfs"):
        return f"row_{kind}_pointer"
    if kind == "image" and words.startswith(b"%pdf"):
        return "row_image_pdf"
    if (
        kind == "image"
        and b"<svg" in words[:512]
        and words.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype svg"))
    ):
        return "row_image_svg"
    if kind == "image" and head[4:8] == b"ftyp" and head[8:12] not in (b"avif", b"avis"):
        return "row_image_heic" if head[8:12] in HEIC else "row_image_video"
    return f"row_{kind}_text" if not head.translate(None, _TEXT) else f"row_{kind}_unknown"


def _require_size(media: Media, count: int, most: int) -> None:
    if not count:
        raise Unusable(f"row_{media.kind}_empty", file=called(media))
    if count > most:
        raise Unusable(f"row_{media.kind}_heavy", file=called(media), size=count >> 20, most=most >> 20)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
