"""The command line and the start of the page, as a person at a terminal meets them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.fake import FakeRun, mistake, register_data, save_checkpoint, until
from trainer import cli
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import EventLog, Failed, Finished, Started, Stopped
from trainer.flags import read_flags
from trainer.jobs import launch
from trainer.jobs.plan import VISIBLE
from trainer.jobs.serve import check_port, is_loopback, read_address
from trainer.paths import REPOSITORY, RunFolder

LEAST = ["--model_name_or_path", "Sprout", "--dataset", "identity"]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands set variables; they are put back."""
    with monkeypatch.context() as patch:
        for name in list(os.environ):
            patch.setenv(name, os.environ[name])
        before = dict(os.environ)
        yield
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: str, cwd: Path = REPOSITORY, code: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "trainer"]
    return subprocess.run(
        [sys.executable, *start, *words], cwd=cwd, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip


# What is typed


def test_flags_come_in_every_spelling_and_go_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("learning_rate: 1.0e-4\nlora_rank: 4\nbf16: true\nseed: 1\n")
    read = read_flags(
        [str(file), "lora_rank=16", "--learning-rate", "2e-4", "--seed=3", "--packing", "--max_steps", "-1",
         "--compute_type", "fp32", "--output_dir=a=b"]
    )  # fmt: skip
    config = RunConfig.from_flat(read)
    assert (config.lora.lora_rank, config.train.learning_rate, config.train.seed) == (16, 2e-4, 3)
    assert config.data.packing and config.train.max_steps == -1
    assert config.method.compute_type == "fp32" and config.train.output_dir == "a=b"


def test_json_files_are_read_and_a_flag_alone_may_come_last(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"dataset": ["a", "b"], "extra": {"adam_beta2": 0.98}}))
    config = RunConfig.from_flat(read_flags([str(file), "--mask_history"]))
    assert (
        config.data.dataset == ("a", "b")
        and config.data.mask_history
        and config.extra == {"adam_beta2": 0.98}
    )


def test_words_that_are_no_settings_are_all_told(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_flags(["lora_rank", "-x", "a.yaml", "b.yaml", "=3"])
    assert str(caught.value).count("hint:") == 4


# Training


def test_a_run_is_trained_with_its_progress_in_plain_lines(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = FakeRun()
    assert cli.main(["train", *LEAST, "max_steps=3", "output_dir=saves/x/lora/a"], run) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == f"run: {here / 'saves/x/lora/a'}"
    assert any(line.startswith("step 2/3") and "loss 0.5000" in line and "left" in line for line in lines)
    assert lines[-1].startswith("finished: 3 steps") and said.err == ""
    folder = RunFolder(here / "saves/x/lora/a")
    assert isinstance(EventLog(folder.events).read().events[-1], Finished)
    assert {p.name for p in folder.path.iterdir()} == {"config.yaml", "events.jsonl", "log.txt"}


def test_the_hub_of_the_environment_holds_unless_a_flag_names_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_MODELSCOPE_HUB", "1")
    assert cli.main(["train", *LEAST, "output_dir=saves/x/lora/a"], FakeRun()) == 0
    assert cli.main(["train", *LEAST, "output_dir=saves/x/lora/b", "hub=huggingface"], FakeRun()) == 0
    assert "hub: modelscope" in (here / "saves/x/lora/a/config.yaml").read_text()
    assert "hub:" not in (here / "saves/x/lora/b/config.yaml").read_text()


def test_the_settings_of_a_run_repeat_it(here: Path) -> None:
    run = FakeRun()
    words = ["train", *LEAST, "output_dir=first", "lora_rank=4", "overwrite_output_dir=true"]
    assert cli.main(words, run) == 0
    assert cli.main(["train", "first/config.yaml"], run) == 0
    first, second = run.configs
    assert second.with_values(output_dir="") == first.with_values(output_dir="")
    (again,) = (here / "saves" / "Sprout" / "lora").iterdir()
    assert again.name.startswith("train_") and second.train.output_dir == str(again)


def test_a_failed_run_says_why_and_ends_with_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun()
    run.fail = mistake()
    assert cli.main(["train", *LEAST, "output_dir=a"], run) == 1
    said = capsys.readouterr()
    assert "rows.json" in said.err and "hint:" in said.err and "Traceback" not in said.err + said.out
    run.fail = ValueError("surprise")
    assert cli.main(["train", *LEAST, "output_dir=b"], run) == 1
    said = capsys.readouterr()
    assert "ValueError" in said.err and "surprise" in said.err and "Traceback" not in said.err + said.out
    assert "Traceback" in (here / "b" / "log.txt").read_text()
    assert isinstance(EventLog(here / "b" / "events.jsonl").read().events[-1], Failed)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ["hint: python -m trainer"]),
        (["trian"], ["'train'"]),
        (["train"], ["nothing to train"]),
        (["train", "no.yaml"], ["no.yaml"]),
        (["train", *LEAST, "learning_rat=1", "lora_rank=x", "cutoff_len=1"], ["'learning_rate'", "lora_rank", "cutoff_len"]),
        (["train", "--dataset", "identity"], ["No model is chosen"]),
        (["train", *LEAST, "dataset=identiti"], ["identiti", "identity"]),
        (["train", *LEAST, "output_dir=full"], ["in use", "overwrite_output_dir"]),
        (["train", *LEAST, "output_dir=data", "overwrite_output_dir=true"], ["no training run"]),
        (["train", *LEAST, "output_dir=data", "resume_from_checkpoint=true"], ["in use"]),
        (["train", *LEAST, "output_dir=/proc/nowhere"], ["/proc/nowhere"]),
        (["options", "lora_ran"], ["lora_rank"]),
        (["chat"], ["No model is chosen"]),
        (["chat", "--prompt"], ["--prompt"]),
    ],
)  # fmt: skip
def test_wrong_arguments_end_with_2_and_a_hint(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: list[str]
) -> None:
    (here / "full").mkdir()
    (here / "full" / "events.jsonl").write_text("")
    run = FakeRun()
    assert cli.main(words, run) == 2
    out, err = capsys.readouterr()
    if words:
        assert all(each in err for each in said), err
    assert out == "" and "Traceback" not in err and run.configs == []
    assert (here / "data" / "dataset_info.json").exists()


def test_overwriting_removes_only_what_a_run_left(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = FakeRun()
    words = ["train", *LEAST, "output_dir=a", "overwrite_output_dir=true"]
    assert cli.main(words, run) == 0
    save_checkpoint(here / "a", 7)
    assert cli.main(words, run) == 0
    assert not (here / "a" / "checkpoint-7").exists()
    (here / "a" / "thesis.docx").write_text("precious")
    assert cli.main(words, run) == 2
    assert "thesis.docx" in capsys.readouterr().err
    assert (here / "a" / "thesis.docx").read_text() == "precious"
    model = here / "model"
    model.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (model / name).write_text("{}")
    assert cli.main(["train", *LEAST, "output_dir=model", "overwrite_output_dir=true"], run) == 2
    assert len(list(model.iterdir())) == 3


def test_a_stopped_run_ends_with_130_and_is_resumed(here: Path) -> None:
    run = FakeRun()
    run.gate.clear()

    def interrupted(config, emit, stop):  # type: ignore[no-untyped-def]
        os.kill(os.getpid(), signal.SIGINT)
        until(stop)
        return run(config, emit, stop)

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert cli.main(["train", *LEAST, "output_dir=a", "max_steps=4"], interrupted) == 130
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    assert isinstance(EventLog(here / "a" / "events.jsonl").read().events[-1], Stopped)
    run.gate.set()
    words = [
        "train",
        *LEAST,
        "output_dir=a",
        "max_steps=4",
        "resume_from_checkpoint=true",
        "overwrite_output_dir=true",
    ]
    assert cli.main(words, run) == 0
    assert run.configs[-1].train.resume_from_checkpoint == "true"
    assert (here / "a" / "checkpoint-1").exists()
    named = ["train", *LEAST, "output_dir=a", "max_steps=4", "resume_from_checkpoint=checkpoint-1"]
    assert cli.main(named, run) == 0
    assert run.configs[-1].train.resume_from_checkpoint == "checkpoint-1"
    events = EventLog(here / "a" / "events.jsonl").read().events
    assert [event.resumed_from for event in events if isinstance(event, Started)] == [0, 1, 1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_at_once(here: Path, number: signal.Signals) -> None:
    code = (
        "import sys, time\n"
        "from trainer import cli\n"
        "def run(config, emit, stop):\n"
        "    print('training', flush=True)\n"
        "    while not stop():\n"
        "        time.sleep(0.01)\n"
        "    print('stopping', flush=True)\n"
        "    time.sleep(600)\n"
        f"sys.exit(cli.main(['train', *{LEAST!r}, 'output_dir=a'], run))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert process.stdout
    try:
        for word in ("training", "stopping"):
            while process.stdout.readline().strip() != word:
                assert process.poll() is None
            process.send_signal(number)
        err = process.communicate(timeout=120)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and "once more" in err and "Traceback" not in err


# The other commands


def test_help_and_version_never_wait_for_torch() -> None:
    heavy = "{'torch', 'transformers', 'gradio', 'datasets', 'matplotlib'} & set(sys.modules)"
    for words in (
        ["--help"],
        ["version"],
        ["options"],
        ["options", "lora_rank"],
        ["train", "--help"],
        ["chat", "-h"],
    ):
        code = f"import sys; from trainer import cli; code = cli.main({words!r}); sys.exit(code or bool({heavy}))"
        done = command(code=code)
        assert done.returncode == 0 and done.stdout, (words, done.stderr)


def test_the_module_is_a_program() -> None:
    done = command("version")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.count(".") == 2
    assert command("nonsense").returncode == 2


def test_the_machine_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env"]) == 0
    said = capsys.readouterr().out
    for word in ("TuneBoard", "torch", "transformers", "gradio", "Device", "Memory", "GiB"):
        assert word in said


# The start of the page


def test_only_this_machine_is_served_without_a_login() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.4", "example.org"))
    with pytest.raises(UserError) as caught:
        read_address(["--host", "0.0.0.0", "--port", "7000"])
    assert "--host 0.0.0.0 --port 7000 --auth" in caught.value.hint
    for wrong in ("anna", "anna:", ":secret"):
        with pytest.raises(UserError) as caught:
            read_address(["--auth", wrong])
        assert caught.value.code == "auth_form" and "secret" not in str(caught.value)


def test_a_port_in_use_is_told_with_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as caught:
            check_port("127.0.0.1", port)
        assert caught.value.code == "port_taken"
        done = command("--port", str(port), code="import app, sys; sys.exit(app.main())")
        assert done.returncode == 2 and f"port {port} is in use" in done.stderr and "--port" in done.stderr
    with pytest.raises(UserError) as caught:
        check_port("no.such.host.invalid", 7860)
    assert caught.value.code == "host_unknown"
    with pytest.raises(UserError) as caught:
        check_port("127.0.0.1", 99999)
    assert caught.value.code == "port_refused"


def test_wrong_flags_of_the_page_end_with_2() -> None:
    done = command("--prot", "1", code="import app, sys; sys.exit(app.main())")
    assert done.returncode == 2 and "--prot" in done.stderr


def test_the_environment_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_RANK", "TOKENIZERS_PARALLELISM"):
        monkeypatch.delenv(name, raising=False)
    for given, seen in (("0,1,2", "0"), ("3", "3"), ("", ""), ("GPU-8a,GPU-9b", "GPU-8a")):
        monkeypatch.delenv(VISIBLE, raising=False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        launch.settle_environment()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    launch.settle_environment()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    for value, hub in (("1", "modelscope"), ("0", "huggingface"), ("", "huggingface")):
        monkeypatch.setenv("USE_MODELSCOPE_HUB", value)
        assert launch.default_hub() == hub
