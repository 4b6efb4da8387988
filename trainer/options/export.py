"""An export: what is written for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.options.declare import option

EXPORT_FORMATS = ("adapter", "merged", "gguf", "ollama", "quantized")
GGUF_TYPES = (
    "f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0",
    "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_l", "q3_k_m", "q3_k_s", "q2_k",
)  # fmt: skip


@dataclass(frozen=True)
class ExportOptions:
    do_export: bool = option(
        False, "Write a model's files for other programs.", label="Export", panel="none",
    )  # fmt: skip
    export_format: tuple[str, ...] = option(
        ("merged",), "What is made: one of these or several, separated by commas.", label="Formats", panel="export",
        choices=EXPORT_FORMATS,
    )  # fmt: skip
    export_dir: str = option(
        "", "Folder for the files; empty means inside the run's own folder.", label="Export folder", panel="export",
    )  # fmt: skip
    infer_dtype: Literal["auto", "bfloat16", "float16", "float32"] = option(
        "auto", "Number format of the weights; auto keeps the one in which they are stored.", label="Weight format",
        panel="export",
    )  # fmt: skip
    export_size: float = option(
        5, "Largest weight file in GB (10^9 bytes).", label="Largest file", panel="export", min=0.001, step=0.5,
    )  # fmt: skip
    export_device: Literal["cpu", "auto"] = option(
        "cpu", "Where adapters are added to the weights; auto takes the GPU if there is one.", label="Merge on",
        panel="export",
    )  # fmt: skip
    gguf_type: tuple[str, ...] = option(
        ("f16",), "Number formats of GGUF files; Ollama gets the first. The k ones need llama-quantize.",
        label="GGUF type", panel="export", choices=GGUF_TYPES,
    )  # fmt: skip
    quantized_type: Literal["bnb_nf4", "bnb_int8", "torchao_int8", "torchao_int4"] = option(
        "bnb_nf4", "How the format quantized is made: bitsandbytes 4 or 8 bits, torchao int8 or int4 weights.",
        label="Quantized with", panel="export",
    )  # fmt: skip
    export_prompts: tuple[str, ...] = option(
        (), "Questions of your own, one a line, that the exported model is asked as a proof.", label="Your questions",
        panel="export",
    )  # fmt: skip
    export_hub_model_id: str = option(
        "", "Send the files to this repository (owner/name) of the hub; the token comes from the environment.",
        label="Send to hub", panel="export",
    )  # fmt: skip
    export_hub_private: bool = option(
        True, "Only you can see the repository on the hub.", label="Private repository", panel="export",
    )  # fmt: skip
    llama_cpp_dir: str = option(
        "", "Checkout of llama.cpp whose converter writes GGUF files of other families; only from a terminal.",
        label="llama.cpp folder", panel="none",
    )  # fmt: skip
