"""The Export tab without a browser: what it offers and starts, what its receipt says, and that nothing in one is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.fake import FakeRun, config, register_data, save_checkpoint, wait
from tests.webui import evaluated
from tests.webui.exported import make, receipt
from tests.webui.test_panel import EVIL, Elements
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Failed, Finished, Note, Started, Stopped, Written
from trainer.jobs.exports import Outlook, Size
from trainer.jobs.workspace import Workspace
from webui import export_said
from webui.export_desk import MORE, SHOWN, ExportDesk, Wanted
from webui.export_receipt import Receipts, receipt_html
from webui.export_words import FORMATS, size
from webui.i18n import LANGUAGES, say
from webui.panel import Scene, empty, head
from webui.partner import TOP, Top
from webui.story import Story, told
from webui.watch import View, look

RUN = "Sprout/lora/export_1"
AT_TOP = Top("Sprout", "", "huggingface", "lora", (), "")
FREE = Outlook(
    (Size("merged", "", 9_800_000), Size("gguf", "f16", 10_100_000)), 0, 5 * 2**30, 0, 0, None, 1, (), ()
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    register_data(tmp_path)
    run = FakeRun()
    made = Workspace(tmp_path, run=run)
    yield made
    run.gate.set()
    made.close()


@pytest.fixture
def desk(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> ExportDesk:
    monkeypatch.setattr(workspace.exports, "outlook", lambda config: FREE)
    return ExportDesk(workspace)


def trained(workspace: Workspace, name: str, *steps: int) -> str:
    """A training that is over, with checkpoints on the way."""
    job = workspace.jobs.submit(config(name, max_steps=1))
    done = wait(workspace.jobs, job.id, "finished")
    for folder in (done.folder.path, *(save_checkpoint(done.folder.path, step) for step in steps)):
        (folder / "adapter_config.json").write_text("{}")
    return done.id


def wanted(whom: str, *formats: str, step: str = "", **settings: Any) -> Wanted:
    return Wanted(whom, step, formats, {**dict.fromkeys((*SHOWN, *MORE), ""), **settings}, AT_TOP)


def test_runs_are_offered_with_their_date_data_and_scores(workspace: Workspace, desk: ExportDesk) -> None:
    assert [value for _, value in desk.runs("en")] == [TOP] and desk.proposal() == (TOP, "")
    run = trained(workspace, "one", 20, 40)
    folder = workspace.jobs.get(run).folder.path
    evaluated.make(workspace.saves, "eval_1", 12, adapter=str(folder))
    (label, value), (_, last) = desk.runs("en")
    assert (value, last) == (run, TOP)
    name, facts, scores = label.splitlines()
    assert name == "one" and "identity" in facts and "Sprout" in facts and "20" in facts
    assert "loss 0.5" in scores and "ROUGE-L" in scores and " → " in scores
    assert [label for label, _ in desk.steps(run, "en")] == ["the end of the training", "step 40", "step 20"]
    assert desk.suited(run) == (run, run) and desk.suited("nobody") == (TOP, "")
    assert desk.still(run) == run and desk.still("nobody") == run and desk.still(TOP) == TOP


def test_a_press_queues_one_export_of_what_is_chosen(workspace: Workspace, desk: ExportDesk) -> None:
    run = trained(workspace, "one", 20)
    early = desk.steps(run, "en")[1][1]
    for step, folder in (("", "one"), (early, "checkpoint-20")):
        chosen = wanted(
            run, "merged", "gguf", step=step, gguf_type=["q8_0"], export_size=2, export_prompts="你好？\nWho?"
        )
        job = desk.start(chosen, f"token {step}").job
        assert job is not None and job.task == "export" and job.name.startswith("export_")
        export, model = job.config.export, job.config.model
        assert (export.export_format, export.gguf_type, export.export_size) == (
            ("merged", "gguf"),
            ("q8_0",),
            2,
        )
        assert export.export_prompts == ("你好？", "Who?")
        assert Path(model.adapter_name_or_path[-1]).name == folder and model.model_name_or_path == "Sprout"
        assert desk.start(chosen, f"token {step}").job.id == job.id  # type: ignore[union-attr]
    base = desk.start(wanted(TOP, "merged"), "base").job
    assert base is not None and base.config.model.adapter_name_or_path == ()


def test_what_is_wrong_is_said_and_starts_nothing(
    workspace: Workspace, desk: ExportDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(workspace, "one")
    before = len(workspace.jobs.list())

    def codes(chosen: Wanted) -> list[tuple[str, str]]:
        outcome = desk.start(chosen, "")
        assert outcome.job is None
        return [(each.code, each.field) for each in outcome.problems]

    assert codes(wanted(run)) == [("page_no_format", "export_format")]
    assert [field for _, field in codes(wanted(run, "merged", export_size=-1))] == ["export_size"]
    assert codes(wanted(run, "merged", step="nobody")) != [] and codes(wanted("nobody", "merged")) != []
    full = UserError("page_no_format", field="export_format")
    monkeypatch.setattr(workspace.exports, "outlook", lambda config: FREE._replace(problems=(full,)))
    assert codes(wanted(run, "merged")) == [("page_no_format", "export_format")]
    said = export_said.problems((full,), "en")
    assert 'data-field="formats"' in said and full.text in said
    assert len(workspace.jobs.list()) == before
    assert full.text in export_said.outlook(desk.forecast(wanted(run, "merged")), "en")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_sizes_are_seen_before(workspace: Workspace, desk: ExportDesk, lang: str) -> None:
    run = trained(workspace, "one")
    forecast = desk.forecast(wanted(run, "merged", "gguf"))
    labels = {value: label for label, value in desk.formats(forecast, lang)}
    assert list(labels) == list(FORMATS)
    assert size(9_800_000) in labels["merged"] and size(10_100_000) in labels["gguf"]
    said = export_said.outlook(forecast, lang)
    assert size(19_900_000) in said and size(5 * 2**30) in said and "one" in said
    assert say("export.problems.none_chosen", lang) in export_said.outlook(desk.forecast(wanted(run)), lang)
    assert desk.seen(wanted(run, "ollama")) == [True, False, True]
    assert desk.seen(wanted(run, "quantized")) == [False, True, True]
    assert [size(value) for value in (999, 1024, 840 << 10, 16.4 * 2**20, 2.9 * 2**30)] == [
        "999 B", "1 KB", "840 KB", "16.4 MB", "2.9 GB",
    ]  # fmt: skip


# The run panel


ENDINGS = {
    "finished": [Finished(step=3, seconds=62.0, path=f"there/{EVIL}")],
    "stopped": [Stopped(step=0, seconds=3.0, path="")],
    "failed": [Failed(code="file_missing", values={"path": EVIL})],
}


def written(done: int, at: float = 10.0) -> Written:
    return Written(
        format="gguf", tensor=f"blk.{EVIL}", done_bytes=done << 20, total_bytes=8 << 20, elapsed_s=2.0, eta_s=6.0,
        memory_mb=431.0, at=at,
    )  # fmt: skip


def scene(state: str, *events: Any) -> Scene:
    began = Started(
        total_steps=60, rows=0, trained_tokens=0, parameters=1, trainable=0, device="cpu", precision="bfloat16",
        task="export", at=8.0,
    )  # fmt: skip
    flat = {"model_name_or_path": "Sprout", "do_export": True, "export_format": ["merged", "gguf"]}
    return Scene(
        RUN, "export_1", state, RunConfig.from_flat(flat), told(Story(), [began, *events]), kind="export"
    )


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("state", ["queued", "starting", "running", "stopping", "interrupted", *ENDINGS])
def test_every_state_of_an_export_speaks_every_language(state: str, lang: str) -> None:
    html = head(scene(state, written(4), *ENDINGS.get(state, [])), lang, now=12.0)
    found = Elements(html)
    assert "script" not in found.names and say(f"live.state.{state}", lang) in html
    assert {"chat", "evaluate"}.isdisjoint(found.buttons), "what leads on stands in the receipt"
    assert say("export.empty.title", lang) in empty(lang, kind="export")


def test_progress_is_by_bytes_and_tensors_and_unknown_while_the_model_is_asked() -> None:
    html = head(scene("running", written(4)), "en", now=12.0)
    assert "4.0 MB of 8.0 MB" in html and 'style="width:50.0%"' in html and "0:04 left" in html
    assert "GGUF file: blk." in html
    asked = head(scene("running", written(8), Note(code="receipt_prompts", at=11.0)), "en", now=12.0)
    assert "tb-unknown" in asked and " left" not in asked and "blk." not in asked
    assert "0:04 left" in head(
        scene("running", Note(code="receipt_prompts", at=9.0), written(4)), "en", now=12.0
    )


# The receipt


def shown(workspace: Workspace, run: str, lang: str = "en") -> str:
    view = View(kind="export", run=run)
    return look(workspace.jobs, view, lang, 0.0, Receipts(workspace).body).body or ""


@pytest.mark.parametrize("lang", LANGUAGES)
def test_only_what_was_proved_is_ready(workspace: Workspace, lang: str) -> None:
    make(workspace.saves, "export_1", ("merged", "gguf", "ollama"))
    good = shown(workspace, RUN, lang)
    assert 'data-ready="yes"' in good and say("export.ready.yes", lang) in good
    make(workspace.saves, "export_2", ready=False)
    other = shown(workspace, "Sprout/lora/export_2", lang)
    make(workspace.saves, "export_3", llama=False)
    unasked = shown(workspace, "Sprout/lora/export_3", lang)
    assert say("export.checked.not_replayed", lang) in unasked
    for html in (other, unasked):
        assert 'data-ready="no"' in html and say("export.ready.yes_text", lang) not in html
    assert "<mark>" in other and "<b>bold" not in other
    for html in (good, other, unasked):
        found = Elements(html)
        assert found.buttons["zip"]["data-id"] and found.buttons["chat"]["data-name"]
    assert good.count('data-act="chat"') == 3 and good.count('data-do="copy"') == 4


@pytest.mark.parametrize("lang", LANGUAGES)
def test_where_two_tokens_were_equally_likely_the_answers_are_not_called_others(lang: str) -> None:
    facts = receipt("saves/x")
    for made in facts["formats"]:
        made["replay"]["tokens"] |= {"same": 254, "agreement": 0.9922, "ties": 1}
    html = receipt_html(facts, RUN, (), lang)
    runtime = facts["formats"][0]["replay"]["runtime"]
    assert say("export.checked.tied", lang, runtime=runtime, same="254", of="256") in html
    assert say("export.ready.near_text", lang) in html and say("export.ready.yes_text", lang) not in html


def test_what_is_asked_of_now_has_its_name_on_the_page(workspace: Workspace) -> None:
    folder = make(workspace.saves, "export_1", ("gguf",))
    job = workspace.jobs.get(RUN)
    events = [
        Started(
            total_steps=1, rows=0, trained_tokens=0, parameters=1, trainable=0, device="CPU", precision="f16",
            task="export",
        ),
        Note(code="receipt_replaying", values={"format": "gguf:q8_0"}),
    ]  # fmt: skip
    scene = Scene(RUN, folder.name, "running", job.config, told(Story(), events), kind="export")
    assert f"{say('export.formats.gguf.name', 'zh')} q8_0" in head(scene, "zh", 0.0)


def test_a_receipt_holds_all_that_is_asked_of_it(workspace: Workspace) -> None:
    folder = make(workspace.saves, "export_1", ("merged", "gguf", "ollama"))
    facts = json.loads((folder / "receipt.json").read_text(encoding="utf-8"))
    html = shown(workspace, RUN)
    for made in facts["formats"]:
        assert f'data-format="{made["key"]}"' in html and size(made["bytes"]) in html
        for file in made["files"]:
            assert file["sha256"] in html and file["name"] in html
        assert all(each["text"].replace("'", "&#x27;") in html for each in made["commands"])
    assert html.count('class="tb-asked"') == len(facts["prompts"]) == 8
    for text in (
        "&lt;|im_end|&gt;",
        "0.3.16",
        "message.content",
        "Answer in one word.",
        "2.1e-06",
        "256 of 256",
    ):
        assert text in html
    assert shown(workspace, "Sprout/lora/export_1", "zh") != html


def test_what_no_export_has_written_breaks_nothing(workspace: Workspace) -> None:
    strange: list[Any] = [
        {}, {"formats": 3}, {"formats": [3, None, {}], "prompts": [None, {"messages": "x", "outside": [1]}]},
        {"formats": [{"replay": {"tokens": {"of": "many"}, "reason": {"code": "of_tomorrow"}, "logits": 1}, "files": [1, {}]}]},
        {"ready": "yes", "template": [], "stop_tokens": {}, "versions": 4, "notes": [{"code": "of_tomorrow"}]},
        json.loads(json.dumps(receipt("x")).replace("Paris.", "<script>").replace("f16", EVIL.replace('"', ""))),
    ]  # fmt: skip
    for each in strange:
        found = Elements(receipt_html(each, RUN, (Note(code="receipt_ready"),), "en"))
        assert "script" not in found.names
    folder = make(workspace.saves, "export_1")
    for text in ("[]", "{", ""):
        (folder / "receipt.json").write_text(text)
        assert say("export.gone") in shown(workspace, RUN)
    make(workspace.saves, "export_2", over=False)
    assert 'data-ready="none"' in shown(workspace, "Sprout/lora/export_2")


def test_a_folder_that_holds_an_export_is_replaced_only_when_that_is_confirmed(workspace: Workspace) -> None:
    desk = ExportDesk(workspace)
    target = workspace.root / "home"
    target.mkdir()
    (target / "receipt.json").write_text("{}")
    for values in ({}, {"overwrite_output_dir": True}):
        chosen = wanted(TOP, "merged", export_dir="home", **values)
        codes = [each.code for each in desk.forecast(chosen).problems]
        assert ("export_dir_filled" in codes) is not bool(values)
        assert {"merged", "gguf"} <= set(desk.forecast(chosen).sizes), (
            "neither the place nor another format matters"
        )
    job = desk.start(wanted(TOP, "merged", export_dir="home", overwrite_output_dir=True), "").job
    assert job is not None and job.config.train.overwrite_output_dir
    for outside in ("/etc/x", "../x"):
        problems = desk.start(wanted(TOP, "merged", export_dir=outside), "").problems
        assert [each.code for each in problems] == ["export_dir_outside"]
        assert desk.forecast(wanted(TOP, "merged", export_dir=outside)).problems
