"""Build Sprout-VL: Sprout with eyes. `python scripts/sprout/see.py --base models/sprout --out models/sprout-vl`

The language part begins with Sprout's weights, the eyes with random ones; both are trained on drawings that are made
while the training runs, with Sprout's own conversations in between so that it does not forget how to talk.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import corpus
import looking
import numpy as np
import pretrain
import tokenizer as tok
import torch
from drawing import Marks
from eyes import FRAMES_A_PATCH, MERGE, PATCH, Lessons, hand_over, look, open_eyes, targets
from looking import Talk
from tokenizers import AddedToken, Tokenizer
from torch.nn import functional
from transformers import GenerationConfig, Qwen2ForCausalLM, Qwen2VLConfig, Qwen2VLForConditionalGeneration

# Areas of a picture and of a frame in pixels, from least to most: 30 to 36 and 9 to 16 tokens. Pictures all take about
# as many tokens: attention sees shares of them, and would count two things among 16 tokens as four or five among 36.
PICTURE_PIXELS, FRAME_PIXELS = (150 * 150, 168 * 168), (84 * 84, 112 * 112)
# Sides of pictures in patches (height, width) that smart resizing gives for these areas.
GRIDS = ((12, 12), (12, 12), (12, 12), (12, 12), (10, 14), (14, 10), (10, 12), (12, 10), (8, 16), (16, 8))
# At first only small ones, which are seen at less than half the cost.
SMALL_GRIDS = ((8, 8), (8, 8), (8, 10), (10, 8))
SMALL_SHARE = 0.5
CLIP_GRIDS = ((8, 8), (8, 8), (6, 10))
VISION_START, VISION_END, IMAGE, VIDEO = (
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
NEW = (VISION_START, VISION_END, IMAGE, VIDEO)
VOCABULARY = 6208  # Sprout's 6,144, the four above, and rows to a multiple of 64
TALKS = 32  # pictures in a batch
# Tokens of a row, and of one with two pictures; always the same, because oneDNN prepares its kernels for each shape.
WIDTH, WIDE = 112, 144
TEXT_EVERY = 4  # one batch of Sprout's own conversations after so many batches of pictures
EYES_RATE = 0.005
LANGUAGE_RATE = 0.006  # Muon's for Sprout's matrices: at twice that it forgets how to talk
WARM = 0.04  # share of the time in which the language's rate rises
LESSONS_WEIGHT = 0.3
LESSONS = ("what", "colour", "middle", "count")
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}{{ '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or 'image' in part %}{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% elif part['type'] == 'video' or 'video' in part %}{{ '<|vision_start|><|video_pad|><|vision_end|>' }}"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Batch:
    """Rows with equally sized pictures.

    `pixels` are uint8 [pictures, frames, height, width, 3]; `ids`, `answer` and `places` (3 of them) are padded;
    `lessons` and `counts` are what `eyes.targets` gives.
    """

    pixels: np.ndarray
    ids: np.ndarray
    answer: np.ndarray
    places: np.ndarray
    clip: bool
    lessons: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Plan:
    """Seconds of talks, those of first lessons before, the share of the talks' time with small pictures, the share of the
    usual rates, and the seed."""

    seconds: float
    first: float = 0.0
    small: float = SMALL_SHARE
    rate: float = 1.0
    seed: int = 2031


def config(ids: dict[str, int]) -> Qwen2VLConfig:
    """7.1 million parameters, 2.0 of them in the eyes."""
    base = pretrain.config()
    text = {
        name: getattr(base, name)
        for name in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
                     "max_position_embeddings", "tie_word_embeddings", "rms_norm_eps", "initializer_range", "attention_dropout",
                     "bos_token_id", "eos_token_id", "pad_token_id")
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [8, 12, 12]}
    return Qwen2VLConfig(
        text_config={**text, "vocab_size": VOCABULARY, "use_sliding_window": False, "rope_parameters": rope},
        vision_config={
            "depth": 5, "embed_dim": 160, "num_heads": 8, "mlp_ratio": 3, "hidden_size": base.hidden_size, "patch_size": PATCH,
            "spatial_merge_size": MERGE, "temporal_patch_size": FRAMES_A_PATCH,
        },
        image_token_id=ids[IMAGE], video_token_id=ids[VIDEO], vision_start_token_id=ids[VISION_START], vision_end_token_id=ids[VISION_END],
        tie_word_embeddings=True,
    )  # fmt: skip


def with_eyes(base: Path, ids: dict[str, int]) -> Qwen2VLForConditionalGeneration:
    """A model whose language part has the weights of Sprout."""
    made = Qwen2VLForConditionalGeneration._from_config(
        config(ids), attn_implementation="sdpa", dtype=torch.float32
    )
    own = Qwen2ForCausalLM.from_pretrained(base, dtype=torch.float32).model.state_dict()
    words = made.model.language_model.embed_tokens.weight
    with torch.no_grad():
        words.normal_(0, float(own["embed_tokens.weight"].std()) / 2)
        words[: tok.SIZE] = own.pop("embed_tokens.weight")
    missing, unexpected = made.model.language_model.load_state_dict(own, strict=False)
    assert not unexpected and set(missing) <= {"embed_tokens.weight"}, (missing, unexpected)
    open_eyes(made)
    return made


def encoded(tokenizer: Tokenizer, talk: Talk, tokens: int) -> tuple[list[int], list[bool]]:
    """Ids of a talk and whether each is part of an answer; a mark becomes the tokens of its picture."""
    pad = VIDEO if talk.clip else IMAGE
    mark = "<video>" if talk.clip else "<image>"
    ids: list[int] = []
    answer: list[bool] = []
    for text, learned in tok.segments(talk.chat):
        text = text.replace(mark, VISION_START + pad * tokens + VISION_END)
        piece = tokenizer.encode(text, add_special_tokens=False).ids
        ids += piece
        answer += [learned] * len(piece)
    return ids, answer


def places_of(ids: list[int], pad: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Positions in time, height and width [3, tokens] as Qwen2-VL counts them."""
    found = np.zeros((3, len(ids)), dtype=np.int64)
    times, high, wide = shape
    block = np.stack(np.meshgrid(np.arange(times), np.arange(high), np.arange(wide), indexing="ij")).reshape(3, -1)  # fmt: skip
    at = place = 0
    while at < len(ids):
        if ids[at] == pad:
            found[:, at : at + block.shape[1]] = block + place
            at += block.shape[1]
            place += max(times, high, wide)
        else:
            found[:, at] = place
            at += 1
            place += 1
    return found


def make_batch(rng: random.Random, tokenizer: Tokenizer, small: bool = False) -> Batch:
    """Talks about pictures of one size, or clips. `small`: only small pictures."""
    roll = rng.random()
    clip = roll < 0.1
    double = not clip and roll < 0.15
    grid = rng.choice(CLIP_GRIDS if clip else SMALL_GRIDS if small else GRIDS)
    frames = rng.choice([2, 4, 4, 6, 8]) if clip else 1
    size = (grid[1] * PATCH, grid[0] * PATCH)
    times = max(1, frames // FRAMES_A_PATCH)
    shape = (times, grid[0] // MERGE, grid[1] // MERGE)
    talks = []
    for _ in range(TALKS // 2 if double else TALKS):
        zh = rng.random() < 0.5
        drawn = _drawn_size(rng, size)
        if clip:
            talks.append(looking.clip(rng, zh, drawn, frames))
        else:
            talks.append((looking.two_pictures if double else looking.picture_talk)(rng, zh, drawn))
    width = WIDE if double else WIDTH
    rows = [_fitting(tokenizer, talk, math.prod(shape), width) for talk in talks]
    pad = tokenizer.token_to_id(tok.END)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    answer = np.zeros((len(rows), width), dtype=bool)
    places = np.zeros((3, len(rows), width), dtype=np.int64)
    mark = tokenizer.token_to_id(VIDEO if clip else IMAGE)
    for k, (row, learned) in enumerate(rows):
        ids[k, : len(row)], answer[k, : len(row)] = row, learned
        places[:, k, : len(row)] = places_of(row, mark, shape)
    pictures = [
        [np.asarray(picture.resize(size, 3)) for picture in group]
        for talk in talks
        for group in ([talk.pictures] if clip else [(each, each) for each in talk.pictures])
    ]
    marks: list[Marks | None] = [None] * len(pictures)
    if not clip:
        marks = [each for talk in talks for each in talk.marks or (None,) * len(talk.pictures)]
    lessons = targets(marks, grid)
    return Batch(np.array(pictures, dtype=np.uint8), ids, answer, places, clip, *lessons)


def _fitting(tokenizer: Tokenizer, talk: Talk, tokens: int, width: int) -> tuple[list[int], list[bool]]:
    """A talk without the last exchanges for which there is no room."""
    while True:
        ids, answer = encoded(tokenizer, talk, tokens)
        if len(ids) <= width or len(talk.chat) <= 3:
            return ids[:width], answer[:width]
        talk = replace(talk, chat=talk.chat[:-2])


def _drawn_size(rng: random.Random, size: tuple[int, int]) -> tuple[int, int]:
    """The size in which a picture is drawn before it is resized: as large, smaller or larger."""
    scale = rng.choice([1.0, 1.0, 0.8, 1.3, 1.7, 2.4])
    return round(size[0] * scale), round(size[1] * scale)


def produce(queue: Any, folder: Path, seed: int, small_until: float) -> None:
    """Makes batches for ever, in a process of its own; small ones until that time."""
    rng = random.Random(seed)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    while True:
        queue.put(make_batch(rng, tokenizer, time.time() < small_until))


def batches(folder: Path, plan: Plan) -> Iterator[Batch]:
    """Batches of talks, made beside the training."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(maxsize=6)
    until = time.time() + plan.first + plan.seconds * plan.small
    context.Process(target=produce, args=(queue, folder, plan.seed, until), daemon=True).start()
    while True:
        yield queue.get()


def picture_loss(model: Any, lessons: Lessons, batch: Batch, marks: dict[bool, int], talk: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:  # fmt: skip
    """Mean loss over the answers' tokens (0 if there is no talk), and those of the lessons for the eyes."""
    ids = torch.from_numpy(batch.ids)
    answer = torch.from_numpy(batch.answer[:, 1:])
    with torch.autocast("cpu", torch.bfloat16):
        seen = look(model, torch.from_numpy(batch.pixels))
        plain = []
        if not batch.clip:
            plain = lessons(seen, torch.from_numpy(batch.lessons), torch.from_numpy(batch.counts))
        if not talk:
            return torch.zeros(()), plain
        words = model.model.language_model.embed_tokens(ids)
        tokens = hand_over(model, seen, len(batch.pixels))
        words = words.masked_scatter((ids == marks[batch.clip])[..., None], tokens.to(words.dtype))
        hidden = model.model.language_model(
            inputs_embeds=words, position_ids=torch.from_numpy(batch.places), use_cache=False
        )
        logits = model.lm_head(hidden.last_hidden_state[:, :-1][answer])
    return functional.cross_entropy(logits.float(), ids[:, 1:][answer]), plain


def text_loss(model: Any, group: tuple[int, list[pretrain.Row]], generator: Any, pad: int) -> torch.Tensor:
    """The loss of Sprout's own training."""
    ids, spots, goal = pretrain.tensors(*group, generator, pad)
    with torch.autocast("cpu", torch.bfloat16):
        words = model.model.language_model.embed_tokens(ids)
        places = torch.arange(ids.shape[1]).expand(3, *ids.shape)
        hidden = model.model.language_model(inputs_embeds=words, position_ids=places, use_cache=False)
        logits = model.lm_head(hidden.last_hidden_state.flatten(0, 1)[spots])
    return functional.cross_entropy(logits.float(), goal)


def optimisers(model: Qwen2VLForConditionalGeneration, lessons: Lessons, rate: float) -> list[torch.optim.Optimizer]:  # fmt: skip
    """Muon for matrices, gentler on those that come from Sprout; AdamW for the rest."""
    eyes, language, others = [], [], list(lessons.parameters())
    for name, parameter in model.named_parameters():
        if parameter.ndim != 2 or "embed" in name or "lm_head" in name:
            others.append(parameter)
        else:
            (eyes if "visual" in name else language).append(parameter)
    muon = torch.optim.Muon(
        [{"params": eyes, "lr": EYES_RATE * rate}, {"params": language, "lr": LANGUAGE_RATE * rate}],
        weight_decay=0.03,
        momentum=0.95,
    )
    return [muon, torch.optim.AdamW(others, lr=1e-3 * rate, betas=(0.9, 0.98), weight_decay=0.0)]


def shares(done: float, first: float, step: int) -> tuple[float, float]:
    """The shares of the eyes' and of the language's peak rates, `done` (0 to 1) of the whole time having passed.

    `first` is the share of the first lessons, in which the language does not move; afterwards it warms up.
    """
    fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
    warm = min(1.0, (done - first) / WARM) if done > first else 0.0
    return min(1.0, (step + 1) / 80) * fall, warm * fall


def train(model: Qwen2VLForConditionalGeneration, folder: Path, plan: Plan) -> None:
    """Trains for the planned time; a checkpoint every five minutes in `folder`, which holds the tokenizer."""
    torch.manual_seed(plan.seed)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    marks = {False: tokenizer.token_to_id(IMAGE), True: tokenizer.token_to_id(VIDEO)}
    lessons = Lessons(model.config.vision_config.embed_dim)
    pools = optimisers(model, lessons, plan.rate)
    (eyes, language), (others,) = (pool.param_groups for pool in pools)
    peaks = {id(group): group["lr"] for group in (eyes, language, others)}
    generator = torch.Generator().manual_seed(plan.seed)
    texts = text_batches(tokenizer, plan.seed)
    pad = tokenizer.token_to_id(tok.END)
    whole = plan.first + plan.seconds
    model.train()
    begun = saved = time.monotonic()
    shown: dict[str, list[float]] = {name: [] for name in ("talks", *LESSONS, "texts")}
    for step, batch in enumerate(batches(folder, plan)):
        passed = time.monotonic() - begun
        if passed >= whole:
            break
        seeing, speaking = shares(passed / whole, plan.first / whole, step)
        eyes["lr"], language["lr"] = peaks[id(eyes)] * seeing, peaks[id(language)] * speaking
        others["lr"] = peaks[id(others)] * seeing
        talk = passed >= plan.first
        if not talk and batch.clip:
            continue
        told, plain = picture_loss(model, lessons, batch, marks, talk)
        (told + (LESSONS_WEIGHT if talk else 1.0) * sum(plain, torch.zeros(()))).backward()
        shown["talks"].append(told.item())
        for name, each in zip(LESSONS, plain, strict=False):
            shown[name].append(each.item())
        if talk and step % TEXT_EVERY == TEXT_EVERY - 1:
            loss = text_loss(model, next(texts), generator, pad)
            loss.backward()
            shown["texts"].append(loss.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for pool in pools:
            pool.step()
            pool.zero_grad(set_to_none=True)
        if (step + 1) % 10 == 0:
            means = {name: round(sum(each) / max(1, len(each)), 3) for name, each in shown.items()}
            print(f"step {step + 1} {means} {time.monotonic() - begun:.0f} s", flush=True)
            shown = {name: [] for name in shown}
        if time.monotonic() - saved > 300:
            save(model, folder)
            saved = time.monotonic()


def text_batches(tokenizer: Tokenizer, seed: int) -> Iterator[tuple[int, list[pretrain.Row]]]:
    """Sprout's own conversations, without end."""
    while True:
        rows = pretrain.encode(tokenizer, corpus.generate(8000, seed, corpus.LAST))
        yield from pretrain.batches(rows, seed)
        seed += 1


def save(model: Qwen2VLForConditionalGeneration, folder: Path) -> None:
    """Weights in bf16 (and in fp32 beside them, to go on from), config and a greedy generation config."""
    state = model.state_dict()
    torch.save(state, folder / "whole.pt")
    copy = Qwen2VLForConditionalGeneration._from_config(model.config, dtype=torch.float32)
    copy.load_state_dict(state)
    copy = copy.to(torch.bfloat16)
    copy.config.dtype = torch.bfloat16
    end = tok.SIZE - 3
    copy.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=256, eos_token_id=[tok.SIZE - 1, end], pad_token_id=end
    )
    copy.save_pretrained(folder)


def save_processor(base: Path, folder: Path) -> dict[str, int]:
    """Tokenizer with the four new tokens, chat template and processor; the ids of the new tokens."""
    from transformers import AutoTokenizer, Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(base / name, folder / name)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in NEW])
    tokenizer.save(str(folder / "tokenizer.json"))
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["additional_special_tokens"] += NEW
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    own = AutoTokenizer.from_pretrained(folder)
    sizes = {"patch_size": PATCH, "merge_size": MERGE, "temporal_patch_size": FRAMES_A_PATCH}
    picture, frame = (
        {"shortest_edge": least, "longest_edge": most} for least, most in (PICTURE_PIXELS, FRAME_PIXELS)
    )
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(size=picture, **sizes), own, Qwen2VLVideoProcessor(size=frame, **sizes), chat_template=TEMPLATE
    )  # fmt: skip
    processor.save_pretrained(folder)
    return {name: tokenizer.token_to_id(name) for name in NEW}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of Sprout")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new model")
    parser.add_argument("--minutes", type=float, default=70, help="of talks")
    parser.add_argument(
        "--first", type=float, default=12, help="minutes of first lessons for the eyes before"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument(
        "--small", type=float, default=SMALL_SHARE, help="share of the time with small pictures"
    )
    parser.add_argument("--rate", type=float, default=1.0, help="share of the usual learning rates")
    parser.add_argument("--seed", type=int, default=2031)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    ids = save_processor(given.base, given.out)
    model = with_eyes(given.base, ids)
    if given.resume:
        model.load_state_dict(torch.load(given.out / "whole.pt", weights_only=True))
    print(f"{model.num_parameters():,} parameters", flush=True)
    plan = Plan(given.minutes * 60, given.first * 60, given.small, given.rate, given.seed)
    train(model, given.out, plan)
    save(model, given.out)
    (given.out / "whole.pt").unlink()


if __name__ == "__main__":
    main()
