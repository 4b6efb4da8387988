"""Places of pictures in a text -> the tokens that a model reads there, for whatever processor transformers has.

No family is named here. The model's own processor is asked, with a blank picture of the same size: how many tokens it
writes, and which marks around them, follows from sizes alone. What it says is kept for the next picture of that size.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainer.dataset import media as seen
from trainer.dataset import video
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Media, MediaKind
from trainer.dataset.pictures import called
from trainer.dataset.sizes import Grid, Shape, picture_shape, video_shape
from trainer.errors import UserError
from trainer.options import DataOptions

# Stands between places while the processor is asked, so that what it writes for each can be told apart.
BETWEEN = "\ue0b7"
MOST_KNOWN = 20_000
KINDS: tuple[MediaKind, ...] = ("image", "video")


class Expanded(NamedTuple):
    """A text with the tokens of its media written out: characters spans[i] of it belong to medium i.

    Before, places[i] were the characters of medium i; text outside is the same.
    """

    text: str
    spans: tuple[tuple[int, int], ...] = ()
    places: tuple[tuple[int, int], ...] = ()


class Expander:
    """Writes out the tokens of pictures and videos for one processor and one set of data options.

    With `whole` every pixel is decoded once, so that a broken file is found now and not in the middle of a run.
    Threads may share it, and it can be pickled. Raises Unusable with a row's sentence for media that cannot be used.
    """

    def __init__(self, processor: Any, data: DataOptions, whole: bool = False) -> None:
        self._processor = processor
        self._data = data
        self._whole = whole
        self._marks = {kind: mark for kind in KINDS if (mark := _mark(processor, kind))}
        # Mllama's processor puts it where it is missing.
        self._begin = processor.tokenizer.bos_token or ""
        self._pattern = re.compile(
            "|".join(f"(?P<{kind}>{re.escape(mark)})" for kind, mark in self._marks.items()) or r"(?!)"
        )
        self._known: dict[tuple[str, Shape, int], str] = {}
        self._proven: set[tuple[int, int]] = set()

    @property
    def fingerprint(self) -> str:
        """Whatever decides, beside the media themselves, which tokens they become."""
        data = self._data
        options = (
            data.image_min_pixels, data.image_max_pixels, data.video_min_pixels, data.video_max_pixels,
            data.video_fps, data.video_maxlen,
        )  # fmt: skip
        return repr((type(self._processor).__name__, self._processor.to_json_string(), options))

    def mark(self, kind: MediaKind) -> str:
        """What stands in a text for one medium; empty for a kind that the model does not see."""
        return self._marks.get(kind, "")

    def expand(self, text: str, media: Sequence[Media]) -> Expanded:
        """The text with each place written out; `media` in the order of the places. Text outside is unchanged.

        Raises Unusable when places and media differ in number or kind, UserError for a processor that rewrites the
        text around pictures.
        """
        places = list(self._pattern.finditer(text))
        self._require_places(places, media)
        if not media:
            return Expanded(text)
        shapes = [self.shape(each) for each in media]
        counts = {kind: sum(each.kind == kind for each in media) for kind in KINDS}
        written = [
            self._written(each, shape, counts[each.kind]) for each, shape in zip(media, shapes, strict=True)
        ]
        expanded = _fill(text, places, written)
        self._prove(text, expanded.text, media, shapes, (counts["image"], counts["video"]))
        return expanded

    def cost(self, media: Media) -> int:
        """The number of tokens that a picture or video takes in a row, marks around it included."""
        self._require_kinds([media])
        written = self._written(media, self.shape(media), 1)
        return len(self._processor.tokenizer(written, add_special_tokens=False)["input_ids"])

    @property
    def kinds(self) -> tuple[MediaKind, ...]:
        """What the model sees: pictures, videos, both."""
        return tuple(self._marks)

    def kind_of(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """For every token id 0 where it is text, 1 where it is a picture's, 2 where it is a video's."""
        found: list[list[int]] = self._processor.create_mm_token_type_ids([list(row) for row in rows])
        return found

    def shape(self, media: Media) -> Shape:
        """The size in which the model is shown a medium, and which frames of it."""
        return self._shape(media, self._whole)

    def _shape(self, media: Media, whole: bool) -> Shape:
        facts = seen.check(media, whole)
        try:
            if media.kind == "image":
                return picture_shape(facts, self._data, self._grid("image"))
            return video_shape(facts, self._data, self._grid("video"), bool(media.frames))
        except ValueError as error:
            raise _refused(media, facts.width, facts.height, error) from None

    def inputs(self, media: Sequence[Media]) -> dict[str, Any]:
        """What the model takes beside the ids of a row: pixel_values and whatever else its processor gives, on the CPU.

        Shapes are the processor's. `media` are all of a row, in order; empty gives an empty dict.
        """
        if not media:
            return {}
        self._require_kinds(media)
        # Every pixel is decoded below in any case.
        shapes = [self._shape(each, whole=False) for each in media]
        shown = [self._load(each, shape) for each, shape in zip(media, shapes, strict=True)]
        text = self._begin + BETWEEN.join(self._marks[each.kind] for each in media)
        _, features = self._ask(text, media, shapes, shown)
        return features

    def _load(self, media: Media, shape: Shape) -> Any:
        import numpy as np
        from PIL import Image

        size = (shape.width, shape.height)
        if media.kind == "image":
            picture = seen.open_image(media)
            return picture if picture.size == size else picture.resize(size, Image.Resampling.BICUBIC)
        frames = np.empty((len(shape.indices), shape.height, shape.width, 3), np.uint8)
        for at, frame in enumerate(video.take(media, shape.indices)):
            fitting = frame if frame.size == size else frame.resize(size, Image.Resampling.BICUBIC)
            frames[at] = np.asarray(fitting)
        return frames

    def _grid(self, kind: str) -> Grid:
        part = getattr(self._processor, f"{kind}_processor", None)
        patch, merge = getattr(part, "patch_size", None), getattr(part, "merge_size", None)
        side = patch * merge if isinstance(patch, int) and isinstance(merge, int) else 0
        return Grid(side, getattr(part, "temporal_patch_size", None) or 1)

    def _require_kinds(self, media: Sequence[Media]) -> None:
        for each in media:
            if each.kind not in self._marks:
                raise Unusable("row_no_video" if each.kind == "video" else "row_no_eyes")

    def _require_places(self, places: Sequence[re.Match[str]], media: Sequence[Media]) -> None:
        self._require_kinds(media)
        found: list[str | None] = [place.lastgroup for place in places]
        given: list[str | None] = [each.kind for each in media]
        if found == given:
            return
        kind: str = next((each for each in KINDS if found.count(each) != given.count(each)), "image")
        raise Unusable("row_media_marks", kind=kind, found=found.count(kind), given=given.count(kind))

    def _written(self, media: Media, shape: Shape, count: int) -> str:
        """What the processor writes for a medium among `count` of its kind: some cut a single picture finer."""
        key = (media.kind, shape, count)
        if key not in self._known:
            text = self._begin + BETWEEN + (self._marks[media.kind] + BETWEEN) * count
            told, _ = self._ask(text, [media] * count, [shape] * count, [_blank(media, shape)] * count)
            parts = told.split(BETWEEN)
            if len(parts) != count + 2 or parts[0] != self._begin or parts[-1]:
                raise self._rewrites()
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = parts[1]
        return self._known[key]

    def _prove(
        self,
        text: str,
        expanded: str,
        media: Sequence[Media],
        shapes: Sequence[Shape],
        counts: tuple[int, int],
    ) -> None:
        """For the first row with so many media: that the processor, asked with the row itself, writes the same."""
        if counts in self._proven:
            return
        blanks = [_blank(each, shape) for each, shape in zip(media, shapes, strict=True)]
        told, _ = self._ask(text, media, shapes, blanks)
        if told != expanded:
            raise self._rewrites()
        self._proven.add(counts)

    def _rewrites(self) -> UserError:
        kind = type(self._processor).__name__
        return UserError("processor_rewrites", field="model_name_or_path", kind=kind)

    def _ask(
        self, text: str, media: Sequence[Media], shapes: Sequence[Shape], shown: Sequence[Any]
    ) -> tuple[str, dict[str, Any]]:
        """What the processor gives its tokenizer for `text`, and what it gives beside the ids."""
        processor = copy.copy(self._processor)
        processor.tokenizer = heard = _Listener(self._processor.tokenizer)
        by_kind = {
            kind: [what for each, what in zip(media, shown, strict=True) if each.kind == kind]
            for kind in KINDS
        }
        given: dict[str, Any] = {"text": [text], "return_tensors": "pt"}
        if by_kind["image"]:
            given["images"] = [by_kind["image"]]
        if by_kind["video"]:
            films = [shape for each, shape in zip(media, shapes, strict=True) if each.kind == "video"]
            given |= {"videos": [by_kind["video"]], "video_metadata": [[_metadata(each) for each in films]]}
            given["do_sample_frames"] = False
        try:
            found = processor(**given)
        except (MemoryError, UserError):
            raise
        except Exception as error:  # by any processor, of any size it does not take
            raise _refused(media[0], shapes[0].width, shapes[0].height, error) from error
        about_text = {*heard.names, "mm_token_type_ids", "token_type_ids", "attention_mask"}
        return heard.text, {name: value for name, value in found.items() if name not in about_text}


class _Listener:
    """A tokenizer that remembers the text it was asked about."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.text = ""
        self.names: tuple[str, ...] = ()

    def __call__(self, text: Any = None, *arguments: Any, **options: Any) -> Any:
        self.text = text if isinstance(text, str) else text[0]
        found = self._tokenizer(text, *arguments, **options)
        self.names = tuple(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def _mark(processor: Any, kind: str) -> str:
    """The word that chat templates write where a picture or video stands; empty for a model that sees none.

    In transformers a processor names it as image_token or video_token.
    """
    if getattr(processor, f"{kind}_processor", None) is None:
        return ""
    mark = getattr(processor, f"{kind}_token", None) or getattr(processor.tokenizer, f"{kind}_token", None)
    return str(mark or "")


def _blank(media: Media, shape: Shape) -> Any:
    if media.kind == "image":
        from PIL import Image

        return Image.new("RGB", (shape.width, shape.height))
    import numpy as np

    return np.zeros((len(shape.indices), shape.height, shape.width, 3), np.uint8)


def _metadata(shape: Shape) -> Mapping[str, Any]:
    from transformers.video_utils import VideoMetadata

    return VideoMetadata(
        total_num_frames=shape.total, fps=shape.fps, width=shape.width, height=shape.height,
        duration=shape.total / shape.fps, frames_indices=list(shape.indices),
    )  # fmt: skip


def _fill(text: str, places: Sequence[re.Match[str]], written: Sequence[str]) -> Expanded:
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    length = done = 0
    for place, words in zip(places, written, strict=True):
        before = text[done : place.start()]
        start = length + len(before)
        length = start + len(words)
        spans.append((start, length))
        pieces += (before, words)
        done = place.end()
    return Expanded("".join([*pieces, text[done:]]), tuple(spans), tuple(place.span() for place in places))


def _refused(media: Media, width: int, height: int, error: Exception) -> Unusable:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return Unusable("row_media_refused", file=called(media), width=width, height=height, reason=reason)
