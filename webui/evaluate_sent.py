"""A row of an evaluation on its way to the chat."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from trainer.errors import UserError
from trainer.jobs.workspace import Workspace
from webui.partner import examined


class Sent(NamedTuple):
    """`whom` is a value of the chat's menu; `copies` are the row's pictures, which the chat may take and remove."""

    whom: str
    question: str
    copies: list[Path]


def sent_row(workspace: Workspace, run: str, row: str) -> Sent:
    """What the chat needs to ask a row again. Raises UserError for a run or a row that is gone."""
    job = workspace.jobs.get(run)
    number = int(row) if row.isdecimal() else -1
    found = workspace.results.row(run, number)
    copies = [_copy(media.path) for media in workspace.results.media(run, number) if media.path is not None]
    return Sent(examined(workspace.jobs, job), found.question, copies)


def _copy(path: Path) -> Path:
    try:
        return Path(shutil.copy(path, Path(tempfile.mkdtemp(prefix="tuneboard-row-")) / path.name))
    except OSError as error:
        raise UserError(
            "chat_media_closed", file=path.name, reason=error.strerror or type(error).__name__
        ) from error
