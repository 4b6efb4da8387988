"""Answers in Chat and in evaluations."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.options.declare import option


@dataclass(frozen=True)
class GenerateOptions:
    system: str = option("", "System prompt of the conversation.", label="System prompt", panel="chat")
    temperature: float = option(
        0.0, "0 always takes the likeliest token; higher is more varied.", label="Temperature", panel="chat", min=0,
        max=2, step=0.01,
    )  # fmt: skip
    top_p: float = option(
        0.7, "Draw only from the likeliest tokens that together have this probability.", label="Top-p", panel="chat",
        min=0.01, max=1, step=0.01,
    )  # fmt: skip
    max_new_tokens: int = option(
        512, "Longest answer in tokens.", label="Max new tokens", panel="chat", min=1, max=8192, step=1,
    )  # fmt: skip
