"""The list of all runs and whom one can talk with: looked up by id, never by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.fake import FakeRun, config, save_checkpoint, until, wait
from tests.webui.test_panel import Elements
from trainer.errors import UserError
from trainer.jobs.job import Job
from trainer.jobs.jobs import Jobs
from webui.drawer import MOST_TICKED, Drawer, act, drawer_html
from webui.i18n import LANGUAGES, say
from webui.partner import TOP, Top, choices, partner, value_of


def finished(jobs: Jobs, name: str, **values: object) -> Job:
    job = jobs.submit(config(name, max_steps=3, **values))
    done = wait(jobs, job.id, "finished")
    until(lambda: not (done.folder.path / "owner.json").exists())
    return done


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_list_is_whole_and_escaped(jobs: Jobs, lang: str) -> None:
    assert "tb-hint" in drawer_html(jobs, Drawer(), lang)
    evil = finished(jobs, "a <script>'&")
    finished(jobs, "b")
    html = drawer_html(jobs, Drawer(), lang)
    found = Elements(html)
    assert "script" not in found.names and found.names.count("li") == 2
    asked = drawer_html(jobs, act(jobs, Drawer(), "delete", evil.id), lang)
    assert "delete_it" in Elements(asked).buttons and "script" not in Elements(asked).names
    named = drawer_html(jobs, act(jobs, Drawer(), "rename", evil.id), lang)
    assert "input" in Elements(named).names and "script" not in Elements(named).names


def test_ticked_runs_are_laid_over_one_another_with_what_differs(jobs: Jobs) -> None:
    one, two = finished(jobs, "one", lora_rank=4), finished(jobs, "two", lora_rank=64)
    drawer = act(jobs, act(jobs, Drawer(), "tick", one.id), "tick", two.id)
    html = drawer_html(jobs, drawer, "en")
    assert "tb-line tb-run-0" in html and "tb-line tb-run-1" in html
    assert "LoRA rank" in html and "<td>4</td><td>64</td>" in html
    assert "Learning rate" not in html.partition("</table>")[0].partition("<table")[2]
    assert act(jobs, drawer, "tick", one.id).ticked == (two.id,)
    three = finished(jobs, "three", lora_rank=4, plot_loss=True)
    ticked = act(jobs, act(jobs, Drawer(), "tick", one.id), "tick", three.id)
    for lang in LANGUAGES:
        html = drawer_html(jobs, ticked, lang)
        assert f"<td>{say('runs.no', lang)}</td><td>{say('runs.yes', lang)}</td>" in html
    many = Drawer()
    for number in range(MOST_TICKED + 3):
        many = act(jobs, many, "tick", f"run {number}")
    assert len(many.ticked) == MOST_TICKED


def test_deleting_asks_first_and_renaming_keeps_the_tick(jobs: Jobs) -> None:
    one, two = finished(jobs, "one"), finished(jobs, "two")
    drawer = act(jobs, Drawer(), "delete_it", one.id)
    assert jobs.get(one.id), "without the question nothing is deleted"
    drawer = act(jobs, act(jobs, drawer, "tick", one.id), "delete", one.id)
    drawer = act(jobs, drawer, "keep", one.id)
    assert drawer.asking == "" and jobs.get(one.id)
    drawer = act(jobs, act(jobs, drawer, "delete", one.id), "delete_it", one.id)
    assert drawer.ticked == () and [job.id for job in jobs.list()] == [two.id]
    drawer = act(jobs, act(jobs, drawer, "tick", two.id), "save_name", two.id, "better")
    assert drawer.ticked == ("Sprout/lora/better",)
    refused = act(jobs, drawer, "save_name", "Sprout/lora/better", "../../out")
    assert refused.trouble is not None and refused.renaming == "Sprout/lora/better"
    assert "alert" in drawer_html(jobs, refused, "en")


def test_a_page_can_name_nothing_but_runs(jobs: Jobs, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for what in ("delete", "rename", "save_name"):
        assert act(jobs, Drawer(), what, "../outside", "x").trouble is not None
    assert act(jobs, Drawer(asking="../outside"), "delete_it", "../outside").trouble is not None
    assert outside.exists()
    for whom in ("../outside", "nothing", "a@checkpoint-1"):
        with pytest.raises(UserError):
            partner(jobs, whom, Top("Sprout", "", "huggingface", "lora", (), ""))


def test_one_can_talk_with_runs_their_checkpoints_and_the_choice_at_the_top(jobs: Jobs, run: FakeRun) -> None:
    done = finished(jobs, "done", template="qwen")
    save_checkpoint(done.folder.path, 2)
    run.gate.clear()
    bare = jobs.submit(config("bare", max_steps=3))
    values = [value for _, value in choices(jobs, "en")]
    assert values == [TOP, done.id, f"{done.id}@checkpoint-2"]
    top = Top("Custom", "models/mine", "modelscope", "lora", ["saves/a", "saves/b"], "qwen")
    chosen = partner(jobs, TOP, top)
    assert (chosen.model, chosen.checkpoints, chosen.hub) == (
        "models/mine",
        ("saves/a", "saves/b"),
        "modelscope",
    )
    whole = partner(jobs, value_of(done), top)
    assert (whole.model, whole.checkpoints, whole.template) == ("Sprout", (str(done.folder.path),), "qwen")
    step = partner(jobs, f"{done.id}@checkpoint-2", top)
    assert step.checkpoints == (str(done.folder.path / "checkpoint-2"),)
    with pytest.raises(UserError):
        partner(jobs, f"{done.id}@../../x", top)
    with pytest.raises(UserError):
        value_of(jobs.get(bare.id))
