"""The data: which rows, how they are rendered, mixed and kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.options.declare import option

# Of plain text every token is trained, whoever says it.
_ANSWERS: dict[str, tuple[str, ...]] = {"stage": ("sft",)}


@dataclass(frozen=True)
class DataOptions:
    stage: Literal["sft", "pt"] = option(
        "sft", "What is learned: answers (sft), or plain text to its last word (pt).", label="Stage",
        panel="advanced",
    )  # fmt: skip
    dataset: tuple[str, ...] = option(
        (), "Names from dataset_info.json, separated by commas.", label="Dataset", panel="data", form=("identity",),
    )  # fmt: skip
    dataset_dir: str = option(
        "data", "Folder that holds dataset_info.json.", label="Data folder", panel="data",
    )  # fmt: skip
    eval_dataset: tuple[str, ...] = option(
        (), "Datasets for the evaluation loss, instead of a part held back.", label="Evaluation dataset",
        panel="evaluation",
    )  # fmt: skip
    template: str = option(
        "", "Chat template; empty means the model's own.", label="Template", panel="top",
    )  # fmt: skip
    cutoff_len: int = option(
        2048, "Longest row in tokens; what is longer is cut, the trained part last.", label="Cutoff length",
        panel="basics", min=4, max=131072, step=1,
    )  # fmt: skip
    max_samples: int | None = option(
        None, "Use only the first N rows of each dataset.", label="Max samples", panel="data", min=1, step=1,
    )  # fmt: skip
    train_on_prompt: bool = option(
        False, "Train on the questions too, not only on the answers.", label="Train on prompt", panel="advanced",
        when=_ANSWERS,
    )  # fmt: skip
    mask_history: bool = option(
        False, "Train only on the last answer of each conversation.", label="Mask history", panel="advanced",
        when=_ANSWERS,
    )  # fmt: skip
    packing: bool = option(
        False, "Fill each row up to the cutoff with several examples, which never see each other; texts (pt) are joined and cut.",
        label="Packing", panel="memory",
    )  # fmt: skip
    val_size: float = option(
        0.0, "Part of the rows held back for evaluation: a share below 1, or a number of rows.",
        label="Validation size", panel="evaluation", min=0, step=0.001,
    )  # fmt: skip
    preprocessing_num_workers: int | None = option(
        None, "Threads that turn rows into tokens.", label="Preprocessing workers", panel="advanced", min=1, max=256,
        step=1,
    )  # fmt: skip
    overwrite_cache: bool = option(
        False, "Render the rows again even when they are in the cache.", label="Overwrite cache", panel="advanced",
    )  # fmt: skip
    mix_strategy: Literal["concat", "interleave_under", "interleave_over", "interleave_once"] = option(
        "concat", "Several datasets one after another, or taking turns until the shortest or the longest is used up.",
        label="Mix strategy", panel="advanced",
    )  # fmt: skip
    interleave_probs: tuple[str, ...] = option(
        (), "Shares with which datasets take turns, one for each, separated by commas.", label="Interleave shares",
        panel="advanced", when={"mix_strategy": ("interleave_under", "interleave_over", "interleave_once")},
    )  # fmt: skip
    streaming: bool = option(
        False, "Read and render the rows while training, for data larger than memory; needs max_steps.",
        label="Streaming", panel="advanced",
    )  # fmt: skip
    buffer_size: int = option(
        16384, "Rows among which streaming shuffles.", label="Shuffle buffer", panel="advanced", min=1, step=1,
        when={"streaming": ("true",)},
    )  # fmt: skip
    tokenized_path: str = option(
        "", "Folder that keeps the rendered rows; where it has some, they are trained and the files are not read.",
        label="Tokenized path", panel="advanced",
    )  # fmt: skip
    eval_on_each_dataset: bool = option(
        False, "Show the evaluation loss of each dataset by itself.", label="Evaluate each dataset", panel="evaluation",
    )  # fmt: skip
    media_dir: str = option(
        "", "Folder of pictures and videos; empty means beside the data file, then the data folder.",
        label="Media folder", panel="multimodal",
    )  # fmt: skip
    default_system: str = option(
        "", "System prompt of rows that have none.", label="Default system prompt", panel="advanced",
        when=_ANSWERS,
    )  # fmt: skip
    enable_thinking: bool = option(
        True, "Reasoning models: learn an empty thought where a row has none; off removes all thoughts.",
        label="Enable thinking", panel="advanced", when=_ANSWERS,
    )  # fmt: skip
    preserve_thinking: bool = option(
        False, "Reasoning models: keep the thoughts of earlier answers.", label="Preserve thinking", panel="advanced",
        when=_ANSWERS,
    )  # fmt: skip
    image_max_pixels: int = option(
        768 * 768, "Larger pictures are made smaller, to this area.", label="Image max pixels", panel="multimodal",
        min=1, step=1,
    )  # fmt: skip
    image_min_pixels: int = option(
        32 * 32, "Smaller pictures are made larger, to this area.", label="Image min pixels", panel="multimodal",
        min=1, step=1,
    )  # fmt: skip
    video_max_pixels: int = option(
        256 * 256, "Larger frames of a video are made smaller, to this area.", label="Video max pixels",
        panel="multimodal", min=1, step=1,
    )  # fmt: skip
    video_min_pixels: int = option(
        16 * 16, "Smaller frames of a video are made larger, to this area.", label="Video min pixels",
        panel="multimodal", min=1, step=1,
    )  # fmt: skip
    video_fps: float = option(
        2.0, "Frames taken from each second of a video.", label="Video frames per second", panel="multimodal",
        min=0.01, max=120, step=0.1,
    )  # fmt: skip
    video_maxlen: int = option(
        128, "Most frames taken from one video.", label="Video most frames", panel="multimodal", min=1, max=4096, step=1,
    )  # fmt: skip
    identity_name: str = option(
        "Momo", "Replaces {{name}} in the rows: what the model shall call itself.", label="Its name",
        panel="data",
    )  # fmt: skip
    identity_author: str = option(
        "our workshop", "Replaces {{author}} in the rows: who made it.", label="Its maker", panel="data",
    )  # fmt: skip
