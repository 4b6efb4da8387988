"""The device that computes. Nothing else in this program knows what kinds of accelerators there are.

torch is imported when it is asked for, never with this module. Where Ascend's `torch_npu` is installed its devices are
taken, then NVIDIA's (and AMD's, which torch calls by the same name), then the processor. Not run on Ascend hardware:
its functions are those that https://gitee.com/ascend/pytorch documents under the names of torch.cuda.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import psutil

if TYPE_CHECKING:
    import torch

Kind = Literal["cuda", "npu", "cpu"]
# Which devices a process sees, by the variable that the driver reads before torch starts.
_VISIBILITY = {"cuda": "CUDA_VISIBLE_DEVICES", "npu": "ASCEND_RT_VISIBLE_DEVICES"}
# What the drivers of NVIDIA, of AMD and of Ascend put there.
_DRIVERS = (
    "/proc/driver/nvidia/version",
    "/dev/nvidiactl",
    "/dev/dxg",
    "/dev/kfd",
    "/dev/davinci_manager",
    "/dev/davinci0",
)
_CGROUP = Path("/sys/fs/cgroup")


class Facts(NamedTuple):
    """One accelerator of this machine; memory in bytes."""

    number: int
    name: str
    free: int
    total: int


def visibility_variable() -> str:
    """The environment variable that says which accelerators a process sees; torch is not imported."""
    return _VISIBILITY["npu" if importlib.util.find_spec("torch_npu") else "cuda"]


def is_known() -> bool:
    """Whether what computes here can be told at once: torch is there, or nothing looks like an accelerator."""
    return _torch_is_here() or not (
        any(map(Path.exists, map(Path, _DRIVERS))) or importlib.util.find_spec("torch_npu")
    )


def _torch_is_here() -> bool:
    """Whether torch is imported, and not just about to be by another thread."""
    module = sys.modules.get("torch")
    return module is not None and not getattr(module.__spec__, "_initializing", False)


def numbers() -> list[str]:
    """The accelerators of this machine by number, told by the files of their drivers; torch is not imported."""
    pattern = "davinci[0-9]*" if visibility_variable() == _VISIBILITY["npu"] else "nvidia[0-9]*"
    found = (each.name.lstrip("abcdefghijklmnopqrstuvwxyz") for each in Path("/dev").glob(pattern))
    return [str(each) for each in sorted(int(number) for number in found if number.isdigit())]


def kind() -> Kind:
    """What computes here: the name of torch's device type. Where no driver is, torch is not imported."""
    if not _torch_is_here() and is_known():
        return "cpu"
    import torch

    if importlib.util.find_spec("torch_npu"):
        importlib.import_module("torch_npu")
        if torch.npu.is_available():  # type: ignore[attr-defined]
            return "npu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def is_accelerated() -> bool:
    """Whether there is anything but the processor."""
    return kind() != "cpu"


def current() -> torch.device:
    """The device of this process; accelerate decides which one where there are several."""
    import torch

    return torch.device(kind())


def count() -> int:
    """The accelerators that this process sees; 0 without any."""
    return int(_library().device_count()) if is_accelerated() else 0


def listed() -> list[Facts]:
    """Every accelerator that this process sees, with its memory."""
    library = _library()
    return [
        Facts(number, str(library.get_device_name(number)), *map(int, library.mem_get_info(number)))
        for number in range(count())
    ]


def name() -> str:
    """The device as a person knows it: the accelerator's name, or CPU."""
    return str(_library().get_device_name()) if is_accelerated() else "CPU"


def has_bf16() -> bool:
    """Whether the accelerator computes in bf16 itself; an older one only imitates it."""
    if kind() == "cuda":
        return bool(_library().is_bf16_supported(including_emulation=False))
    return is_accelerated() and bool(_library().is_bf16_supported())


def free_memory(device: torch.device | None = None) -> int:
    """Bytes that can still be taken on an accelerator: what torch has set aside and does not use counts as free."""
    library = _library()
    unused = library.memory_reserved(device) - library.memory_allocated(device)
    return int(library.mem_get_info(device)[0] + unused)


def free_ram() -> int:
    """Bytes of the machine's memory that can still be taken, in a container no more than its own limit leaves."""
    return min(int(psutil.virtual_memory().available), _left_in_container())


def _left_in_container() -> int:
    """The machine's figures know nothing of a container's limit."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return sys.maxsize
    return limit - used + int(stat.get("inactive_file", 0))


def reserved_memory() -> int:
    """Bytes that torch has taken on the accelerator; 0 where it has none, or has not touched it yet."""
    library = _library()
    return int(library.memory_reserved()) if is_accelerated() and library.is_initialized() else 0


def peak_memory(device: torch.device | None = None) -> int:
    """The most bytes that were in use on the accelerator at once since `reset_peak`."""
    return int(_library().max_memory_allocated(device))


def reset_peak() -> None:
    """Begins to measure the peak anew; nothing on a processor."""
    if is_accelerated():
        _library().reset_peak_memory_stats()


def empty_cache() -> None:
    """Gives back what torch has set aside and does not use."""
    if is_accelerated():
        _library().empty_cache()


def _library() -> Any:
    import torch

    return torch.get_device_module(kind())
