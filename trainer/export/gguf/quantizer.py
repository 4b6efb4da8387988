"""llama.cpp's quantiser as llama-cpp-python brings it, in a process of its own: it may abort.

python -m trainer.export.gguf.quantizer FROM.gguf TO.gguf Q4_K_M
"""

from __future__ import annotations

import sys

# The numbers by which llama.cpp knows the k formats.
NUMBERS = {
    "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18,
    "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9,
}  # fmt: skip


def main(given: str, wanted: str, kind: str) -> int:
    """The exit code: 0 when the file is written."""
    import llama_cpp

    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = NUMBERS[kind]
    return int(llama_cpp.llama_model_quantize(given.encode(), wanted.encode(), settings))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
