"""Build Sprout from nothing: corpus, tokenizer, pre-training. `python scripts/sprout/build.py --out models/sprout`"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

import corpus
import pretrain
import tokenizer as tok

SEED = 2026
STEPS = 3000
ITEMS = 300_000


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimiser steps")
    parser.add_argument("--items", type=int, default=ITEMS, help="conversations and texts in the corpus")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoints", type=Path, help="folder for a checkpoint every five minutes")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    started = time.monotonic()
    items = list(corpus.generate(given.items, SEED))
    print(f"corpus after {time.monotonic() - started:.0f} s", flush=True)
    texts = [text for item in items[:40_000] for text, _ in tok.segments(item)]
    tokenizer = tok.train([text.removesuffix(tok.STOP).removesuffix(tok.END) for text in texts] + tok.alphabet())
    for folder in filter(None, (given.out, given.checkpoints)):
        tok.save(tokenizer, folder)
    rows = pretrain.encode(tokenizer, items)
    print(f"tokenizer and ids after {time.monotonic() - started:.0f} s", flush=True)
    model = pretrain.pretrain(tokenizer, rows, pretrain.Plan(steps=given.steps), given.checkpoints)
    pretrain.save(model, given.out)
    print(f"done after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
