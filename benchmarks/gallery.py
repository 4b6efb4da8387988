"""The vision model and the rows with pictures of the vision benchmark, written into a folder."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from setting import words
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)
from transformers.utils import logging

ROWS = 160
VOCABULARY = 6208
MARKS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *MARKS)
# Areas of a picture for the processor: 16 to 36 tokens, as those of Sprout-VL.
SIZE = {"shortest_edge": 112 * 112, "longest_edge": 168 * 168}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    roles = ["system", "user", "assistant", "You are a helpful assistant."] * 50
    made.train_from_iterator([*roles, *(" " + word for word in words())], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = TEMPLATE
    return fast


def write_model(folder: Path) -> None:
    """A random Qwen2-VL of Sprout-VL's sizes (7 million parameters), with its processor."""
    logging.disable_progress_bar()
    torch.manual_seed(0)
    tokenizer = _tokenizer()
    start, end, image, video = (tokenizer.convert_tokens_to_ids(each) for each in MARKS)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 12, 12]}
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": VOCABULARY, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 6,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
            "rope_parameters": rope, "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0,
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 5, "embed_dim": 160, "num_heads": 4, "mlp_ratio": 3, "hidden_size": 256, "patch_size": 14,
        },
        image_token_id=image, video_token_id=video, vision_start_token_id=start, vision_end_token_id=end,
        tie_word_embeddings=True,
    )  # fmt: skip
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    pictures, films = Qwen2VLImageProcessor(size=SIZE), Qwen2VLVideoProcessor(size=SIZE)
    Qwen2VLProcessor(pictures, tokenizer, films, chat_template=TEMPLATE).save_pretrained(folder)


def _draw(chance: random.Random, path: Path) -> None:
    """A photograph's size and format: some coloured shapes on a noisy ground."""
    width, height = chance.choice(((640, 480), (480, 640), (600, 600), (800, 450)))
    ground = Image.effect_noise((width, height), 40).convert("RGB")
    draw = ImageDraw.Draw(ground)
    for _ in range(6):
        x, y = chance.randrange(width), chance.randrange(height)
        colour = tuple(chance.randrange(256) for _ in range(3))
        draw.ellipse((x - 60, y - 40, x + 60, y + 40), fill=colour)
    ground.save(path, quality=90)


def write_rows(folder: Path, count: int = ROWS) -> None:
    """Sharegpt rows with one picture each: a short question, an answer of 10 to 120 words."""
    chance = random.Random(1)
    known = words()
    rows = []
    for number in range(count):
        _draw(chance, folder / f"{number}.jpg")
        asked = " ".join(chance.choice(known) for _ in range(chance.randint(3, 12)))
        said = " ".join(chance.choice(known) for _ in range(chance.randint(10, 120)))
        turns = [{"from": "human", "value": f"<image>{asked}"}, {"from": "gpt", "value": said}]
        rows.append({"conversations": turns, "images": [f"{number}.jpg"]})
    (folder / "pictures.json").write_text(json.dumps(rows), encoding="utf-8")
    columns = {"messages": "conversations", "images": "images"}
    info = {"pictures": {"file_name": "pictures.json", "formatting": "sharegpt", "columns": columns}}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")


def write_all(folder: Path, count: int = ROWS) -> None:
    """`folder/model` and `folder/data`."""
    for name in ("model", "data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_model(folder / "model")
    write_rows(folder / "data", count)
