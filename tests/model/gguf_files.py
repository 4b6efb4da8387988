"""GGUF files for tests: small ones of any content, which llama.cpp need not like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy

WORDS = ["<unk>", "<s>", "</s>", "a", "b", "<|turn|>"]


def write_gguf(path: Path, architecture: str = "llama", *, words: bool = True, **more: Any) -> Path:
    """A file with a vocabulary of six words and three small tensors; `more` are strings or numbers of the header."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(128)
    if words:
        writer.add_tokenizer_model("llama")
        writer.add_token_list(WORDS)
        writer.add_token_types([2, 3, 3, 1, 1, 3])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
    for name, value in more.items():
        key = name.replace("__", ".")
        writer.add_string(key, value) if isinstance(value, str) else writer.add_uint32(key, value)
    random = numpy.random.default_rng(0)
    writer.add_tensor("token_embd.weight", random.standard_normal((6, 32), numpy.float32))
    q8 = gguf.quants.quantize(random.standard_normal((8, 64), numpy.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("output.weight", q8, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("output_norm.weight", numpy.ones(32, numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
