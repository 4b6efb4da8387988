"""Evaluations of a workspace as the page asks for them: by ids, whatever the ids are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.dataset.ingest.staging import picture
from tests.evaluate.lines import line, write
from tests.jobs.fake import FakeRun, config, wait
from trainer.errors import UserError
from trainer.jobs.jobs import Jobs
from trainer.jobs.results import REPORT_WORDS, ReportText, Results, Wish
from trainer.jobs.shelf import Shelf


@pytest.fixture
def shelf(tmp_path: Path, jobs: Jobs) -> Iterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    made.close()


@pytest.fixture
def results(jobs: Jobs, shelf: Shelf) -> Results:
    return Results(jobs, shelf)


@pytest.fixture
def run_id(tmp_path: Path, jobs: Jobs) -> str:
    """A finished run with three rows, the second of which shows pictures that are there, broken, and gone."""
    job = jobs.submit(config("first"))
    wait(jobs, job.id, "finished")
    (tmp_path / "cat.png").write_bytes(picture(size=(900, 300)))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    media = [str(tmp_path / name) for name in ("cat.png", "broken.png", "gone.png")]
    rows = [
        line(0, 90.0, 10.0, dataset="identity", number=1, question="Who are you?", predict="Sprout."),
        line(1, 20.0, 30.0, media=media),
        line(2),
    ]
    write(job.folder.path / "rows.jsonl", rows)
    return job.id


def code(error: pytest.ExceptionInfo[UserError]) -> str:
    return error.value.code


def test_rows_pages_and_report(results: Results, run_id: str, jobs: Jobs) -> None:
    assert [each.row for each in results.page(run_id, Wish(order="worse"), 1, 2).rows] == [1, 2]
    assert results.counts(run_id).worse == 1 and results.row(run_id, 1).pictures == 3
    assert results.report(run_id) is None and results.means(run_id)["tuned"]["rouge-l"] == pytest.approx(
        160 / 3
    )
    assert results.counts(run_id).main == "rouge-l"
    path = jobs.get(run_id).folder.path / "report.json"
    path.write_text("[1]")
    assert results.report(run_id) is None
    path.write_text(json.dumps({"main": "bleu-4"}))
    assert results.report(run_id) == {"main": "bleu-4"} and results.counts(run_id).main == "bleu-4"
    assert results.page(run_id, Wish(only="equal")).found == 3
    marked = results.marks(results.row(run_id, 0))
    assert [piece.same for piece in marked.tuned] == [False]


@pytest.mark.parametrize(
    "name", ["", "nobody", "../../etc", "/etc", "Sprout/lora/first/../first/../../..", "a\0b"]
)
def test_ids_that_are_none_lead_nowhere(results: Results, run_id: str, name: str) -> None:
    for ask in (
        lambda: results.page(name),
        lambda: results.picture(name, 1, 0),
        lambda: results.report(name),
        lambda: results.export(name, "csv"),
        lambda: results.overlay([name]),
        lambda: results.correct(name, 0, "x", "corrections"),
    ):
        with pytest.raises(UserError):
            ask()


def test_pictures_come_by_run_row_and_place_only(results: Results, run_id: str, tmp_path: Path) -> None:
    import io

    found = results.picture(run_id, 1, 0)
    assert (
        found and Image.open(io.BytesIO(found)).size == (160, 53) and results.picture(run_id, 1, 0) == found
    )
    assert [results.picture(run_id, 1, place) for place in (1, 2, 3, -1)] == [None] * 4
    with pytest.raises(UserError) as wrong:
        results.picture(run_id, 9, 0)
    assert code(wrong) == "results_no_row"
    assert [each.name for each in results.media(run_id, 1)] == ["cat.png", "broken.png"]
    # Another picture under the same name is another picture.
    (tmp_path / "cat.png").unlink()
    assert results.picture(run_id, 1, 0) is None


def test_exports_are_files_with_the_run_s_name(results: Results, run_id: str, tmp_path: Path) -> None:
    words = ReportText("en", {key: key for key in REPORT_WORDS}, "Report")
    for what in ("csv", "jsonl", "html"):
        path = results.export(run_id, what, Wish(only="worse"), words)  # type: ignore[arg-type]
        text = path.read_text(encoding="utf-8")
        assert path.name == f"first.{what}" and "tuned 1" in text.replace("<mark>", "").replace("</mark>", "")
        assert "Sprout." not in text and str(tmp_path) not in text and not path.is_relative_to(tmp_path)
    assert text.count("data:image/jpeg;base64,") == 1 and text.count("picture_gone") == 2
    with pytest.raises(UserError) as wrong:
        results.export(run_id, "csv", Wish(search="nowhere"))
    assert code(wrong) == "results_empty"
    for _ in range(12):
        path = results.export(run_id, "jsonl")
    assert path.exists() and len(list(path.parent.parent.iterdir())) == 8


def test_a_run_without_rows_is_an_empty_table(results: Results, jobs: Jobs, run_id: str) -> None:
    other = jobs.submit(config("second", adapter_name_or_path="saves/Sprout/lora/first/checkpoint-40")).id
    wait(jobs, other, "finished")
    assert results.page(other).done == 0 and results.by_length(other) == () and results.means(other) == {}
    with pytest.raises(UserError) as wrong:
        results.overlay([run_id, other])
    assert (code(wrong), wrong.value.field) == ("overlay_nothing_common", "runs")
    write(jobs.get(other).folder.path / "rows.jsonl", [line(2, 70.0, compared=False)])
    found = results.overlay([run_id, other, run_id])
    assert found.rows == 1 and [(each.side, each.name, each.step) for each in found.series] == [
        ("base", "Sprout", None),
        ("tuned", "Sprout", None),
        ("tuned", "checkpoint-40", 40),
    ]
    assert [each.rows for each in results.by_length(run_id)] == [1, 1, 1]


def test_a_row_is_corrected_into_a_dataset(results: Results, run_id: str, shelf: Shelf) -> None:
    assert results.own_datasets() == () and results.propose_dataset() == "corrections"
    made = results.correct(run_id, 0, "I am Momo.", " corrections ")
    assert (made.dataset, made.rows, made.new) == ("corrections", 1, True)
    assert results.own_datasets() == ("corrections",) and results.propose_dataset() == "corrections"
    assert results.correct(run_id, 2, "Three.", "corrections").rows == 2
    assert shelf.get("corrections").rows == 2
    with pytest.raises(UserError) as wrong:
        results.correct(run_id, 0, "x", "identity")
    assert (code(wrong), wrong.value.field) == ("correct_not_ours", "name")


def test_a_dataset_that_a_run_needs_stays_as_it_is(
    results: Results, run_id: str, jobs: Jobs, run: FakeRun
) -> None:
    results.correct(run_id, 0, "I am Momo.", "corrections")
    run.gate.clear()
    job = jobs.submit(config("third", dataset="corrections"))
    with pytest.raises(UserError) as wrong:
        results.correct(run_id, 0, "Again.", "corrections")
    assert (code(wrong), wrong.value.field) == ("shelf_in_use", "name")
    run.gate.set()
    wait(jobs, job.id, "finished")
    assert results.correct(run_id, 0, "Again.", "corrections").rows == 2


def test_the_shipped_data_folder_is_never_written_to(tmp_path: Path, run: FakeRun) -> None:
    from trainer.jobs.workspace import Workspace
    from trainer.paths import DATA

    workspace = Workspace(tmp_path / "own", run=run)
    try:
        job = workspace.jobs.submit(config("first"))
        wait(workspace.jobs, job.id, "finished")
        write(job.folder.path / "rows.jsonl", [line(0)])
        before = sorted(DATA.iterdir())
        workspace.results.correct(job.id, 0, "Momo.", "corrections")
        assert (
            sorted(DATA.iterdir()) == before
            and (tmp_path / "own" / "data" / "corrections" / "rows.jsonl").exists()
        )
    finally:
        workspace.close()
