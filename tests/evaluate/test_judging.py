"""The judge of an evaluation: named at the start of the program, asked about the rows, and written down nowhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.chat.tiny import write_adapter
from tests.evaluate.services import Quiet, serving
from tests.evaluate.tiny import rows as written
from tests.evaluate.tiny import write_data, write_speaker
from tests.jobs.fake import FakeRun, wait
from trainer.cli import main
from trainer.config import RunConfig
from trainer.dataset.conversation import Conversation, Message, Row, Text
from trainer.errors import UserError
from trainer.evaluate.judge import Judge, Reply
from trainer.evaluate.judging import MOST, Judging, judged
from trainer.evaluate.run import run_eval
from trainer.events import Event, Finished, Note, Stopped
from trainer.jobs.launch import read_judge
from trainer.jobs.serve import read_address
from trainer.jobs.workspace import Workspace
from webui import build

KEY, MODEL = "sk-never-written", "judge-of-all"
BY = Judge("http://judge.invalid/v1", MODEL, KEY)
LIKES_A = Reply(200, b'{"choices": [{"message": {"content": "[[A]]"}}]}')


def many(count: int, **more: Any) -> tuple[list[dict[str, Any]], list[Row]]:
    """Rows whose tuned answer is `good`."""
    talk = Conversation(
        (Message("user", (Text("Why?"),)), Message("assistant", (Text("So."),))), system="Be brief."
    )
    rows = [Row("some", place + 1, talk) for place in range(count)]
    plain = {"predict": "good", "base": "bad", "label": "So.", "media": []}
    return [{"row": place, **plain, **more} for place in range(count)], rows


class Asked:
    """Finds `good` better wherever it stands, and counts how often it is asked."""

    def __init__(self, fails_after: int = 10**6) -> None:
        self.texts: list[str] = []
        self.fails_after = fails_after

    def __call__(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Reply:
        text = json.loads(body)["messages"][1]["content"]
        self.texts.append(text)
        if len(self.texts) > self.fails_after:
            return Reply(429, b"")
        choice = "[[A]]" if "<answer_A>\ngood" in text else "[[B]]"
        return Reply(200, json.dumps({"choices": [{"message": {"content": choice}}]}).encode())


def codes(found: Judging) -> list[str]:
    return [note.code for note in found.notes]


def test_the_judge_sees_the_conversation_and_its_choices_become_a_verdict() -> None:
    asked = Asked()
    found = judged(*many(9), BY, lambda: False, asked)
    assert found.verdict is not None and not found.notes and not found.stopped
    assert (found.verdict.better, found.verdict.rows, found.verdict.shown) == (9, 9, True)
    assert "system: Be brief.\n\nuser: Why?\n</question>" in asked.texts[0]
    same = Asked()
    found = judged(*many(9, base="good"), BY, lambda: False, same)
    assert found.verdict is not None and found.verdict.equal == 9 and not same.texts


def test_what_the_judge_is_not_asked_is_said() -> None:
    asked = Asked()
    found = judged(*many(MOST + 50), BY, lambda: False, asked)
    assert codes(found) == ["judge_cut"] and len(asked.texts) == 2 * MOST
    assert found.notes[0].values == {"count": MOST, "rows": MOST + 50}
    assert codes(judged(*many(3, media=["/a.png"]), BY, lambda: False, Asked())) == ["judge_blind"]
    assert codes(judged(*many(3, base=None), BY, lambda: False, Asked())) == ["judge_no_pairs"]
    swayed = judged(*many(3), BY, lambda: False, lambda *_: LIKES_A)
    assert codes(swayed) == ["judge_swayed"] and swayed.verdict is not None and swayed.verdict.equal == 3


def test_a_judge_that_fails_or_is_stopped_leaves_what_it_has_found() -> None:
    found = judged(*many(20), BY, lambda: False, Asked(fails_after=16))
    assert codes(found) == ["judge_refused"] and not found.stopped
    assert found.verdict is not None and found.verdict.rows == 8
    nothing = judged(*many(20), BY, lambda: False, Asked(fails_after=0))
    assert nothing.verdict is None and codes(nothing) == ["judge_refused"]
    asked = Asked()
    stopped = judged(*many(20), BY, lambda: len(asked.texts) >= 8, asked)
    assert stopped.stopped and stopped.notes[0].values == {"done": 4, "total": 20}


def test_flags_name_a_judge_and_the_environment_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_JUDGE_KEY", KEY)
    words = ["--judge-url", "http://127.0.0.1:1/v1", "--judge-model", MODEL]
    assert read_address(["--port", "7871", *words]).judge == Judge("http://127.0.0.1:1/v1", MODEL, KEY)
    assert read_judge("", "") is None
    for url, model, code in (("http://x/v1", "", "judge_half"), ("file:///x", MODEL, "judge_address")):
        with pytest.raises(UserError) as error:
            read_judge(url, model)
        assert error.value.code == code
    assert main(["eval", "--judge-url", "http://127.0.0.1:1/v1", "--eval_dataset", "rows"]) == 2


# Whole evaluations


class Service(Quiet):
    """A service that calls every pair a tie; it notes the keys that it is shown."""

    keys: list[str | None]

    def do_POST(self) -> None:
        asked = self.asked()
        self.keys.append(self.headers["Authorization"] if asked["model"] == MODEL else None)
        self.say("[[TIE]]")


@pytest.fixture
def address() -> Iterator[str]:
    Service.keys = []
    with serving(Service) as found:
        yield f"{found}/v1"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """An evaluation of six rows by a tiny model and its adapter."""
    root = tmp_path_factory.mktemp("judged")
    base = write_speaker(root / "tiny")
    return {
        "model_name_or_path": str(base), "adapter_name_or_path": str(write_adapter(root / "tuned", base)),
        "eval_dataset": "rows", "dataset_dir": str(write_data(root / "data", rows=written(6))),
        "do_predict": True, "max_new_tokens": 12, "compute_type": "fp32",
    }  # fmt: skip


def assert_secret(folder: Path, address: str) -> None:
    """No file of the folder tells the judge's key, address or name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"config.yaml", "events.jsonl", "report.json"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for secret in (KEY, address, address.split("/")[2], MODEL):
            assert secret.encode() not in content, path.name


def test_the_command_line_asks_the_judge_and_prints_its_sentence_below_the_other(
    settings: dict[str, Any], address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNEBOARD_JUDGE_KEY", KEY)
    words = [f"{name}={value}" for name, value in settings.items()]
    assert main(["eval", *words, f"--judge-url={address}", "--judge_model", MODEL]) == 0
    last, before = capsys.readouterr().out.strip().splitlines()[:-3:-1]
    assert last.startswith("Judge: no difference") and "of 6" in last and "of 6" in before
    (folder,) = (tmp_path / "saves/tiny/lora").iterdir()
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (report["judge"]["equal"], report["judge"]["rows"]) == (6, 6) and report["verdict"]["rows"] == 6
    assert Service.keys and set(Service.keys) == {f"Bearer {KEY}"}
    assert_secret(tmp_path, address)


def test_a_server_asks_its_own_judge_only_where_a_run_wishes_it(
    settings: dict[str, Any], address: str, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path, judge=Judge(address, MODEL, KEY))
    try:
        without = workspace.jobs.submit(RunConfig.from_flat(settings))
        wait(workspace.jobs, without.id, "finished")
        assert not Service.keys and (workspace.results.report(without.id) or {})["judge"] is None
        wished = workspace.jobs.submit(RunConfig.from_flat({**settings, "judge": True}))
        wait(workspace.jobs, wished.id, "finished")
    finally:
        workspace.close()
    assert workspace.has_judge and (workspace.results.report(wished.id) or {})["judge"]["rows"] == 6
    assert_secret(wished.folder.path, address)


def test_an_evaluation_ends_well_without_the_judge_it_wishes(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    config = RunConfig.from_flat({**settings, "judge": True, "output_dir": str(tmp_path / "run")})
    for judge, code in (
        (None, "judge_none"),
        (Judge("http://127.0.0.1:1/v1", MODEL, KEY), "judge_unreachable"),
    ):
        events: list[Event] = []
        assert isinstance(run_eval(config, events.append, lambda: False, judge), Finished)
        assert [each.code for each in events if isinstance(each, Note) and each.code.startswith("judge")][
            -1
        ] == code
        assert json.loads((tmp_path / "run/report.json").read_text(encoding="utf-8"))["judge"] is None
    events = []

    def stop() -> bool:
        return any(isinstance(each, Note) and each.code == "judge_asking" for each in events)

    assert isinstance(run_eval(config, events.append, stop, BY), Stopped)
    assert json.loads((tmp_path / "run/report.json").read_text(encoding="utf-8"))["stopped"] is False


def test_the_page_offers_a_judge_only_where_there_is_one(tmp_path: Path) -> None:
    for judge in (None, BY):
        workspace = Workspace(tmp_path / str(judge is None), run=FakeRun(), judge=judge)

        async def make(of: Workspace = workspace) -> str:
            return json.dumps(build(of).get_config_file(), default=str)

        # Gradio makes loops of its own, and leaves them unclosed, where none is running (gradio/utils.py).
        with ThreadPoolExecutor(1) as thread:
            config = thread.submit(asyncio.run, make()).result()
        workspace.close()
        (box,) = [
            each for each in json.loads(config)["components"] if each["props"].get("elem_id") == "o-judge"
        ]
        assert box["props"]["visible"] is (judge is not None) and box["props"]["value"] is False
        for secret in (KEY, BY.address, MODEL):
            assert secret not in config
