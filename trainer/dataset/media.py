"""Pictures and videos of a row: what they are, their pixels, a thumbnail. Nothing is ever fetched from an address."""

from __future__ import annotations

import io

from PIL import Image

from trainer.dataset import pictures, video
from trainer.dataset.conversation import Media
from trainer.dataset.pictures import Facts

__all__ = ["Facts", "check", "open_image", "thumbnail"]


def check(media: Media, whole: bool = False) -> Facts:
    """What a medium is, from its header (of a video: from its first frame, too); `whole` decodes every pixel.

    Raises Unusable with a row's sentence that names the file and what to do.
    """
    if media.kind == "video":
        return video.look(media, whole)
    facts = pictures.look(media)
    if whole:
        pictures.read(media)
    return facts


def open_image(media: Media) -> Image.Image:
    """A picture as a person sees it, in RGB: turned by EXIF, the first frame, what is transparent on white.

    Raises Unusable with a row's sentence.
    """
    return pictures.read(media)


def thumbnail(media: Media, side: int = 160) -> bytes:
    """A JPEG of a few kilobytes that fits a square of `side` pixels; of a video its first frame. Raises Unusable."""
    small = video.first(media) if media.kind == "video" else pictures.shrink(media, side)
    small.thumbnail((side, side))
    written = io.BytesIO()
    small.save(written, "JPEG", quality=80)
    return written.getvalue()
