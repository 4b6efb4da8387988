"""What a dataset, and a file inside a dropped archive, may be called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from pathlib import PurePosixPath

from trainer.errors import UserError

LONGEST = 80
_BYTES = 255
# Names that Windows keeps for devices, with any ending: a folder that is called so cannot be copied there.
DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "123456789¹²³")]
)
# Names with a meaning of their own in the data folder.
_KEPT = frozenset(["dataset_info", "dataset_info.json", "original", "media"])


def is_device(part: str) -> bool:
    """Whether Windows takes the name for a device."""
    return part.split(".")[0].strip().casefold() in DEVICES


def _allowed(char: str) -> bool:
    return char in "-_." or unicodedata.category(char)[0] in "LNM"


def propose_name(wish: str, taken: Collection[str] = ()) -> str:
    """A good, free name near to what was wished: letters of any language, digits, `-`, `_` and `.`."""
    text = unicodedata.normalize("NFC", wish.encode("utf-8", "ignore").decode())
    last = re.split(r"[/\\]", text)[-1]
    base = re.sub(r"_+", "_", "".join(char if _allowed(char) else "_" for char in last)).strip("._-")
    base = _shortened(base, LONGEST - 10).strip("._-") or "dataset"
    if is_device(base) or base.casefold() in _KEPT:
        base = f"data_{base}"
    used = {each.casefold() for each in taken}
    name, number = base, 2
    while name.casefold() in used:
        name, number = f"{base}_{number}", number + 1
    return name


def require_name(name: str, taken: Collection[str] = ()) -> str:
    """The name without blanks around it. Raises UserError, with a good one proposed, when a dataset cannot have it."""
    given = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode()).strip()
    proposal = propose_name(given, taken)
    shown = given if len(given) <= 60 else f"{given[:60]}…"
    if not given:
        raise UserError("dataset_name_empty", field="name", proposal=proposal)
    if len(given) > LONGEST or len(given.encode()) > _BYTES - 20:
        raise UserError("dataset_name_long", field="name", name=shown, longest=LONGEST, proposal=proposal)
    if is_device(given) or given.casefold() in _KEPT:
        raise UserError("dataset_name_reserved", field="name", name=shown, proposal=proposal)
    if given.startswith((".", "-")) or given.endswith(".") or not all(_allowed(char) for char in given):
        raise UserError("dataset_name_signs", field="name", name=shown, proposal=proposal)
    if given.casefold() in {each.casefold() for each in taken}:
        raise UserError("dataset_name_taken", field="name", name=shown, proposal=proposal)
    return given


def _shortened(text: str, longest: int) -> str:
    text = text[:longest]
    while len(text.encode()) > _BYTES - 40:
        text = text[:-1]
    return text


def require_inner(name: str, archive: str) -> PurePosixPath:
    """Where a file of an archive goes, below the folder it is unpacked to.

    Raises UserError for a name that leads outside, is absolute, is too long, or is none on some system.
    """
    shown = name if len(name) <= 80 else f"{name[:80]}…"
    shown = "".join(char if char.isprintable() else "�" for char in shown)
    path = name.replace("\\", "/")
    if any(ord(char) < 32 or ord(char) == 127 for char in path):
        raise UserError("archive_name_signs", archive=archive, name=shown)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in parts:
        raise UserError("archive_outside", archive=archive, name=shown)
    if any(is_device(part) for part in parts):
        raise UserError("archive_device_name", archive=archive, name=shown)
    if any(len(part.encode()) > _BYTES for part in parts) or len(path.encode()) > 2048 or len(parts) > 32:
        raise UserError("archive_name_long", archive=archive, name=shown)
    return PurePosixPath(*parts)


def plain_source(name: str) -> str:
    """The last part of a file's own name as it may be kept on disk."""
    last = re.split(r"[/\\]", name.encode("utf-8", "replace").decode())[-1]
    clean = "".join(char if char.isprintable() and char not in '<>:"|?*' else "_" for char in last).strip(
        ". "
    )
    stem, dot, suffix = clean.rpartition(".")
    stem, suffix = (stem, suffix) if dot else (clean, "")
    if is_device(stem):
        stem = f"_{stem}"
    while len(stem.encode()) > 200:
        stem = stem[:-1]
    return f"{stem or 'data'}{dot}{suffix[:20]}"
