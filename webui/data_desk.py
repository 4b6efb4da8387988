"""What a person does in the data drawer, without gradio: each press takes what the page shows and returns what it shows next."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

from trainer.dataset.conversation import RowProblem
from trainer.dataset.files import Broken, read_items
from trainer.dataset.ingest.archive import MEDIA
from trainer.dataset.ingest.checking import Checked
from trainer.dataset.ingest.mapping import ROLES, TAGS
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.register import Registered
from trainer.dataset.ingest.repair import REPAIRS
from trainer.dataset.ingest.samples import Sample
from trainer.dataset.ingest.task import Task
from trainer.dataset.ingest.unpack import Staged
from trainer.errors import UserError, problems_of
from trainer.jobs.shelf import Shelf
from webui.data_state import Drawer, Press, Work

SAMPLES = 3
# Uploads that a page can come back to after a reload; those of many people at once are far fewer.
MOST_KEPT = 200


class DataDesk:
    """Everything that is asked on behalf of the drawer. Methods are thread-safe; a mistake becomes the drawer's `trouble`."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._lock = threading.RLock()
        self._kept: dict[str, Drawer] = {}
        self._registering: dict[str, Task[Registered]] = {}
        self._began: dict[str, float] = {}

    def staged(self, drawer: Drawer) -> Staged:
        """The file in hand. Raises UserError when it is gone."""
        return self.shelf.staged(drawer.token)

    def receive(self, drawer: Drawer, paths: Sequence[Path]) -> Drawer:
        """Takes in what was dropped: one table or archive, with or without pictures beside it."""
        # Two answers that say the same differ in `acts`: the page must see that there is one.
        drawer = replace(drawer, acts=drawer.acts + 1, trouble=None, lost=False, registered=None)
        return self._try(drawer, lambda: self._received(drawer, paths))

    def _received(self, drawer: Drawer, paths: Sequence[Path]) -> Drawer:
        media = [path for path in paths if path.suffix.lower() in MEDIA]
        tables = [path for path in paths if path not in media]
        if len(tables) != 1:
            raise UserError("page_one_table", found=len(tables))
        staged = self.shelf.receive(tables[0], tables[0].name, media)
        try:
            begun = self._recognised(Drawer(acts=drawer.acts), staged, 0)
            return replace(begun, name=self.shelf.propose_name(staged.token))
        except UserError:
            self.shelf.discard(staged.token)
            raise

    def _recognised(self, drawer: Drawer, staged: Staged, choice: int) -> Drawer:
        tables = staged.choices[choice].tables if staged.choices else ()
        shape = self.shelf.recognise(staged.token, tables)
        plan = Plan(tables, shape.mapping, shape.repairs)
        return self._sampled(replace(drawer, token=staged.token, step="columns", shape=shape), plan)

    def _sampled(self, drawer: Drawer, plan: Plan) -> Drawer:
        """With the rows as the plan reads them; none where it is not whole yet, which is said beside the columns."""
        drawer = replace(drawer, plan=plan, samples=(), kind="", page=1)
        if not plan.mapping.roles:
            return replace(drawer, samples=self._unreadable(drawer.token, plan))
        try:
            return replace(drawer, samples=self.shelf.samples(drawer.token, plan, SAMPLES))
        except UserError as error:
            if error.code == "staged_unknown":
                raise
            return drawer if plan.mapping.problems() else replace(drawer, trouble=error)

    def _unreadable(self, token: str, plan: Plan) -> tuple[Sample, ...]:
        """What is wrong with the first rows of tables none of whose first rows has columns."""
        staged = self.shelf.staged(token)
        items = islice(read_items(staged.files / plan.tables[0]), SAMPLES) if plan.tables else ()
        return tuple(
            Sample(
                item.number, item.file, problem=RowProblem(staged.source, item.number, *item.value, item.file)
            )
            for item in items
            if isinstance(item.value, Broken)
        )

    def act(self, drawer: Drawer, press: Press) -> Drawer:
        """The drawer after a press."""
        # What concerns no file in hand waits for nobody: an original may be large.
        with self._lock if drawer.token else nullcontext():
            # Presses can follow one another faster than their answers reach the page.
            drawer = self._kept.get(drawer.token, drawer) if drawer.token else drawer
            kept = replace(drawer, acts=drawer.acts + 1, asking="", renaming="", trouble=None, lost=False)
            # What has just been registered is still news to whoever opens the drawer, and to nobody later.
            kept = kept if press.act == "open" else replace(kept, registered=None)
            act = self._acts().get(press.act)
            return self._try(kept, lambda: act(kept, press, drawer)) if act else self._keep(kept)

    def _acts(self) -> dict[str, Callable[[Drawer, Press, Drawer], Drawer]]:
        return {
            "open": self._open,
            "choose": self._choose,
            "role": self._role,
            "tag": self._tag,
            "ask": self._ask,
            "check": self._check,
            "stop": self._stop,
            "repair": self._repair,
            "keep_out": self._keep_out,
            "columns": lambda drawer, press, before: self._to_columns(drawer),
            "kind": lambda drawer, press, before: replace(drawer, kind=press.id, page=_page(press.value)),
            "register": self._register,
            "discard": self._discard,
            "change": self._change,
            "delete": lambda drawer, press, before: replace(drawer, asking=self.shelf.get(press.id).name),
            "delete_it": self._delete,
            "rename": lambda drawer, press, before: replace(drawer, renaming=self.shelf.get(press.id).name),
            "save_name": self._save_name,
        }  # fmt: skip

    def _try(self, drawer: Drawer, act: Callable[[], Drawer]) -> Drawer:
        try:
            after = act()
            if after.token:
                self.shelf.staged(after.token)
        except UserError as error:
            after = (
                self._without(drawer) if error.code == "staged_unknown" else replace(drawer, trouble=error)
            )
        except Exception as error:
            logging.getLogger(__name__).exception("a press in the data drawer failed")
            after = replace(drawer, trouble=UserError("page_unexpected", reason=type(error).__name__))
        return self._keep(after)

    def _keep(self, drawer: Drawer) -> Drawer:
        with self._lock:
            if drawer.token:
                self._kept.pop(drawer.token, None)
                self._kept[drawer.token] = drawer
                while len(self._kept) > MOST_KEPT:
                    self._forget(next(iter(self._kept)))
        return drawer

    def _forget(self, token: str) -> None:
        for each in (self._kept, self._registering, self._began):
            each.pop(token, None)

    def _without(self, drawer: Drawer) -> Drawer:
        """The file in hand is gone: a day has passed, or the server was started anew."""
        self._forget(drawer.token)
        return Drawer(acts=drawer.acts, lost=True)

    # ---- the file in hand ----------------------------------------------------------------------------------------

    def _open(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        """A page that was loaded anew finds its file again by the token that its browser has kept."""
        if drawer.token or not press.id:
            return drawer
        try:
            staged = self.shelf.staged(press.id)
        except UserError:
            return self._without(replace(drawer, token=press.id))
        if press.id in self._kept:
            return replace(self._kept[press.id], acts=drawer.acts)
        begun = self._recognised(Drawer(acts=drawer.acts), staged, 0)
        return replace(begun, name=self.shelf.propose_name(staged.token))

    def _choose(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        staged = self.staged(drawer)
        place = int(press.value) if press.value.isdecimal() and press.value.isascii() else 0
        return self._recognised(drawer, staged, place if place < len(staged.choices) else 0)

    def _role(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        plan = _plan(drawer)
        known = any(column == press.id for column, _ in plan.mapping.roles)
        if not known or press.value not in ROLES:
            return drawer
        return self._sampled(drawer, replace(plan, mapping=plan.mapping.with_role(press.id, press.value)))

    def _tag(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        plan = _plan(drawer)
        if press.id not in TAGS:
            return drawer
        return self._sampled(
            drawer, replace(plan, mapping=plan.mapping.with_tag(press.id, press.value[:200]))
        )

    def _ask(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        plan = _plan(drawer)
        return self._sampled(drawer, replace(plan, mapping=plan.mapping.with_ask(press.value[:10_000])))

    def _check(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        return self._checking(drawer, _plan(drawer))

    def _checking(self, drawer: Drawer, plan: Plan) -> Drawer:
        problems = plan.mapping.problems()
        if problems:
            raise problems[0]
        self.shelf.check(drawer.token, plan)
        self._began[drawer.token] = time.monotonic()
        return replace(drawer, plan=plan, step="rows", kind="", page=1)

    def _stop(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        if registering := self._registering.pop(drawer.token, None):
            registering.stop()
            return drawer
        return self._to_columns(drawer)

    def _to_columns(self, drawer: Drawer) -> Drawer:
        if checking := self.shelf.checking(drawer.token):
            checking.stop()
        return replace(drawer, step="columns", kind="", page=1)

    def _repair(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        """One more repair: rows that an earlier one mends are left to that, so that none has to be taken back for it."""
        plan = _plan(drawer)
        if press.value not in REPAIRS:
            return drawer
        kept = tuple(each for each in plan.repairs if each != press.value)
        return self._checking(drawer, replace(plan, repairs=(*kept, press.value)))

    def _keep_out(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        """Takes a repair back: the rows that it would have mended are dropped."""
        plan = _plan(drawer)
        left = tuple(each for each in plan.repairs if each != press.value)
        return self._checking(drawer, replace(plan, repairs=left))

    def _register(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        plan = _plan(drawer)
        name = drawer.replacing or press.value.strip()
        drawer = replace(drawer, name=name)
        if drawer.token in self._registering:
            return drawer
        try:
            self._registering[drawer.token] = self.shelf.register(drawer.token, plan, name)
        except UserError as error:
            return replace(drawer, trouble=error)
        self._began[drawer.token] = time.monotonic()
        return drawer

    def _discard(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        self._forget(drawer.token)
        self.shelf.discard(drawer.token)
        return Drawer(acts=drawer.acts)

    # ---- what goes on by itself ------------------------------------------------------------------------------------

    def look(self, drawer: Drawer) -> Drawer:
        """The drawer a moment later: what was running may have ended, and what was in hand may be gone."""
        if not drawer.token:
            return drawer
        with self._lock:
            kept = self._kept.get(drawer.token, drawer)
            return self._try(kept, lambda: self._looked(kept))

    def _looked(self, drawer: Drawer) -> Drawer:
        registering = self._registering.get(drawer.token)
        if registering is not None and registering.done:
            del self._registering[drawer.token]
            if registering.error is not None:
                raise problems_of(registering.error)[0]
            self._forget(drawer.token)
            self.shelf.discard(drawer.token)
            return Drawer(acts=drawer.acts + 1, registered=registering.result)
        checking = self.shelf.checking(drawer.token)
        if drawer.step == "rows" and checking is None:
            return replace(drawer, step="columns")
        if drawer.step == "rows" and checking is not None and checking.done and checking.error is not None:
            return replace(drawer, step="columns", trouble=problems_of(checking.error)[0])
        return drawer

    def work(self, drawer: Drawer) -> Work | None:
        """What is going on with the file in hand; None: nothing."""
        seconds = time.monotonic() - self._began.get(drawer.token, time.monotonic())
        if registering := self._registering.get(drawer.token):
            return Work("register", registering.progress, seconds)
        checking = self.shelf.checking(drawer.token) if drawer.step == "rows" else None
        if checking is not None and not checking.done:
            return Work("check", checking.progress, seconds)
        return None

    def checked(self, drawer: Drawer) -> Checked | None:
        """What the last check of the file in hand has found; None before its end."""
        checking = self.shelf.checking(drawer.token) if drawer.token else None
        return checking.result if checking is not None and checking.done else None

    # ---- on the shelf ------------------------------------------------------------------------------------------------

    def _change(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        staged, plan = self.shelf.change(press.id)
        shape = self.shelf.recognise(staged.token, plan.tables)
        begun = Drawer(
            staged.token, "columns", shape=shape, name=press.id, replacing=press.id, acts=drawer.acts
        )
        return self._sampled(begun, plan)

    def _delete(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        if before.asking == press.id:
            self.shelf.delete(press.id)
        return drawer

    def _save_name(self, drawer: Drawer, press: Press, before: Drawer) -> Drawer:
        try:
            self.shelf.rename(press.id, press.value.strip())
        except UserError as error:
            return replace(drawer, trouble=error, renaming=press.id, name=press.value)
        return drawer

    def hand_out(self, drawer: Drawer, name: str, what: str) -> tuple[Drawer, Path | None]:
        """A dataset as a zip, or the file that it was made from (`what` is "original"), or the trouble with it."""
        handed: list[Path] = []

        def fetch() -> Drawer:
            handed.append(self.shelf.download(name, "original" if what == "original" else "zip"))
            return replace(drawer, trouble=None)

        return self._try(drawer, fetch), handed[0] if handed else None


def _plan(drawer: Drawer) -> Plan:
    if drawer.plan is None:
        raise UserError("staged_unknown")
    return drawer.plan


def _page(text: str) -> int:
    return max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 7 else 1
