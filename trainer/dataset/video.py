"""A video -> frames evenly spread over it, decoded one by one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any

from PIL import Image

from trainer.dataset import pictures
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media
from trainer.dataset.pictures import MOST_PIXELS, Facts, called, opened

MOST_BYTES = 2 * 1024**3
# Containers with pictures in them. Playlists and scripts are left out: they name other files and addresses, which
# FFmpeg would open.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,flv,asf,ogg,gif,apng,h264,hevc,ivf,dv"
# A container may count a few frames more than its stream holds (cut by an editor); this share must be there.
THERE = 0.9


@dataclass(frozen=True, slots=True)
class Sample:
    """Which frames of a video are taken: `indices` among `total`, of a video with `fps` frames per second."""

    indices: tuple[int, ...]
    total: int
    fps: float


def look(media: Media, whole: bool = False) -> Facts:
    """What a video is; its first frame is decoded, or all with `whole`. Raises Unusable with a row's sentence."""
    if media.frames:
        return _look_at_frames(media, whole)
    with _container(media) as (container, stream):
        frames = container.decode(stream)
        picture = _first(frames, media)
        total, seconds = _length(media, container, stream)
        # The demuxer stops where the file does, without a word.
        if whole and 1 + sum(1 for _ in frames) < total * THERE:
            raise Unusable("row_video_truncated", file=called(media))
        return Facts(picture.width, picture.height, total, seconds, str(container.format.name))


def first(media: Media) -> Image.Image:
    """The first frame, in RGB. Raises Unusable."""
    if media.frames:
        return pictures.read(media.frames[0])
    with _container(media) as (container, stream):
        return _first(container.decode(stream), media)


def sample(facts: Facts, fps: float, most: int, step: int, listed: bool) -> Sample:
    """Evenly spread frames: `fps` of each second, at most `most` and at least one, a multiple of `step` in number.

    The last frame is repeated to reach the multiple. A list of frames (`listed`) is already a sample, taken at `fps`.
    The counts are those of LLaMA-Factory's files; the multiple is that of Qwen's models, which merge pairs of frames.
    """
    total = facts.frames
    count = total if listed else math.floor(facts.seconds * fps)
    count = max(1, min(total, most, count))
    chosen = [at * (total - 1) // (count - 1) for at in range(count)] if count > 1 else [0]
    chosen += chosen[-1:] * (-count % step)
    return Sample(tuple(chosen), total, total / facts.seconds if facts.seconds and not listed else fps)


def take(media: Media, indices: Sequence[int]) -> Iterator[Image.Image]:
    """The frames at `indices` (sorted; a repeated one comes again), in RGB. One at a time is in memory.

    Raises Unusable when the video ends long before.
    """
    if media.frames:
        for index in indices:
            yield pictures.read(media.frames[index])
        return
    given = 0
    picture = None
    with _container(media) as (container, stream):
        number = -1
        for number, frame in enumerate(container.decode(stream)):
            if number < indices[given]:
                continue
            picture = _picture(frame)
            while given < len(indices) and indices[given] <= number:
                yield picture
                given += 1
            if given == len(indices):
                return
    if picture is None or number + 1 < (indices[-1] + 1) * THERE:
        raise Unusable("row_video_truncated", file=called(media))
    for _ in indices[given:]:
        yield picture


def _look_at_frames(media: Media, whole: bool) -> Facts:
    seen = [pictures.look(frame) for frame in media.frames]
    if whole:
        for frame in media.frames:
            pictures.read(frame)
    return replace(seen[0], frames=len(seen), notes=())


@contextmanager
def _container(media: Media) -> Iterator[tuple[Any, Any]]:
    """The opened video and its stream of pictures. What FFmpeg raises becomes Unusable."""
    import av

    file = called(media)
    with opened(media, MOST_BYTES) as source:
        try:
            # No file and no address that a video names is ever opened.
            limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
            container = av.open(_Nameless(source), options=limits)
        except (av.error.FFmpegError, ValueError):
            raise Unusable(_looks_like(source), file=file) from None
        with container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise Unusable("row_video_no_frames", file=file)
            if stream.codec_context is None:  # what it is coded in stands in the part that is missing
                raise Unusable("row_video_truncated", file=file)
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > MOST_PIXELS:
                raise Unusable(
                    "row_video_large", file=file, width=width, height=height, most=MOST_PIXELS // 1_000_000
                )
            stream.thread_type = "AUTO"
            try:
                yield container, stream
            except av.error.FFmpegError:
                raise Unusable("row_video_truncated", file=file) from None


class _Nameless:
    """Bytes for FFmpeg that do not tell their name, from which it would guess what they are."""

    def __init__(self, source: IO[bytes]) -> None:
        self.read = source.read
        self.seek = source.seek
        self.tell = source.tell


def _first(frames: Iterator[Any], media: Media) -> Image.Image:
    frame = next(frames, None)
    if frame is None:
        raise Unusable("row_video_no_frames", file=called(media))
    return _picture(frame)


def _picture(frame: Any) -> Image.Image:
    """A frame as it is looked at: telephones write it lying and say how to turn it."""
    picture: Image.Image = frame.to_image()
    return picture.rotate(frame.rotation, expand=True) if frame.rotation % 360 else picture


def _length(media: Media, container: Any, stream: Any) -> tuple[int, float]:
    """Frames and seconds, from the header where it has them, else by counting without decoding."""
    frames = int(stream.frames or 0)
    seconds = _declared(container, stream)
    if frames and seconds:
        return frames, seconds
    counted, lasted = _count(media)
    if not counted:
        raise Unusable("row_video_no_frames", file=called(media))
    if seconds and lasted and lasted < seconds * THERE - 1 / max(1, counted):
        raise Unusable("row_video_truncated", file=called(media))
    rate = float(stream.guessed_rate or 0)
    seconds = seconds or lasted or (counted / rate if rate else 0.0)
    if not seconds and counted > 1:
        raise Unusable("row_video_no_duration", file=called(media))
    return frames or counted, seconds


def _declared(container: Any, stream: Any) -> float:
    import av

    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else 0.0


def _count(media: Media) -> tuple[int, float]:
    """Frames and seconds as the packets have them; 0.0 seconds where they bear no times."""
    count = 0
    times: list[float] = []
    with _container(media) as (container, stream):
        for packet in container.demux(stream):
            if not packet.size:
                continue
            count += 1
            if packet.pts is not None:
                times.append(float(packet.pts * packet.time_base))
    if len(times) < 2:
        return count, 0.0
    span = max(times) - min(times)
    return count, span * len(times) / (len(times) - 1)


def _looks_like(source: IO[bytes]) -> str:
    """The sentence for content that FFmpeg does not take."""
    source.seek(0)
    head = source.read(1024)
    if head[4:8] in (b"ftyp", b"moov", b"mdat") or head.startswith((b"\x1a\x45\xdf\xa3", b"RIFF")):
        return "row_video_truncated"
    return pictures.looks_like(head, "video")
