"""Tiny processors of several families, made from their classes: the real code, small sizes, a tokenizer of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from tests.dataset.tokenizers import SPECIAL, published, tokenizer

# Words of our own for what the family's template does with text and pictures, where TRL carries none.
LLAVA_LIKE = (
    "{% for m in messages %}{{ m.role | upper }}: {% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "{% endif %}{{ '</s>' if m.role == 'assistant' else ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
INTERNVL_LIKE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'image' %}<IMG_CONTEXT>\n{% elif part.type == 'video' %}<video>\n"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
SMOL = (
    "<fake_token_around_image>", "<image>", "<video>", "<global-img>", "<end_of_utterance>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)  # fmt: skip


def _words(template: str, extra: tuple[str, ...], eos: str, **named: str) -> Any:
    """A tokenizer of its own for each processor: some processors write into theirs."""
    made = tokenizer.__wrapped__(template, eos=eos, special=(*SPECIAL, *extra))
    # As a model's tokenizer_config.json does: tokenizer.image_token and tokenizer.image_token_id from then on.
    made._set_model_specific_special_tokens(named)
    return made


def qwen2_vl() -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    size = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 64}
    words = _words(published("qwen2_5_vl"), QWEN, "<|im_end|>")
    return Qwen2VLProcessor(
        Qwen2VLImageProcessor(size=size), words, Qwen2VLVideoProcessor(size=size, cap_pixels_per_frame=False),
        chat_template=words.chat_template,
    )  # fmt: skip


def qwen2_5_vl() -> Any:
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    size = {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 64}
    words = _words(published("qwen2_5_vl"), QWEN, "<|im_end|>")
    return Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size), words, Qwen2VLVideoProcessor(size=size, cap_pixels_per_frame=False),
        chat_template=words.chat_template,
    )  # fmt: skip


def qwen3_vl() -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    size = {"shortest_edge": 32 * 32 * 4, "longest_edge": 32 * 32 * 256}
    words = _words(published("qwen3_vl"), QWEN, "<|im_end|>")
    return Qwen3VLProcessor(
        Qwen2VLImageProcessor(size=size, patch_size=16), words, Qwen3VLVideoProcessor(size=size),
        chat_template=words.chat_template,
    )  # fmt: skip


def gemma3() -> Any:
    from transformers import Gemma3ImageProcessor, Gemma3Processor

    words = _words(
        published("gemma3"), ("<start_of_image>", "<end_of_image>", "<image_soft_token>"), "<end_of_turn>",
        boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>",
    )  # fmt: skip
    pictures = Gemma3ImageProcessor(size={"height": 32, "width": 32})
    return Gemma3Processor(pictures, words, chat_template=words.chat_template, image_seq_length=16)


def llava() -> Any:
    from transformers import CLIPImageProcessor, LlavaProcessor

    words = _words(LLAVA_LIKE, ("<image>",), "</s>")
    pictures = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    return LlavaProcessor(
        pictures, words, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=words.chat_template,
    )  # fmt: skip


def llava_next() -> Any:
    from transformers import LlavaNextImageProcessor, LlavaNextProcessor

    words = _words(LLAVA_LIKE, ("<image>",), "</s>")
    pictures = LlavaNextImageProcessor(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28},
        image_grid_pinpoints=[[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]],
    )  # fmt: skip
    return LlavaNextProcessor(
        pictures, words, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=words.chat_template,
    )  # fmt: skip


def llava_onevision() -> Any:
    from transformers import (
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    words = _words(LLAVA_LIKE, ("<image>", "<video>"), "</s>")
    size = {"height": 28, "width": 28}
    pictures = LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[28, 56], [56, 28], [56, 56]])
    return LlavaOnevisionProcessor(
        pictures, words, LlavaOnevisionVideoProcessor(size=size), num_image_tokens=4,
        vision_feature_select_strategy="full", chat_template=words.chat_template,
    )  # fmt: skip


def internvl() -> Any:
    from transformers import GotOcr2ImageProcessor, InternVLProcessor, InternVLVideoProcessor

    words = _words(
        INTERNVL_LIKE, ("<img>", "</img>", "<IMG_CONTEXT>", "<video>"), "<|im_end|>",
        start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>",
    )  # fmt: skip
    size = {"height": 28, "width": 28}
    return InternVLProcessor(
        GotOcr2ImageProcessor(size=size, min_patches=1, max_patches=4), words, InternVLVideoProcessor(size=size),
        image_seq_length=4, chat_template=words.chat_template,
    )  # fmt: skip


def idefics3() -> Any:
    from transformers import Idefics3ImageProcessor, Idefics3Processor

    words = _words(published("idefics3"), SMOL, "<end_of_utterance>")
    pictures = Idefics3ImageProcessor(size={"longest_edge": 84}, max_image_size={"longest_edge": 28})
    return Idefics3Processor(pictures, words, image_seq_len=4, chat_template=words.chat_template)


def smolvlm() -> Any:
    from transformers import SmolVLMImageProcessor, SmolVLMProcessor, SmolVLMVideoProcessor

    words = _words(published("smolvlm"), SMOL, "<end_of_utterance>")
    pictures = SmolVLMImageProcessor(size={"longest_edge": 84}, max_image_size={"longest_edge": 28})
    films = SmolVLMVideoProcessor(
        size={"longest_edge": 84}, max_image_size={"longest_edge": 28},
        video_sampling={"fps": 1, "max_frames": 8, "video_size": {"longest_edge": 84}},
    )  # fmt: skip
    return SmolVLMProcessor(pictures, words, films, image_seq_len=4, chat_template=words.chat_template)


def mllama() -> Any:
    """One token stands for a picture of any size, and the text has to begin with the tokenizer's first token."""
    from transformers import MllamaImageProcessor, MllamaProcessor

    words = _words(LLAVA_LIKE, ("<|image|>", "<|python_tag|>"), "</s>")
    words.bos_token = "<|begin_of_text|>"
    return MllamaProcessor(MllamaImageProcessor(size={"height": 28, "width": 28}, max_image_tiles=2), words)


FAMILIES: dict[str, Callable[[], Any]] = {
    each.__name__: each
    for each in (
        qwen2_vl, qwen2_5_vl, qwen3_vl, gemma3, llava, llava_next, llava_onevision, internvl, idefics3, smolvlm,
    )
}  # fmt: skip
# Those that see videos, too.
FILMS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_onevision", "internvl", "smolvlm")


@cache
def processor(name: str) -> Any:
    """A processor by its family's name; made once."""
    return FAMILIES[name]()
