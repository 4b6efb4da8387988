"""What this machine and its installation are, for `python -m trainer env` and for reports of defects."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import psutil

from trainer import __version__
from trainer.device import listed as accelerators

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "safetensors",
    "gradio",
)


def package_version(name: str) -> str:
    """The installed version, without importing the package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def device() -> str:
    """The device that a run would use, with its memory. Imports torch, which takes seconds."""
    import torch

    if found := accelerators():
        return "; ".join(
            f"{each.name}, {each.free / 2**30:.1f} of {each.total / 2**30:.1f} GiB free" for each in found
        )
    return f"CPU, {torch.get_num_threads()} threads"


def report() -> str:
    """Versions, device and memory, one fact a line."""
    memory = psutil.virtual_memory()
    facts = [
        ("TuneBoard", __version__),
        ("Python", platform.python_version()),
        ("System", platform.platform()),
        *((name, package_version(name)) for name in PACKAGES),
        ("Device", device()),
        ("Memory", f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"),
    ]
    return "".join(f"{name:<14}{value}\n" for name, value in facts)
