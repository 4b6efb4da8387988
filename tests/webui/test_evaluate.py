"""The Evaluate & Predict tab without a browser: what it starts, what its cards say, what its rows do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.fake import FakeRun, config, wait
from tests.webui.evaluated import make
from trainer.jobs.workspace import Workspace
from webui import evaluate_said
from webui.evaluate_browse import act, of_run, show
from webui.evaluate_cards import cards_html
from webui.evaluate_desk import ADVANCED, HELD, NAMED, EvaluateDesk, Wanted
from webui.evaluate_judge import Judge
from webui.evaluate_report import report_text
from webui.evaluate_rows import Browse, rows_html
from webui.evaluate_table import table_html
from webui.i18n import say
from webui.partner import TOP, Top, examined
from webui.watch import View, look

RUN = "Sprout/lora/eval_1"
AT_TOP = Top("Sprout", "", "huggingface", "lora", (), "")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "dataset_info.json").write_text(
        json.dumps({name: {"file_name": f"{name}.json"} for name in ("identity", "guard")})
    )
    rows = [{"instruction": f"Who are you, {place}?", "output": "Momo."} for place in range(10)]
    for name in ("identity", "guard"):
        (data / f"{name}.json").write_text(json.dumps(rows))
    run = FakeRun()
    made = Workspace(tmp_path, run=run)
    yield made
    run.gate.set()
    made.close()


def trained(workspace: Workspace, name: str, **values: object) -> str:
    """A training that is over."""
    job = workspace.jobs.submit(config(name, max_steps=1, **values))
    return wait(workspace.jobs, job.id, "finished").id


def wanted(*chosen: str, rows: str = NAMED, **more: Any) -> Wanted:
    advanced = dict.fromkeys(ADVANCED, "") | {
        "seed": 42,
        "temperature": 0.0,
        "top_p": 0.7,
        "max_new_tokens": 16,
    }
    plain = Wanted(chosen, rows, ("identity",), True, False, {**advanced, "cutoff_len": 2048}, AT_TOP)
    return plain._replace(**more)


def judged(workspace: Workspace, run: str, lang: str = "en") -> str:
    view = View(kind="eval", run=run)
    return look(workspace.jobs, view, lang, 0.0, Judge(workspace).body).body or ""


def test_a_run_is_asked_what_it_has_held_back(workspace: Workspace) -> None:
    desk = EvaluateDesk(workspace)
    plain, held = trained(workspace, "plain"), trained(workspace, "held", val_size=0.2, seed=7)
    assert desk.suited(plain) == (plain, NAMED, ("identity",)) and desk.suited(held) == (
        held,
        HELD,
        ("identity",),
    )
    assert desk.proposal()[0] in (plain, held)
    outcome = desk.start(wanted(held, rows=HELD), "token")
    (job,) = outcome.jobs
    data, model = job.config.data, job.config.model
    assert job.task == "eval" and job.name.startswith("eval_") and job.id.startswith("Sprout/lora/")
    assert (data.dataset, data.val_size, data.eval_dataset) == (("identity",), 0.2, ())
    assert model.adapter_name_or_path == (str(workspace.jobs.get(held).folder.path),)
    # The rows are those of the training; how many are asked, and how answers are drawn, the page says.
    assert (job.config.evaluate.held_seed, job.config.evaluate.held_samples) == (7, 0)
    assert (job.config.train.seed, data.max_samples) == (42, None)
    fewer = wanted(held, rows=HELD)
    fewer = fewer._replace(advanced={**fewer.advanced, "max_samples": 1, "seed": 3})
    assert (desk.forecast(wanted(held, rows=HELD)).rows, desk.forecast(fewer).rows) == (2, 1)
    (job,) = desk.start(fewer, "fewer").jobs
    assert (job.config.train.seed, job.config.data.max_samples, job.config.evaluate.held_seed) == (3, 1, 7)
    (job,) = outcome.jobs
    assert (
        job.config.evaluate.do_predict and job.config.evaluate.compare_base and not job.config.train.do_train
    )
    assert [each.id for each in desk.start(wanted(held, rows=HELD), "token").jobs] == [job.id]
    assert [each.code for each in desk.start(wanted(plain, rows=HELD), "x").problems] == ["page_nothing_held"]


def test_texts_are_measured_and_not_asked(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "data" / "dataset_info.json"
    known = json.loads(file.read_text())
    known["notes"] = {"file_name": "identity.json", "columns": {"prompt": "instruction"}}
    file.write_text(json.dumps(known))
    desk = EvaluateDesk(workspace)
    plain, held = trained(workspace, "plain"), trained(workspace, "held", val_size=0.2, stage="pt")
    for chosen in (wanted(plain, datasets=("notes",)), wanted(held, rows=HELD)):
        (job,) = desk.start(chosen, "").jobs
        asked, data = job.config.evaluate, job.config.data
        assert (data.stage, asked.do_eval, asked.do_predict) == ("pt", True, False)
    (job,) = desk.start(wanted(held), "").jobs
    assert (job.config.data.stage, job.config.evaluate.do_predict) == ("sft", True)


def test_several_runs_and_the_guard_set_become_runs_of_their_own(workspace: Workspace) -> None:
    desk = EvaluateDesk(workspace)
    one, two = trained(workspace, "one"), trained(workspace, "two")
    jobs = desk.start(wanted(one, two, guard=True), "t").jobs
    assert [job.datasets for job in jobs] == [("identity",)] * 2 + [("guard",)] * 2
    assert [job.id for job in desk.own(jobs)] == [job.id for job in jobs[:2]]
    assert {value for _, value in desk.runs("en")} == {TOP, one, two}, "evaluations cannot be evaluated"
    assert examined(workspace.jobs, jobs[1]) == two


def test_what_will_happen_is_said_before(workspace: Workspace) -> None:
    desk = EvaluateDesk(workspace)
    run = trained(workspace, "one", val_size=0.2)
    named = desk.forecast(wanted(run))
    assert (named.rows, named.sides, named.seen) == (10, 2, True)
    assert "10" in evaluate_said.outlook(named, "en") and "one" in evaluate_said.outlook(named, "en")
    assert say("evaluate.rows_note.seen") in evaluate_said.note(None, named, NAMED, "en")
    held = desk.forecast(wanted(run, rows=HELD))
    assert (held.rows, held.seen) == (2, False)
    assert "2 rows" in evaluate_said.note(desk.held_by([run]), held, HELD, "en")
    nothing = desk.forecast(wanted(datasets=()))
    assert nothing.problem is not None and nothing.problem.code == "page_no_rows"
    wrong = desk.start(wanted(run, advanced={"max_samples": -1}), "t")
    assert [error.field for error in wrong.problems] == ["max_samples"] and not wrong.jobs
    assert 'data-field="max_samples"' in evaluate_said.problems(wrong.problems, "en")


def test_the_cards_answer_in_one_sentence(workspace: Workspace) -> None:
    make(workspace.saves, "eval_1", 30, adapter="saves/x", seed=1)
    html = judged(workspace, RUN)
    assert say("evaluate.short.better") in html and "of 30" in html and "ROUGE-L" in html
    assert [html.count(f'data-side="{side}"') for side in ("base", "tuned", "difference")] == [1, 1, 1]
    assert "tb-line-base" in html and "tb-line-tuned" in html
    make(workspace.saves, "eval_2", 30)
    alone = judged(workspace, "Sprout/lora/eval_2")
    assert 'data-side="base"' not in alone and 'data-side="difference"' not in alone
    make(workspace.saves, "eval_3", 7, adapter="saves/x", over=False)
    assert say("evaluate.so_far") in judged(workspace, "Sprout/lora/eval_3")


def test_a_run_that_only_measures_shows_its_losses(workspace: Workspace) -> None:
    folder = make(workspace.saves, "eval_1", 12, adapter="saves/x")
    lines = [json.loads(each) for each in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    for each in lines:
        none = dict.fromkeys(each["scores"]["tuned"])
        each |= {"predict": None, "base": None, "scores": {"tuned": none, "base": none}, "tokens": {}}
        each |= {"ending": {}, "loss": {"tuned": 1.2, "base": 2.4}}
    (folder / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    report |= {"sides": {}, "main": "loss", "verdict": None, "notes": []}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    html = judged(workspace, RUN)
    assert "<b>1.210</b>" in html and "<b>−1.190</b>" in html and say("evaluate.waits") not in html
    assert say("evaluate.perplexity") in html and "11.020" in html
    browse = of_run(Browse(), RUN)
    shown = show(workspace.results, browse)
    assert shown is not None and shown.counts.better == 12
    table = rows_html(browse, shown, "en")
    assert "2.400" in table and 'tb-better">−1.200' in table and say("evaluate.rows.no_answer") not in table
    text = report_text(workspace, workspace.jobs.get(RUN), "en")
    files = {
        what: workspace.results.export(RUN, what, text=text).read_text() for what in ("csv", "jsonl", "html")
    }
    assert "tuned loss" in files["csv"] and json.loads(files["jsonl"].splitlines()[0])["predict"] is None
    assert "2.400" in files["html"]


def test_the_guard_set_stands_beside_the_run_that_it_belongs_to(workspace: Workspace) -> None:
    make(workspace.saves, "eval_1", 12, adapter="saves/x")
    make(workspace.saves, "eval_guard", 12, adapter="saves/x", data=("guard",))
    make(workspace.saves, "eval_other", 12, adapter="saves/y")
    assert say("evaluate.forgot.title") in judged(workspace, RUN)
    assert 'data-id="Sprout/lora/eval_guard"' in judged(workspace, RUN)
    assert say("evaluate.forgot.title") not in judged(workspace, "Sprout/lora/eval_other")
    assert say("evaluate.forgot.title") not in judged(workspace, "Sprout/lora/eval_guard")


def test_rows_are_ordered_filtered_turned_and_escaped(workspace: Workspace) -> None:
    folder = make(workspace.saves, "eval_1", 45, adapter="saves/x")
    lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0]) | {"question": "<script>alert(1)</script>"}
    (folder / "rows.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n", encoding="utf-8")
    results, browse = workspace.results, of_run(Browse(), RUN)
    html = rows_html(browse, show(results, browse), "en")
    assert html.count("<tbody") == 20 and "<script>" not in html and "&lt;script&gt;" in html
    worse = act(results, browse, {"act": "order", "id": "worse"})
    shown = show(results, worse)
    assert shown is not None
    differences = [row.difference or 0 for row in shown.page.rows]
    assert differences == sorted(differences)
    third = act(results, worse, {"act": "turn", "id": "3"})
    last = show(results, third)
    assert last is not None and len(last.page.rows) == 5
    changed = act(results, third, {"act": "only", "id": "changed"})
    assert changed.number == 1 and changed.wish.order == "worse" and changed.wish.only == "changed"
    for nonsense in (
        {},
        {"act": "edit", "id": "x"},
        {"act": "only", "id": "<b>"},
        {"act": "turn", "id": "-4"},
    ):
        assert show(results, act(results, browse, nonsense)) is not None
    assert of_run(changed, "another") == replace(Browse("another"), acts=changed.acts + 1)


def test_a_wrong_answer_is_corrected_into_a_dataset(workspace: Workspace) -> None:
    make(workspace.saves, "eval_1", 5, adapter="saves/x")
    results, browse = workspace.results, of_run(Browse(), RUN)
    editing = act(results, browse, {"act": "edit", "id": "2"})
    assert editing.editing == 2 and editing.draft[0] and editing.draft[1]
    assert 'data-act="correct"' in rows_html(editing, show(results, editing), "en")
    empty = act(results, editing, {"act": "correct", "id": "2", "answer": " ", "name": "mine"})
    assert empty.editing == 2 and empty.trouble is not None and empty.draft == (" ", "mine")
    done = act(results, empty, {"act": "correct", "id": "2", "answer": "Paris.", "name": "mine"})
    assert done.editing is None and done.told is not None and done.told.dataset == "mine"
    assert "mine" in rows_html(done, show(results, done), "en")
    twice = act(results, done, {"act": "correct", "id": "2", "answer": "Paris.", "name": "mine"})
    assert twice.told == done.told and twice.trouble is None, "a double click is one wish"
    assert act(results, browse, {"act": "edit", "id": "99"}).trouble is not None


def test_tables_of_labels_and_of_fields() -> None:
    labels = {"type": "confusion", "labels": ["yes", "no"], "rows": [[3, 1, 0], [0, 4, 1]], "each": []}
    html = table_html(labels, "en")
    assert html.count("<tr>") == 3 and "--share:0.75" in html and html.count("tb-right-label") == 2
    fields = {
        "type": "fields",
        "rows": [{"field": "a<b", "rows": 4, "precision": 50.0, "recall": 25.0, "f1": 33.3}],
    }
    assert "a&lt;b" in table_html(fields, "en") and "33.3" in table_html(fields, "en")
    assert table_html(None, "en") == "" and table_html({"type": "new"}, "en") == ""


def test_a_training_and_an_evaluation_keep_to_their_panels(workspace: Workspace) -> None:
    run = trained(workspace, "one")
    make(workspace.saves, "eval_1", 5, adapter="saves/x")
    assert look(workspace.jobs, View(), "en", 0.0).view.run == run
    seen = look(workspace.jobs, View(kind="eval"), "en", 0.0, Judge(workspace).body)
    assert seen.view.run == RUN and "5 of 5 rows" in (seen.head or "")
    assert 'data-act="evaluate"' in (look(workspace.jobs, View(), "en", 0.0).head or "")


def test_cards_wait_for_the_first_row() -> None:
    from webui.evaluate_cards import Judged

    assert say("evaluate.waits") in cards_html(Judged(0, 0, False, "", {}), "en")
