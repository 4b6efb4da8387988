"""python -m trainer data, as a person at a terminal meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dataset.ingest.staging import jsonl, pack, picture
from tests.jobs.fake import register_data
from trainer import cli
from trainer.data_words import Meter
from trainer.dataset.info import choose, load_info
from trainer.errors import UserErrors
from trainer.jobs.serve import read_address
from trainer.paths import DATA, REPOSITORY

GOOD = [
    {"question": "What is it?", "answer": "A thing."},
    {"question": "And that?", "answer": "Another thing."},
]
MIXED = [*GOOD, {"question": "Nothing?", "answer": ""}, {"question": "Six?", "answer": 6}]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a data folder; variables that commands set are put back."""
    before = dict(os.environ)
    register_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    # A slow machine may take its time over a small file.
    monkeypatch.setattr("trainer.data_words.SILENT_S", 3600.0)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["data", *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


def test_the_whole_way_of_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "fragen.jsonl").write_bytes(jsonl(MIXED))
    code, out, err = run(capsys, "check", "fragen.jsonl")
    assert code == 1 and err == ""
    assert "question -> prompt" in out and "row 3: the answer is empty (answer)" in out
    assert "row 4: answer is a number" in out and "--repair numbers" in out
    # Looking at a file changes nothing.
    assert sorted(each.name for each in here.rglob("*")) == [
        "data",
        "dataset_info.json",
        "fragen.jsonl",
        "identity.json",
    ]
    code, out, _ = run(capsys, "register", "fragen.jsonl", "--name", "fragen")
    assert code == 0 and "Rows: 3; left out: 1;" in out and "row 3" in out
    code, out, _ = run(capsys, "check", "fragen")
    assert code == 0 and "row 3" not in out
    code, out, _ = run(capsys, "list")
    assert code == 0 and "identity" in out and "fragen" in out and "3 rows" in out
    code, out, _ = run(capsys, "preview", "fragen", "--rows", "1", "--cutoff_len", "128")
    assert (
        code == 0 and "What is it?" in out and "⟦" in out and "Another thing" not in out and "\x1b" not in out
    )
    code, out, _ = run(capsys, "preview", "fragen", "--rows=1", "--page=2", "--json")
    assert code == 0 and "And that?" in json.dumps(json.loads(out))
    code, out, _ = run(capsys, "remove", "fragen")
    assert code == 0 and "removed fragen" in out
    assert list(load_info(here / "data")) == ["identity"] and (here / "fragen.jsonl").exists()
    assert not list((here / "data" / ".staging").glob("?" * 32))


def test_one_object_for_programs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.jsonl").write_bytes(jsonl(MIXED) + b"{broken\n")
    code, out, _ = run(capsys, "check", "a.jsonl", "--json")
    found = json.loads(out)
    assert code == 1 and (found["ok"], found["rows"], found["usable"]) == (False, 5, 2)
    assert [(each["number"], each["code"]) for each in found["problems"]] == [
        (3, "row_empty_answer"),
        (4, "row_type"),
        (5, "row_broken"),
    ]
    assert (
        found["counts"] == {"row_empty_answer": 1, "row_type": 1, "row_broken": 1}
        and found["shape"]["kind"] == "question_answer"
    )
    code, out, _ = run(capsys, "register", "a.jsonl", "--name=a", "--repair=all", "--json")
    found = json.loads(out)
    assert (
        code == 0
        and (found["rows"], found["dropped"]) == (3, 2)
        and [each["row"] for each in found["dropped_rows"]] == [3, 5]
    )
    code, out, _ = run(capsys, "check", "a", "--json")
    assert code == 0 and json.loads(out)["ok"] and json.loads(out)["rows"] == 3
    code, out, _ = run(capsys, "list", "--json")
    assert {each["name"]: each["rows"] for each in json.loads(out)["datasets"]} == {"identity": None, "a": 3}


def test_columns_tags_and_questions_are_chosen(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.jsonl").write_bytes(jsonl([{"Spalte 1": "Wer?", "b=c": "Ich bin es."}]))
    code, _, _ = run(
        capsys,
        "register",
        "a.jsonl",
        "--name",
        "a",
        "--map",
        "Spalte 1=ignore",
        "--map",
        "b=c=response",
        "--ask",
        "Sag etwas.",
    )
    rows = (here / "data" / "a" / "rows.jsonl").read_text()
    assert code == 0 and json.loads(rows) == {"prompt": "Sag etwas.", "b=c": "Ich bin es."}
    chat = [{"talk": [{"by": "x1", "says": "Hello there"}, {"by": "x2", "says": "Hi"}]}]
    (here / "b.json").write_text(json.dumps(chat))
    tags = ["role_tag=by", "content_tag=says", "user_tag=x1", "assistant_tag=x2"]
    words = [word for tag in tags for word in ("--tag", tag)]
    code, out, err = run(capsys, "register", "b.json", "--name", "b", "--map", "talk=messages", *words)
    assert code == 0, err + out
    assert json.loads((here / "data" / "b" / "rows.jsonl").read_text()) == chat[0]
    code, _, err = run(
        capsys,
        "register",
        "a.jsonl",
        "--name",
        "c",
        "--map",
        "nothing",
        "--map",
        "b=x",
        "--map",
        "b=c=boss",
        "--tag",
        "x=y",
    )
    assert code == 2 and err.count("error:") == 4 and "Spalte 1" in err


def test_pictures_beside_the_file_are_copied(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / "own"
    (folder / "img").mkdir(parents=True)
    (folder / "img" / "a.png").write_bytes(picture())
    rows = [
        {"image": "img/a.png", "caption": "A red field."},
        {"image": "img/none.png", "caption": "Nothing."},
    ]
    (folder / "t.jsonl").write_bytes(jsonl(rows))
    code, out, _ = run(capsys, "check", str(folder / "t.jsonl"))
    assert code == 1 and "none.png" in out
    code, out, _ = run(capsys, "register", "own/t.jsonl", "--name", "bilder")
    assert code == 0 and "pictures and videos: 1" in out
    assert (here / "data" / "bilder" / "media" / "img" / "a.png").read_bytes() == picture()
    packed = pack(
        here / "x.zip", {"x/t.jsonl": jsonl(rows[:1]), "x/img/a.png": picture(), "other.jsonl": jsonl(GOOD)}
    )
    assert run(capsys, "check", str(packed))[0] == 0
    assert run(capsys, "register", str(packed), "--name", "zwei", "--table", "x/t.jsonl")[0] == 0
    assert run(capsys, "check", "zwei")[0] == 0


def test_another_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "a.jsonl").write_bytes(jsonl(GOOD))
    (here / "other").mkdir()
    assert run(capsys, "register", "a.jsonl", "--name", "a", "--dataset_dir", "other")[0] == 0
    assert list(load_info(here / "other")) == ["a"] and list(load_info(here / "data")) == ["identity"]
    assert run(capsys, "check", "a", "--dataset_dir=other")[0] == 0
    assert run(capsys, "remove", "a", "--dataset-dir", "other")[0] == 0
    assert run(capsys, "list", "--dataset_dir", str(DATA))[0] == 0


def test_a_broken_file_is_a_defect_and_a_missing_one_a_mistake(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a.json").write_text('[{"question": "x", "answer": "y"},\n {"question": ]')
    code, out, err = run(capsys, "check", "a.json")
    assert code == 1 and "line 2" in out and err == ""
    code, out, _ = run(capsys, "check", "a.json", "--json")
    assert code == 1 and json.loads(out)["ok"] is False and "line 2" in json.dumps(json.loads(out))
    (here / "data" / "identity.json").write_text(
        '[{"instruction": "Who?", "output": 3}, {"instruction": "Who?", "output": "Momo."}]'
    )
    code, out, _ = run(capsys, "check", "identity")
    assert code == 1 and "row 1" in out and "output" in out
    code, out, _ = run(capsys, "check", "identity", "--json")
    assert code == 1 and json.loads(out)["problems"][0]["number"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["list | check"]),
        (["chekc"], ["'chekc'"]),
        (["check"], ["a file", "NAME|FILE"]),
        (["check", "nobody"], ["'nobody'", "identity"]),
        (["check", "none.csv"], ["none.csv"]),
        (["check", "identity", "--foo"], ["--foo"]),
        (["check", "identity", "other"], ["other"]),
        (["check", "identity", "--dataset_dir", "nowhere"], ["nowhere"]),
        (["check", "identity", "--dataset_dir"], ["--dataset_dir"]),
        (["preview", "nobody"], ["'nobody'"]),
        (["preview", "identity", "--rows", "x"], ["--rows"]),
        (["preview", "identity", "--cutof_len", "4"], ["cutoff_len"]),
        (["preview", "identity", "--template", "nonsense"], ["nonsense"]),
        (["register", "data/identity.json"], ["--name"]),
        (["register", "none.json", "--name", "a"], ["none.json"]),
        (["register", "data", "--name", "a"], ["folder"]),
        (["register", "data/identity.json", "--name", "../x"], ["For example"]),
        (["register", "data/identity.json", "--name", "identity"], ["identity_2"]),
        (["register", "data/identity.json", "--name", "a", "--repair", "magic"], ["merge_turns"]),
        (["register", "data/identity.json", "--name", "a", "--table", "x"], ["identity.json"]),
        (["register", "data/identity.json", "--name", "a", "--map", "output=ignore"], ["answer"]),
        (["remove", "nobody"], ["'nobody'"]),
        (["remove"], ["name of a dataset"]),
    ],
)
def test_wrong_arguments_end_with_2(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: list[str]
) -> None:
    code, out, err = run(capsys, *words)
    assert code == 2 and out == "" and "\nerror: " in "\n" + err, out
    assert all(each in err for each in said), err
    assert list(load_info(here / "data")) == ["identity"]


def test_the_module_is_a_program_and_help_does_not_wait(here: Path) -> None:
    (here / "a.jsonl").write_bytes(jsonl(MIXED))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env=environment,
        )

    done = command("-m", "trainer", "data", "check", "a.jsonl")
    assert done.returncode == 1 and "row 3" in done.stdout and "error" not in done.stderr
    heavy = "{'torch', 'transformers', 'gradio', 'datasets'} & set(sys.modules)"
    done = command(
        "-c",
        f"import sys; from trainer import cli; cli.main(['data', 'check', 'a.jsonl']); sys.exit(bool({heavy}))",
    )
    assert done.returncode == 0, done.stderr
    assert "data check" in command("-m", "trainer", "data", "--help").stdout


def test_progress_is_told_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.data_words.SILENT_S", -1.0)
    monkeypatch.setattr("trainer.data_words.TOLD_EVERY_S", -1.0)
    meter = Meter()
    meter.tell(500, 30, 100)
    meter.close()
    said = capsys.readouterr()
    assert said.out == "" and said.err == "500 rows, 30 %\n"


def test_limits_are_flags_of_the_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.jobs.serve.check_port", lambda host, port: None)
    limits = read_address(
        ["--max-upload-gb", "0.5", "--max-media-files", "7", "--max-megapixels", "4"]
    ).limits
    assert (limits.file_bytes, limits.media_files, limits.megapixels) == (1 << 29, 7, 4.0)
    assert (read_address([]).limits.file_bytes, read_address([]).limits.media_files) == (2 << 30, 20_000)
    for wrong in (["--max-upload-gb", "0"], ["--max-megapixels", "51"], ["--max-media-files", "many"]):
        with pytest.raises(SystemExit):
            read_address(wrong)
        assert wrong[0] in capsys.readouterr().err


def test_a_data_folder_is_named_as_a_run_names_it(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert run(capsys, "check", "identity", "--dataset_dir", "~/data")[0] == 0
    # Below the program's own folder, as `dataset_dir` of a run.
    code, out, _ = run(capsys, "list", "--dataset_dir", "docs/../data")
    assert code == 0 and "chat_demo" in out
    code, _, err = run(capsys, "check", "identity", "--dataset_dir", "~nobody-at-all/data")
    assert code == 2 and "There is no data folder '~nobody-at-all/data'" in err
    # A hub's id is a name there, and nothing on this machine is asked for.
    code, _, err = run(capsys, "list", "--dataset_dir", "ONLINE")
    assert code == 2 and "ONLINE" in err


def test_what_helps_is_said_once_after_the_rows(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"instruction": "<image>Who?", "output": "He.", "images": [f"{place}.jpg"]} for place in range(3)]
    (here / "data" / "seen.json").write_text(json.dumps(rows), encoding="utf-8")
    info = {"seen": {"file_name": "seen.json"}}
    (here / "data" / "dataset_info.json").write_text(json.dumps(info), encoding="utf-16")
    code, out, _ = run(capsys, "check", "seen")
    assert code == 1 and out.count("which is not there") == 3 and out.count("hint: Put the file beside") == 1
    code, out, _ = run(capsys, "check", "seen", "--json")
    assert json.loads(out)["problems"][0]["hint"].startswith("Put the file beside")
    # dataset_info.json may be in any encoding for every command.
    assert run(capsys, "list")[0] == 0 and run(capsys, "remove", "seen")[0] == 0
    assert json.loads((here / "data" / "dataset_info.json").read_text(encoding="utf-8")) == {}


def test_every_name_that_cannot_be_loaded_is_told_at_once(here: Path) -> None:
    with pytest.raises(UserErrors) as error:
        choose(here / "data", ["nobody", "identity", "nothing"])
    assert [each.code for each in error.value.problems] == ["data_unknown", "data_unknown"]


def test_what_is_read_and_how_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "two.jsonl").write_bytes(jsonl([{"Frage": "Wer?", "Antwort": "Ich."}]))
    roles = ("--map", "Frage=response", "--map", "Antwort=prompt")
    code, out, _ = run(capsys, "register", "two.jsonl", "--name", "two", *roles)
    assert code == 0 and "Frage -> response, as was said" in out and "Antwort -> prompt, as was said" in out
    (here / "no.jsonl").write_bytes(jsonl([{"x": 1, "y": 2}]))
    code, out, err = run(capsys, "register", "no.jsonl", "--name", "no")
    assert code == 2 and out == "" and "x -> ignore" in err and "No column has the role of an answer" in err
    # Where an upload lies meanwhile is nobody's business.
    (here / "half.json").write_bytes(b'[{"instruction": "a", "output": "b"}, {"instr')
    for words in (("check", "half.json"), ("register", "half.json", "--name", "half")):
        code, out, err = run(capsys, *words)
        assert code in (1, 2) and "'half.json' is not valid JSON in row 2" in out + err
    table = jsonl([{"instruction": "a", "output": "b"}])
    pack(here / "both.zip", {"big.jsonl": table * 3, "small.csv": b"instruction,output\na,b\n"})
    code, out, _ = run(capsys, "register", "both.zip", "--name", "both")
    assert code == 0 and "read: big.jsonl; not read: small.csv (--table NAME chooses)" in out
    code, out, _ = run(capsys, "check", "both.zip", "--json")
    assert code == 0 and json.loads(out)["not_read"] == ["small.csv"]
    code, out, _ = run(capsys, "preview", "two", "--page", "9")
    assert code == 0 and out == "two has no rows on page 9.\n"


def test_a_registered_name_is_the_dataset_whatever_it_looks_like(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = {"../x": {"file_name": "identity.json"}, "a.json": {"file_name": "identity.json"}}
    (here / "data" / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    (here / "a.json").write_text("[]", encoding="utf-8")
    assert [run(capsys, "check", name)[0] for name in info] == [0, 0]


def test_a_template_for_text_says_so_of_rows_with_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--model_name_or_path", "Sprout-VL", "--dataset_dir", str(DATA), "--rows", "1")
    _, out, said = run(capsys, "preview", "guide_demo", "--template", "default", *words)
    assert "writes text only" in out + said and "concatenate" not in out + said
    code, out, _ = run(capsys, "preview", "guide_demo", *words)
    assert code == 0 and "writes text only" not in out
