"""What is being brought in: uploads by token, looked at, checked, registered."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainer.dataset.ingest import register as registering
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.checking import Checked, check
from trainer.dataset.ingest.cupboard import STAGING, Cupboard
from trainer.dataset.ingest.naming import propose_name
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.reading import Looked
from trainer.dataset.ingest.register import Registered
from trainer.dataset.ingest.samples import Sample, samples
from trainer.dataset.ingest.shape import Shape
from trainer.dataset.ingest.sniff import sniff
from trainer.dataset.ingest.task import Task
from trainer.dataset.ingest.unpack import Staged, stage
from trainer.errors import UserError, UserErrors
from trainer.jobs.place import locate_data
from trainer.jobs.staging import new_upload, own_data, sweep, use
from trainer.jobs.usage import runs_with

Checking = Task[Checked]
Registering = Task[Registered]


@dataclass
class Upload:
    """What is remembered of something staged. `replaces` is the dataset that it came from by `Shelf.change`."""

    staged: Staged
    looked: Looked
    kind: str = ""
    checking: Checking | None = None
    registering: Registering | None = None
    replaces: str = ""


class Uploads:
    """Uploads to the data folder of the workspace at `root`, or to another one (`folder`).

    Every method may be called from any thread.
    """

    def __init__(self, root: Path, limits: Limits | None = None, folder: Path | None = None) -> None:
        self.limits = limits or Limits()
        self._root = root.resolve()
        self._folder = folder
        self._uploads: dict[str, Upload] = {}
        self._lock = threading.RLock()

    @property
    def folder(self) -> Path:
        """The data folder: this workspace's own, or the one that comes with the program as long as it has none."""
        return self._folder or Path(locate_data("data", self._root))

    def receive(
        self, path: Path, source: str = "", media: Sequence[Path] = (), *, local: bool = False
    ) -> Staged:
        """Copies a dropped file and unpacks a zip; `source` is its own name. `local`: a person at a terminal named it,
        so media beside it are read, too. Raises UserError when it is refused."""
        cupboard = self._cupboard()
        folder = cupboard.staging
        try:
            folder = new_upload(cupboard.staging)
            beside = path.absolute().parent if local else None
            staged = stage(path, folder, source, media=media, limits=self.limits, beside=beside)
        except OSError as error:
            _remove(folder, cupboard)
            reason = error.strerror or str(error)
            raise UserError("data_folder_closed", folder=str(self.folder), reason=reason) from error
        except BaseException:
            _remove(folder, cupboard)
            raise
        with self._lock:
            self._uploads[staged.token] = Upload(staged, Looked())
        return staged

    def staged(self, token: str) -> Staged:
        """What was brought in under this token. Raises UserError when it is not there (any more)."""
        return self._upload(token).staged

    def discard(self, token: str) -> None:
        """Forgets something staged and removes its files; an unknown token is none's loss."""
        with self._lock:
            upload = self._uploads.pop(token, None)
        if upload:
            for task in (upload.checking, upload.registering):
                if task:
                    task.stop()
            shutil.rmtree(upload.staged.folder, ignore_errors=True)

    def recognise(self, token: str, tables: Sequence[str] = ()) -> Shape:
        """What the tables are, from their first rows. Raises UserError for a file that cannot be read."""
        upload = self._upload(token)
        shape = sniff(upload.staged, tables, self.limits)
        upload.kind = shape.kind
        return shape

    def samples(self, token: str, plan: Plan, count: int = 3) -> tuple[Sample, ...]:
        """The first rows under a plan, as conversations. Raises UserError for a mapping that cannot be used."""
        return samples(self._upload(token).staged, plan, self.limits, count)

    def check(self, token: str, plan: Plan) -> Checking:
        """Begins to read every row; another check of the same upload is stopped."""
        upload = self._upload(token)
        with self._lock:
            if upload.checking:
                upload.checking.stop()
            upload.checking = Task(
                lambda tell, stop: check(upload.staged, plan, self.limits, upload.looked, tell, stop)
            )
            return upload.checking

    def checking(self, token: str) -> Checking | None:
        """The check of this upload that was begun last."""
        return self._upload(token).checking

    def register(self, token: str, plan: Plan, name: str) -> Registering:
        """Begins to register. Raises UserError at once for a name that cannot be used, and for a mapping likewise.

        An upload that came from `change` takes the place of its dataset when the name is the same. A second press
        while it is on gives the same work again.
        """
        upload = self._upload(token)
        cupboard = self._cupboard()
        name = name.strip()
        with self._lock:
            if upload.registering and not upload.registering.done:
                return upload.registering
            replacing = bool(upload.replaces) and upload.replaces == name
            name = registering.require_free(cupboard, name, replacing)
            if problems := plan.mapping.problems():
                raise UserErrors(list(problems)) if len(problems) > 1 else problems[0]
            if replacing:
                self._require_idle(name)
            upload.registering = Task(
                lambda tell, stop: registering.register(
                    cupboard, upload.staged, plan, name, self.limits, kind=upload.kind, replacing=replacing,
                    looked=upload.looked, tell=tell, stop=stop,
                )
            )  # fmt: skip
            return upload.registering

    def propose_name(self, token: str) -> str:
        """A free, good name from the file's own; the dataset's name for one that is changed."""
        upload = self._upload(token)
        return upload.replaces or propose_name(Path(upload.staged.source).stem, Cupboard(self.folder).names())

    def tidy(self) -> None:
        """Finishes what a crash left half done and removes uploads of servers that have ended; a closed folder stays."""
        if (self.folder / STAGING).is_dir():
            with suppress(UserError):
                self._cupboard()

    def close(self) -> None:
        """Stops what is on and forgets every upload."""
        with self._lock:
            tokens = list(self._uploads)
        for token in tokens:
            self.discard(token)

    def _require_idle(self, name: str) -> None:
        """Raises UserError while a run needs the dataset."""
        using = runs_with(self._root, self.folder).get(name)
        if using:
            raise UserError("shelf_in_use", name=name, run=using[0])

    def _cupboard(self) -> Cupboard:
        """The data folder to be written to: this workspace's own, whole, and without uploads that nobody waits for."""
        if self._folder is None:
            own_data(self._root)
        cupboard = Cupboard(self.folder)
        with cupboard.changing():
            sweep(cupboard.staging)
        return cupboard

    def _upload(self, token: str) -> Upload:
        with self._lock:
            upload = self._uploads.get(token)
        try:
            if upload:
                use(upload.staged.folder)
                return upload
        except OSError:
            with self._lock:
                self._uploads.pop(token, None)
        raise UserError("staged_unknown")


def _remove(folder: Path, cupboard: Cupboard) -> None:
    if folder != cupboard.staging:
        shutil.rmtree(folder, ignore_errors=True)
