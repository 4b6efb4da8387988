"""Pictures and videos for tests, made here: drawn, written in many formats, and broken on purpose."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import Any

from PIL import Image

from trainer.dataset.conversation import Media


def drawn(width: int = 60, height: int = 40) -> Image.Image:
    """Red at the top left, blue everywhere else, so that turning shows."""
    picture = Image.new("RGB", (width, height), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, max(1, width // 2), max(1, height // 2)))
    return picture


def written(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    into = io.BytesIO()
    picture.save(into, kind, **options)
    return into.getvalue()


def image(width: int = 60, height: int = 40) -> Media:
    """A picture as the bytes of a row."""
    return Media("image", data=written(drawn(width, height)))


def turned(orientation: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return written(drawn(), kind, exif=exif)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def giant(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )


def turned_late() -> bytes:
    """A PNG whose EXIF comes after its pixels, as some programs write it."""
    plain = written(drawn())
    exif = Image.Exif()
    exif[0x0112] = 6
    return plain[:-12] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + plain[-12:]


@cache
def film(
    frames: int = 20,
    fps: int = 10,
    kind: str = "mp4",
    codec: str = "libx264",
    width: int = 64,
    height: int = 48,
) -> bytes:
    """A video whose frame `i` is a grey of about 12 * i."""
    import av

    into = io.BytesIO()
    with av.open(into, "w", format=kind) as container:
        stream: Any = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for at in range(frames):
            grey = Image.new("RGB", (width, height), (at * 12,) * 3)
            container.mux(stream.encode(av.VideoFrame.from_image(grey)))
        container.mux(stream.encode())
    return into.getvalue()


@cache
def sound() -> bytes:
    """A file of a video's kind that holds only sound."""
    import av
    import numpy as np

    into = io.BytesIO()
    with av.open(into, "w", format="mp4") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        heard = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        heard.sample_rate = 8000
        container.mux(stream.encode(heard))
        container.mux(stream.encode())
    return into.getvalue()
