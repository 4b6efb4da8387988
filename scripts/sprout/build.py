"""Build Sprout from nothing: corpus, tokenizer, pre-training. `python scripts/sprout/build.py --out models/sprout`"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import corpus
import pretrain
import tokenizer as tok
import torch
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM


@dataclass(frozen=True)
class Phase:
    """A part of the training: which mix, how many conversations and texts, and the plan of the loop."""

    mix: list[tuple[corpus.Maker, float]]
    items: int
    seed: int
    plan: pretrain.Plan


# First the languages, then many sums, at last more wordings while the learning rate falls to the end.
PHASES = (
    Phase(corpus.MIX, 100_000, 2026, pretrain.Plan(steps=3000, stop=875)),
    Phase(corpus.LATER, 100_000, 2027, pretrain.Plan(1900, 1130, 0.015, 2e-3, warmup=30, seed=8)),
    Phase(corpus.LAST, 70_000, 2028, pretrain.Plan(750, None, 0.008, 1.2e-3, warmup=20, seed=9)),
    Phase(corpus.LAST, 20_000, 2029, pretrain.Plan(170, None, 0.004, 6e-4, warmup=15, seed=10)),
)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoints", type=Path, help="folder for a checkpoint every five minutes")
    parser.add_argument("--resume", type=Path, help="folder of an earlier phase, to go on from")
    parser.add_argument("--phase", type=int, default=0, help="which phase comes next, counted from 0")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    started = time.monotonic()
    model = Qwen2ForCausalLM.from_pretrained(given.resume, dtype=torch.float32) if given.resume else None
    tokenizer = Tokenizer.from_file(str(given.resume / "tokenizer.json")) if given.resume else _tokenizer()
    for folder in filter(None, (given.out, given.checkpoints)):
        tok.save(tokenizer, folder)
    for phase in PHASES[given.phase :]:
        rows = pretrain.encode(tokenizer, corpus.generate(phase.items, phase.seed, phase.mix))
        print(f"corpus of a phase after {time.monotonic() - started:.0f} s", flush=True)
        model = pretrain.pretrain(tokenizer, rows, phase.plan, model, given.checkpoints)
        pretrain.save(model, given.out)
    print(f"done after {time.monotonic() - started:.0f} s", flush=True)


def _tokenizer() -> Tokenizer:
    items = corpus.generate(40_000, PHASES[0].seed)
    texts = [
        text.removesuffix(tok.STOP).removesuffix(tok.END) for item in items for text, _ in tok.segments(item)
    ]
    return tok.train(texts + tok.alphabet())


if __name__ == "__main__":
    main()
