"""Data brought in through the drawer: its acts on a real shelf, and its HTML in every state and language."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.jobs.fake import FakeRun, config, wait
from tests.webui.test_panel import EVIL, Elements
from trainer.dataset.ingest.task import Progress
from trainer.jobs.workspace import Workspace
from webui import form
from webui.data_defects import reason
from webui.data_desk import DataDesk
from webui.data_drawer import drawer_html, skeleton
from webui.data_shelf import rows_said, size
from webui.data_state import Drawer, Press, Work
from webui.desk import Desk
from webui.i18n import LANGUAGES, say
from webui.tabs.data import DOWNLOADS, KEPT_S, _renamed, served, sweep

PATIENCE_S = 120.0


@pytest.fixture
def workspace(tmp_path: Path, run: FakeRun) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "place", run=run)
    made.root.mkdir(exist_ok=True)
    yield made
    run.gate.set()
    made.close()


@pytest.fixture
def desk(workspace: Workspace) -> DataDesk:
    return DataDesk(workspace.shelf)


def table(folder: Path, name: str = "support.csv", bad: int = 1) -> Path:
    path = folder / name
    rows = [f"What about {n}?,{'' if n <= bad else f'It is on its way ({n}).'},{n}" for n in range(1, 13)]
    path.write_text("\n".join(["Concern,Reaction,Case", *rows]) + "\n", encoding="utf-8")
    return path


def act(desk: DataDesk, drawer: Drawer, what: str, id: str = "", value: str = "") -> Drawer:
    return desk.act(drawer, Press(what, id, value))


def checked(desk: DataDesk, drawer: Drawer) -> Drawer:
    drawer = act(desk, drawer, "check")
    assert drawer.trouble is None, drawer.trouble
    checking = desk.shelf.checking(drawer.token)
    assert checking is not None
    checking.wait(PATIENCE_S)
    return desk.look(drawer)


def registered(desk: DataDesk, drawer: Drawer, name: str) -> Drawer:
    drawer = act(desk, drawer, "register", value=name)
    assert drawer.trouble is None, drawer.trouble
    desk._registering[drawer.token].wait(PATIENCE_S)
    return desk.look(drawer)


def brought(desk: DataDesk, path: Path) -> Drawer:
    drawer = desk.receive(Drawer(), [path])
    assert drawer.trouble is None, drawer.trouble
    for column, role in (("Concern", "prompt"), ("Reaction", "response"), ("Case", "ignore")):
        drawer = act(desk, drawer, "role", column, role)
    return drawer


def test_a_file_becomes_a_dataset(desk: DataDesk, workspace: Workspace, tmp_path: Path) -> None:
    drawer = brought(desk, table(tmp_path))
    assert drawer.step == "columns" and [turn.role for turn in drawer.samples[1].turns] == [
        "user",
        "assistant",
    ]
    # The first row has no answer, and the drawer says so beside the columns.
    assert "tb-problem" in drawer_html(desk, drawer, "en")
    drawer = checked(desk, drawer)
    found = desk.checked(drawer)
    assert found is not None and (found.rows, found.usable) == (12, 11)
    refused = act(desk, drawer, "register", value="../out")
    assert refused.trouble is not None and refused.trouble.field == "name"
    assert 'aria-invalid="true"' in drawer_html(desk, refused, "en")
    done = registered(desk, refused, "support")
    assert done.token == "" and done.registered is not None
    assert (done.registered.rows, done.registered.dropped) == (11, 1)
    html = drawer_html(desk, done, "en")
    assert 'data-registered="support"' in html and say("data.made_dropped", "en", rows=1) in html
    assert "support" in json.loads((workspace.data_dir / "dataset_info.json").read_text(encoding="utf-8"))


def test_a_page_finds_its_file_again_as_it_was_left(desk: DataDesk, tmp_path: Path) -> None:
    drawer = act(desk, brought(desk, table(tmp_path)), "role", "Case", "system")
    again = act(desk, Drawer(), "open", drawer.token)
    assert again.plan == drawer.plan and again.step == "columns"
    # Another desk over the same shelf (nothing remembered) recognises the file anew.
    anew = DataDesk(desk.shelf).act(Drawer(), Press("open", drawer.token))
    assert anew.token == drawer.token and anew.name == drawer.name
    gone = act(desk, again, "discard")
    assert gone.token == "" and not gone.lost
    for forged in (drawer.token, "../../etc", "x" * 300):
        lost = act(desk, Drawer(), "open", forged)
        assert lost.lost and lost.token == "" and say("data.lost", "en") in drawer_html(desk, lost, "en")


def test_what_is_not_whole_is_said_and_cannot_be_checked(desk: DataDesk, tmp_path: Path) -> None:
    drawer = act(desk, brought(desk, table(tmp_path)), "role", "Reaction", "ignore")
    html = drawer_html(desk, drawer, "en")
    assert "aria-disabled" in Elements(html).buttons["check"]
    assert act(desk, drawer, "check").trouble is not None
    # Names and roles that nobody has change nothing.
    for column, role in (("nobody", "prompt"), ("Concern", "king"), ("", "")):
        assert act(desk, drawer, "role", column, role).plan == drawer.plan
    assert act(desk, drawer, "no_such_act", "x", "y").plan == drawer.plan
    two = desk.receive(Drawer(), [table(tmp_path, "a.csv"), table(tmp_path, "b.csv")])
    assert two.trouble is not None and two.token == ""
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b\n" + "one,two,three\n" * 5, encoding="utf-8")
    html = drawer_html(desk, desk.receive(Drawer(), [ragged]), "en")
    assert say("data.no_columns", "en") in html and html.count("tb-problem") == 3
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 nothing of the kind")
    refused = desk.receive(Drawer(), [broken])
    assert refused.trouble is not None and 'role="alert"' in drawer_html(desk, refused, "en")
    again = desk.receive(refused, [broken])
    assert drawer_html(desk, again, "en") != drawer_html(desk, refused, "en")


def test_a_repair_is_for_all_rows_of_its_kind_and_can_be_taken_back(desk: DataDesk, tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    ask, answer = {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Yes."}
    rows = [[ask, answer]] * 6 + [[ask, ask, answer]] * 3
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows), encoding="utf-8")
    drawer = checked(desk, desk.receive(Drawer(), [path]))
    found = desk.checked(drawer)
    assert found is not None and found.usable == 6
    defect = found.defects[0]
    assert "merge_turns" in defect.repairs
    html = drawer_html(desk, drawer, "en")
    assert "merge_turns" in html and say("data.drop_all", "en", rows=3) in html
    mended = act(desk, drawer, "repair", defect.problem.code, "merge_turns")
    desk.shelf.checking(mended.token).wait(PATIENCE_S)  # type: ignore[union-attr]
    found = desk.checked(mended)
    assert found is not None and found.usable == 9 and found.repaired["merge_turns"] == 3
    assert "keep_out" in Elements(drawer_html(desk, mended, "en")).buttons
    back = act(desk, mended, "keep_out", value="merge_turns")
    assert back.plan is not None and "merge_turns" not in back.plan.repairs
    assert act(desk, back, "repair", defect.problem.code, "rm -rf").plan == back.plan


def test_repairs_for_one_kind_of_defect_go_together(desk: DataDesk, tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    ask, answer = {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Yes."}
    late = {"role": "system", "content": "Be brief."}
    rows = [[ask, answer, answer], [ask, answer, late, ask, answer], [ask, answer, ask]]
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows * 2), encoding="utf-8")
    drawer = checked(desk, desk.receive(Drawer(), [path]))
    repairs = ("trailing_question", "merge_turns", "fold_system")
    for place, name in enumerate(repairs):
        found = desk.checked(drawer)
        assert found is not None and found.usable == 2 * place
        drawer = act(desk, drawer, "repair", found.defects[0].problem.code, name)
        desk.shelf.checking(drawer.token).wait(PATIENCE_S)  # type: ignore[union-attr]
    found = desk.checked(drawer)
    assert found is not None and found.usable == 6 and found.repaired == dict.fromkeys(repairs, 2)


def test_what_is_shown_of_a_file_is_what_is_in_it(desk: DataDesk, tmp_path: Path) -> None:
    """No empty question before plain text, and no word on where the server keeps an upload."""
    text = tmp_path / "story.txt"
    text.write_text("Once there was a squirrel.\n", encoding="utf-8")
    html = drawer_html(desk, desk.receive(Drawer(), [text]), "en")
    assert "tb-turn tb-assistant" in html and "tb-turn tb-user" not in html
    binary = tmp_path / "program.json"
    binary.write_bytes(b"MZ\x90\xff" + bytes(range(128, 256)) * 9)
    refused = desk.receive(Drawer(), [binary])
    assert refused.trouble is not None
    html = drawer_html(desk, refused, "en")
    assert "program.json" in html and str(desk.shelf.folder) not in html and ".staging" not in html


def test_a_large_dataset_is_not_read_to_say_how_many_rows_it_has(
    desk: DataDesk, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(desk, checked(desk, brought(desk, table(tmp_path))), "support")
    monkeypatch.setattr("webui.outlook.MOST_BYTES", 0)
    monkeypatch.setattr("webui.outlook.load_rows", None)
    values = {**form.proposed("Sprout", "lora"), "dataset": ["support"]}
    ask = Desk(workspace).look
    assert (ask(values).rows, ask(values).problem) == (11, None)
    assert ask({**values, "max_samples": 5}).rows == 5
    # How many are left for training, or that a person has written, only the rows tell.
    assert ask({**values, "val_size": 0.1}).rows is None
    assert ask({**values, "dataset": ["support", "identity"]}).rows is None


def test_the_shelf_asks_before_it_deletes_and_refuses_while_a_run_needs_it(
    desk: DataDesk, workspace: Workspace, run: FakeRun, tmp_path: Path
) -> None:
    registered(desk, checked(desk, brought(desk, table(tmp_path))), "support")
    drawer = act(desk, Drawer(), "delete_it", "support")
    assert desk.shelf.get("support"), "without the question nothing is deleted"
    kept = act(desk, act(desk, drawer, "delete", "support"), "keep", "support")
    assert kept.asking == "" and desk.shelf.get("support")
    asked = act(desk, drawer, "rename", "support")
    assert "input" in Elements(drawer_html(desk, asked, "en")).names
    refused = act(desk, asked, "save_name", "support", "a/b")
    assert refused.trouble is not None and refused.renaming == "support"
    assert act(desk, refused, "save_name", "support", "helpdesk").trouble is None

    run.gate.clear()
    job = workspace.jobs.submit(config("one", dataset="helpdesk", max_steps=3))
    html = drawer_html(desk, Drawer(), "en")
    assert say("data.used", "en", runs=job.id) in html
    held = act(desk, act(desk, Drawer(), "delete", "helpdesk"), "delete_it", "helpdesk")
    assert held.trouble is not None and desk.shelf.get("helpdesk")
    workspace.jobs.stop(job.id)
    wait(workspace.jobs, job.id, "stopped", "finished")
    act(desk, act(desk, held, "delete", "helpdesk"), "delete_it", "helpdesk")
    assert "helpdesk" not in [each.name for each in desk.shelf.list()]
    for what in ("delete", "rename", "change", "save_name"):
        assert act(desk, Drawer(), what, "../outside", "x").trouble is not None


def test_another_mapping_replaces_a_dataset_and_its_files_can_be_fetched(
    desk: DataDesk, tmp_path: Path
) -> None:
    path = table(tmp_path)
    registered(desk, checked(desk, brought(desk, path)), "support")
    drawer = act(desk, Drawer(), "change", "support")
    assert drawer.replacing == "support" and drawer.plan is not None
    assert drawer.plan.mapping.role("Reaction") == "response"
    drawer = checked(desk, act(desk, drawer, "role", "Case", "system"))
    assert "readonly" in drawer_html(desk, drawer, "en")
    done = registered(desk, drawer, "a name that is not asked for")
    assert done.registered is not None and done.registered.name == "support"
    _, original = desk.hand_out(Drawer(), "support", "original")
    assert original is not None and original.read_bytes() == path.read_bytes()
    _, packed = desk.hand_out(Drawer(), "support", "zip")
    assert packed is not None and packed.suffix == ".zip"
    refused, nothing = desk.hand_out(Drawer(), "../support", "zip")
    assert refused.trouble is not None and nothing is None


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_state_in_every_language_is_whole_and_escaped(
    desk: DataDesk, tmp_path: Path, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "evil.jsonl"
    rows = [{EVIL: f"What about {n} {EVIL}?", "answer": EVIL if n % 5 else "", "third": n} for n in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    drawer = desk.receive(Drawer(), [path])
    for column, role in ((EVIL, "prompt"), ("answer", "response"), ("third", "ignore")):
        drawer = act(desk, drawer, "role", column, role)
    states = [skeleton(), drawer_html(desk, Drawer(), lang), drawer_html(desk, drawer, lang)]
    drawer = checked(desk, drawer)
    states.append(drawer_html(desk, drawer, lang))
    found = desk.checked(drawer)
    assert found is not None
    code = found.defects[0].problem.code
    pages = [act(desk, drawer, "kind", code, page) for page in ("1", "2", "99", "-1", "x")]
    states += [drawer_html(desk, each, lang) for each in pages]
    states.append(drawer_html(desk, act(desk, drawer, "register", value=EVIL), lang))
    done = registered(desk, drawer, "evil")
    states += [drawer_html(desk, done, lang), drawer_html(desk, act(desk, done, "delete", "evil"), lang)]
    states.append(drawer_html(desk, act(desk, done, "rename", "evil"), lang))
    for html in states:
        elements = Elements(html)
        assert "script" not in elements.names and "{" not in html.replace("{{", "")

    working = replace(drawer, step="rows")
    for what in ("check", "register"):
        for progress in (Progress(), Progress(1200, 300, 1000), Progress(4000, 1000, 1000)):
            work = Work(what, progress, 12.0)  # type: ignore[arg-type]
            monkeypatch.setattr(desk, "work", lambda drawer, work=work: work)
            html = drawer_html(desk, working, lang)
            assert "stop" in Elements(html).buttons and 'data-poll="fast"' in html
            assert ("tb-unknown" in html) == (not progress.bytes_total)


def test_the_time_left_follows_the_share_that_is_done(
    desk: DataDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "work", lambda drawer: Work("check", Progress(500, 250, 1000), 30.0))
    plan: Any = SimpleNamespace()
    html = drawer_html(desk, Drawer(token="t", step="rows", plan=plan), "en")
    assert say("data.left", "en", time="1:30") in html and 'aria-valuenow="25"' in html


def test_small_words() -> None:
    assert [size(each) for each in (0, 1, 2048, 3 * 2**20, 3 * 2**30)] == [
        "0 KB",
        "1 KB",
        "2 KB",
        "3 MB",
        "3.0 GB",
    ]
    assert rows_said(1, "en") == "1 row" and rows_said(4102, "en") == "4,102 rows"
    assert _renamed(["a", "b"], "a", "c") == ["c", "b"] and _renamed(["a", "b"], "a", "") == ["b"]


def test_what_is_handed_out_has_its_name_and_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    given = tmp_path / "数据.csv"
    given.write_text("a,b\n", encoding="utf-8")
    path = Path(served(given))
    assert path.read_bytes() == given.read_bytes() and path.name == given.name
    assert path.is_relative_to(tmp_path / "gradio" / DOWNLOADS)
    part = tmp_path / "gradio" / "tmp_part"
    new = tmp_path / "gradio" / "tmp_new"
    for each in (part, new):
        each.write_bytes(b"half of a file")
    for each in (part, path.parent):
        os.utime(each, (time.time() - 2 * KEPT_S,) * 2)
    sweep()
    assert not part.exists() and not path.exists() and new.exists() and given.exists()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_reason_does_not_repeat_where_the_row_stands(lang: str) -> None:
    from trainer.dataset.conversation import RowProblem

    problem = RowProblem("support", 417, "row_media_outside", {"field": "picture", "name": "x.png"})
    said = reason(problem, lang)
    assert "417" not in said and "support" not in said and "picture" in said
