"""The workspace's own data folder, and the uploads in it that nobody waits for any more."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from pathlib import Path

import psutil

from trainer.errors import UserError
from trainer.jobs.owner import Owner
from trainer.paths import DATA, write_atomic

KEPT_S = 24 * 3600
_OWNER = "owner.json"
_TOKEN = re.compile(r"[0-9a-f]{32}")


def own_data(root: Path) -> Path:
    """The workspace's data folder, made from the program's when there is none: that one is never written to.

    Raises UserError when it cannot be made.
    """
    own = root / "data"
    if own.is_dir():
        return own
    copy = root / f".data-{secrets.token_hex(8)}"
    try:
        shutil.copytree(DATA, copy, ignore=shutil.ignore_patterns(".*"))
        try:
            copy.rename(own)
        except OSError:
            # Another server of this workspace was quicker.
            if not own.is_dir():
                raise
    except OSError as error:
        raise UserError("data_folder_closed", folder=str(own), reason=error.strerror or str(error)) from error
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return own


def new_upload(staging: Path) -> Path:
    """A new folder whose name is a token that cannot be guessed; it is kept as long as this process lives and uses it."""
    folder = staging / secrets.token_hex(16)
    folder.mkdir()
    pid = os.getpid()
    owner = {"pid": pid, "started": psutil.Process(pid).create_time()}
    write_atomic(folder / _OWNER, json.dumps(owner))
    return folder


def use(folder: Path) -> None:
    """Begins the day anew after which an upload is removed. Raises OSError when it is gone."""
    os.utime(folder / _OWNER)


def sweep(staging: Path) -> None:
    """Removes uploads whose process has ended or that were not used for a day, and what changes left behind.

    To be called while nobody else changes the data folder.
    """
    for path in list(staging.iterdir()):
        if not path.is_dir():
            continue
        if path.name.startswith("old-") or (_TOKEN.fullmatch(path.name) and not _is_wanted(path)):
            shutil.rmtree(path, ignore_errors=True)


def _is_wanted(folder: Path) -> bool:
    try:
        used = (folder / _OWNER).stat().st_mtime
        owner = Owner(**json.loads((folder / _OWNER).read_text(encoding="utf-8")), events=0)
    except FileNotFoundError:
        # Its process is about to write it down, or died before it could.
        return _age(folder) < 60
    except (OSError, ValueError, TypeError):
        return False
    return owner.lives() and time.time() - used < KEPT_S


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
