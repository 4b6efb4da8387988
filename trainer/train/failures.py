"""What goes wrong on the way -> sentences."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from safetensors import SafetensorError

from trainer import device as accelerator
from trainer.errors import UserError
from trainer.model.memory import is_out_of_memory

# torch and safetensors write with their own code, whose errors carry no errno.
NO_ROOM = ("no space left", "storagefull", "code: 28", "disk quota exceeded")
NOT_WRITTEN = ("pytorchstreamwriter failed", "error while serializing", "unexpected pos")
MISMATCH = "deepspeed config values that mismatch"
# Below this a failed write is taken for a full disk.
LITTLE_ROOM = 4 * 1024 * 1024


def explain(error: Exception, folder: Path) -> UserError | None:
    """The sentence for an error that a person can do something about; None for any other."""
    said = f"{type(error).__name__}: {error}".lower()
    if is_out_of_memory(error):
        return UserError("out_of_memory", device=accelerator.name())
    if MISMATCH in said:
        return UserError("deepspeed_mismatch", field="deepspeed", reason=_mismatches(str(error)))
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return UserError("out_of_memory", device=accelerator.name())
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    writing = isinstance(error, (OSError, RuntimeError, SafetensorError)) and any(
        words in said for words in NOT_WRITTEN
    )
    if full or any(words in said for words in NO_ROOM) or (writing and _room(folder) < LITTLE_ROOM):
        return UserError("disk_full", field="output_dir", path=str(folder))
    if isinstance(error, PermissionError) or writing:
        return UserError("write_failed", field="output_dir", path=str(folder), reason=_short(error))
    return None


def _mismatches(said: str) -> str:
    """Of transformers' words the lines that name a value."""
    return "; ".join(line.removeprefix("- ") for line in said.splitlines() if line.startswith("- "))[:300]


def _room(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return LITTLE_ROOM


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def require_writable(folder: Path) -> None:
    """Raises UserError when no file can be made in `folder`, which is made if need be."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError("disk_full", field="output_dir", path=str(folder)) from None
        reason = str(error.strerror or error)
        raise UserError("output_not_writable", field="output_dir", path=str(folder), reason=reason) from None
