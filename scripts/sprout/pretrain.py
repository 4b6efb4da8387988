"""Pre-training from scratch: a plain PyTorch loop over rows batched by length."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from spin import Chat, Marked
from tokenizer import END, SIZE, STOP, segments
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

BATCH_TOKENS = 6144
PROMPT_SHARE = 0.2  # of the prompt tokens count in the loss: enough to learn the language, cheap in logits
WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)  # divisors of BATCH_TOKENS
LONGEST = 1024
POOL = 64


@dataclass(frozen=True)
class Plan:
    """How long and how fast: steps, peak learning rates of Muon (matrices) and AdamW (the rest)."""

    steps: int
    stop: int | None = None  # ends earlier than the schedule of the learning rate
    matrix_rate: float = 0.02
    other_rate: float = 3e-3
    warmup: int = 60
    seed: int = 7


def config() -> Qwen2Config:
    """5.1 million parameters; widths are multiples of 256 so that quantisers fit."""
    return Qwen2Config(
        vocab_size=SIZE, hidden_size=256, intermediate_size=512, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=2,
        head_dim=64, max_position_embeddings=2048, tie_word_embeddings=True, use_sliding_window=False, initializer_range=0.02,
        bos_token_id=None, eos_token_id=SIZE - 1, pad_token_id=SIZE - 3, attention_dropout=0.0,
    )  # fmt: skip


Row = tuple[list[int], list[bool]]


def encode(tokenizer: Tokenizer, items: Iterable[Chat | Marked | str]) -> list[Row]:
    """Ids of each item and whether each is part of an answer."""
    pieces, counts = [], []
    for item in items:
        parts = segments(item)
        pieces += parts
        counts.append(len(parts))
    encoded = [
        encoding.ids
        for encoding in tokenizer.encode_batch_fast([text for text, _ in pieces], add_special_tokens=False)
    ]
    rows: list[Row] = []
    at = 0
    for count in counts:
        ids: list[int] = []
        answer: list[bool] = []
        for index in range(at, at + count):
            ids += encoded[index]
            answer += [pieces[index][1]] * len(encoded[index])
        rows.append((ids[:LONGEST], answer[:LONGEST]))
        at += count
    return rows


def batches(rows: list[Row], seed: int) -> Iterator[tuple[int, list[Row]]]:
    """Batches of rows with their common width: each holds `BATCH_TOKENS` places. Shuffled in large pools.

    All shapes come from `WIDTHS`, because oneDNN prepares its kernels anew for every shape that it has not seen.
    """
    rng = random.Random(seed)
    order = list(range(len(rows)))
    rng.shuffle(order)
    waiting: dict[int, list[Row]] = {width: [] for width in WIDTHS}
    ready: list[tuple[int, list[Row]]] = []
    for index in order:
        width = next(width for width in WIDTHS if len(rows[index][0]) <= width)
        waiting[width].append(rows[index])
        if len(waiting[width]) == BATCH_TOKENS // width:
            ready.append((width, waiting[width]))
            waiting[width] = []
        if len(ready) == POOL:
            rng.shuffle(ready)
            yield from ready
            ready = []
    rng.shuffle(ready)
    yield from ready


def tensors(
    width: int, group: list[Row], generator: torch.Generator, pad: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Padded ids [rows, width]; the flat places, a multiple of 1024 of them, that the loss counts; their next tokens.

    Answers come first; prompt tokens fill up `PROMPT_SHARE` of theirs and whatever room is left.
    """
    ids = torch.full((len(group), width), pad)
    worth = torch.zeros((len(group), width))
    for index, (row, answer) in enumerate(group):
        ids[index, : len(row)] = torch.tensor(row)
        worth[index, : len(row) - 1] = 1.0 + torch.tensor(answer[1:])
    goal = functional.pad(ids[:, 1:], (0, 1)).masked_fill(worth == 0, -100).flatten()
    worth = worth.flatten()
    wanted = int((worth == 2).sum()) + int(PROMPT_SHARE * int((worth == 1).sum()))
    room = min(-(-wanted // 1024) * 1024, len(worth))
    places = (worth + 0.5 * torch.rand(len(worth), generator=generator)).topk(room).indices
    return ids, places, goal[places]


def rate(step: int, plan: Plan) -> float:
    """Share of the peak learning rate: warm-up, then a cosine down to 2 %."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def optimisers(model: Qwen2ForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, which learn about twice as fast with it; AdamW for the rest."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        (
            matrices if parameter.ndim == 2 and "embed" not in name and "lm_head" not in name else others
        ).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=plan.matrix_rate, weight_decay=0.05, momentum=0.95),
        torch.optim.AdamW(others, lr=plan.other_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def pretrain(
    tokenizer: Tokenizer,
    rows: list[Row],
    plan: Plan,
    model: Qwen2ForCausalLM | None,
    checkpoints: Path | None = None,
) -> Qwen2ForCausalLM:
    """`model`, or a new one, trained as planned; a checkpoint every five minutes when a folder is given."""
    torch.manual_seed(plan.seed)
    if model is None:
        model = Qwen2ForCausalLM._from_config(config(), attn_implementation="sdpa", dtype=torch.float32)
    print(
        f"{model.num_parameters():,} parameters, {len(rows):,} rows, {sum(len(ids) for ids, _ in rows):,} tokens",
        flush=True,
    )
    model.train()
    body = torch.compile(model.model, dynamic=True)  # 1.8 times as fast here; compiling takes about 80 s
    pools = optimisers(model, plan)
    peaks = [group["lr"] for pool in pools for group in pool.param_groups]
    generator = torch.Generator().manual_seed(plan.seed)
    pad = tokenizer.token_to_id(END)
    started = saved = time.monotonic()
    tokens, shown, step = 0, 0.0, 0
    source = batches(rows, plan.seed)
    for step in range(plan.stop or plan.steps):
        group = next(source, None)
        if group is None:
            source = batches(rows, plan.seed + step)
            group = next(source)
        for pool in pools:
            pool.param_groups[0]["lr"] = peaks[pools.index(pool)] * rate(step, plan)
        ids, places, goal = tensors(*group, generator, pad)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = body(input_ids=ids, use_cache=False).last_hidden_state.flatten(0, 1)[places]
            logits = model.lm_head(hidden)
        loss = functional.cross_entropy(logits.float(), goal)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for pool in pools:
            pool.step()
            pool.zero_grad(set_to_none=True)
        tokens += sum(len(row) for row, _ in group[1])
        shown += loss.item()
        if (step + 1) % 50 == 0:
            spent = time.monotonic() - started
            print(
                f"step {step + 1} loss {shown / 50:.3f} {tokens:,} tokens {tokens / spent:,.0f}/s {spent:.0f} s",
                flush=True,
            )
            shown = 0.0
        if checkpoints and time.monotonic() - saved > 300:
            save(model, checkpoints)
            saved = time.monotonic()
    return model


def save(model: Qwen2ForCausalLM, folder: Path) -> None:
    """Weights in bf16, config and a greedy generation config."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = Qwen2ForCausalLM._from_config(config(), dtype=torch.float32)
    copy.load_state_dict(model.state_dict())
    copy = copy.to(torch.bfloat16)
    copy.config.dtype = torch.bfloat16
    copy.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=256, eos_token_id=[SIZE - 1, SIZE - 3], pad_token_id=SIZE - 3
    )
    copy.save_pretrained(folder)


__all__ = ["STOP", "Plan", "batches", "config", "encode", "pretrain", "save"]
