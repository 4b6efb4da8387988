"""The ground floor: settings, events, paths and sentences, mostly by properties that must hold for any input."""

from __future__ import annotations

import json
import string
import tempfile
import threading
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.compat import HARMLESS, OWN, REFUSED
from trainer.config import (
    RunConfig,
    read_file,
    require_training,
    training_arguments,
    write_yaml,
)
from trainer.contradictions import contradictions
from trainer.errors import UserError, UserErrors, problems_of, sentences, tell
from trainer.events import KINDS, Event, EventLog, Finished, Note, Started, Step, current, decode, encode
from trainer.options import OptionInfo, options
from trainer.paths import RunFolder, safe_path, write_atomic
from trainer.values import SENTENCES, is_optional, plain_kind

# A slow, noisy machine must not fail a property, and examples are the same every time.
steady = settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=list(HealthCheck))

WORDS = st.text(
    alphabet=string.ascii_letters + string.digits + "._-/ '\"#:{}[]&*!|>%@`，你好é", min_size=1, max_size=20
)


def names() -> st.SearchStrategy[tuple[str, ...]]:
    name = WORDS.map(lambda text: text.replace(",", "").strip()).filter(bool)
    return st.lists(name, min_size=1, max_size=3, unique=True).map(tuple)


def values_of(info: OptionInfo) -> st.SearchStrategy[Any]:
    kind = plain_kind(info.kind)
    if get_origin(kind) is Literal:
        found: st.SearchStrategy[Any] = st.sampled_from(get_args(kind))
    elif get_origin(kind) is tuple:
        found = names()
    elif kind is bool:
        found = st.booleans()
    elif kind is int:
        low, high = int(info.min or 0), int(info.max or 10**6)
        found = st.integers(low, high)
    elif kind is float:
        found = st.floats(info.min or 0.0, info.max or 1e6, allow_nan=False, allow_subnormal=False)
    else:
        found = WORDS.filter(lambda text: text.strip().lower() not in ("", "none", "null"))
    return st.none() | found if is_optional(info.kind) else found


@st.composite
def configs(draw: st.DrawFn) -> RunConfig:
    """Any config without contradictions."""
    chosen = draw(
        st.lists(st.sampled_from(list(options().values())), max_size=12, unique_by=lambda info: info.name)
    )
    config = RunConfig().with_values(**{info.name: draw(values_of(info)) for info in chosen})
    wrong = {problem.field for problem in contradictions(config, set())}
    return config.with_values(**{name: options()[name].default for name in wrong})


@steady
@given(configs())
def test_settings_come_back_from_flat_from_yaml_and_from_json(config: RunConfig) -> None:
    if contradictions(config, set()):
        return
    flat = config.to_flat()
    assert RunConfig.from_flat(flat) == config
    assert RunConfig.from_flat(yaml.safe_load(write_yaml(config))) == config
    assert RunConfig.from_flat(json.loads(json.dumps(flat))) == config
    assert set(flat) <= set(options())


@steady
@given(configs())
def test_settings_come_back_from_the_text_of_flags(config: RunConfig) -> None:
    if contradictions(config, set()):
        return
    flat = {
        name: ("\n" if name in SENTENCES else ",").join(value) if isinstance(value, list) else str(value)
        for name, value in config.to_flat().items()
    }
    assert RunConfig.from_flat(flat) == config


@steady
@given(st.dictionaries(st.sampled_from([*options(), "bf16", "nonsense", "extra", "deepspeed"]), st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
), max_size=6))  # fmt: skip
def test_any_mapping_gives_settings_or_sentences(mapping: dict[str, Any]) -> None:
    try:
        config = RunConfig.from_flat(mapping)
    except UserErrors as error:
        assert problems_of(error) and all(problem.text for problem in error.problems)
        assert all(problem.field for problem in error.problems)
    else:
        assert RunConfig.from_flat(config.to_flat()) == config


def test_all_problems_are_told_at_once_with_the_nearest_name() -> None:
    with pytest.raises(UserErrors) as caught:
        RunConfig.from_flat(
            {"learning_rat": 1, "lora_rank": "four", "cutoff_len": -1, "packing": "maybe", "finetuning_type": "lor",
             "deepspeed": ["ds.json"], "stage": "dpo", "max_length": 3, "xyzzy": 1}
        )  # fmt: skip
    found = {problem.field: problem for problem in caught.value.problems}
    assert {name: problem.code for name, problem in found.items()} == {
        "learning_rat": "option_unknown", "lora_rank": "option_not_int", "cutoff_len": "option_below",
        "packing": "option_not_bool", "finetuning_type": "option_not_choice", "deepspeed": "option_not_text", "stage": "option_refused",
        "max_length": "option_extra_own", "xyzzy": "option_unknown_far",
    }  # fmt: skip
    assert "'learning_rate'" in found["learning_rat"].hint and "'lora'" in found["finetuning_type"].hint
    assert "hint:" in str(caught.value) and "cutoff_len" in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        ({"eval_strategy": "steps"}, "eval_without_rows"),
        ({"val_size": 0.1, "eval_dataset": "a"}, "eval_rows_twice"),
        ({"load_best_model_at_end": True}, "best_without_eval"),
        ({"max_steps": 0}, "option_not_positive"),
        ({"learning_rate": 0}, "option_not_positive"),
        ({"learning_rate": "nan"}, "option_not_float"),
        ({"lora_rank": 1.5}, "option_not_int"),
        ({"learn_prompts": ["a", "b", "c", "d"]}, "too_many_prompts"),
        ({"finetuning_type": "full", "adapter_name_or_path": "x"}, "adapter_with_full"),
        ({"bf16": True, "compute_type": "fp32"}, "option_twice"),
        ({"extra": "{"}, "extra_not_mapping"),
        ({"hf_hub_token": "hf_secret"}, "option_refused"),
    ],
)
def test_contradictions_have_their_sentences(mapping: dict[str, Any], code: str) -> None:
    with pytest.raises(UserErrors) as caught:
        RunConfig.from_flat(mapping)
    assert [problem.code for problem in caught.value.problems] == [code]


def test_a_file_of_llamafactory_is_read() -> None:
    config = RunConfig.from_flat(
        yaml.safe_load(
            "model_name_or_path: Qwen/Qwen2.5-0.5B\nstage: sft\ndo_train: true\nfinetuning_type: lora\n"
            "lora_target: all\ndataset: identity,alpaca_en_demo\ntemplate: qwen\ncutoff_len: 1024\nmax_samples: 1000\n"
            "overwrite_cache: true\npreprocessing_num_workers: 16\noutput_dir: saves/qwen/lora/sft\nlogging_steps: 10\n"
            "save_steps: 500\nplot_loss: true\noverwrite_output_dir: true\nper_device_train_batch_size: 1\n"
            "gradient_accumulation_steps: 8\nlearning_rate: 1.0e-4\nnum_train_epochs: 3.0\nlr_scheduler_type: cosine\n"
            "warmup_ratio: 0.1\nbf16: true\nddp_timeout: 180000000\nval_size: 0.1\nper_device_eval_batch_size: 1\n"
            "eval_strategy: steps\neval_steps: 500\nsave_only_model: false\nreport_to: none\nresume_from_checkpoint: null\n"
            "dataloader_num_workers: 4\ntrust_remote_code: true\nlora_rank: 8\n"
        )
    )  # fmt: skip
    assert config.data.dataset == ("identity", "alpaca_en_demo")
    assert config.method.compute_type == "bf16" and config.train.learning_rate == 1e-4
    assert dict(config.extra) == {"save_only_model": False, "dataloader_num_workers": 4}
    assert config.train.resume_from_checkpoint == ""
    assert "compute_type: bf16" in " ".join(note.text for note in config.notes)


def test_words_of_others_do_not_overlap_with_ours() -> None:
    assert not set(options()) & (HARMLESS | set(REFUSED) | set(OWN))
    assert {"learning_rate", "adam_beta2", "max_length"} <= training_arguments()


def test_what_training_needs_is_asked_for_at_once() -> None:
    with pytest.raises(UserErrors) as caught:
        require_training(RunConfig.from_flat({"do_train": False}))
    assert [problem.code for problem in caught.value.problems] == ["no_model", "no_dataset", "no_training"]


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("a.yaml", b"a: [1,\nb: {", "yaml_broken", "line 2"),
        ("a.json", b'{"a": 1,\n "b" 2}', "json_broken", "line 2, column 6"),
        ("a.yaml", b"\xff\xfe", "file_not_utf8", "byte 0"),
        ("a.yaml", b"- 1\n- 2\n", "file_not_mapping", "list"),
        ("a.yaml", b"", "file_not_mapping", "NoneType"),
        ("a.yaml", b"a: !!python/object/apply:os.system ['true']", "yaml_broken", "line 1"),
    ],
)
def test_a_broken_file_is_told_where(tmp_path: Path, name: str, content: bytes, code: str, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_file(tmp_path / name)
    assert caught.value.code == code and said in caught.value.text


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    for path, code in ((tmp_path / "no.yaml", "file_missing"), (tmp_path, "file_unreadable")):
        with pytest.raises(UserError) as caught:
            read_file(path)
        assert caught.value.code == code


# Sentences


def test_every_sentence_can_be_said() -> None:
    for code, sentence in sentences().items():
        fields = {name for part in sentence for _, name, _, _ in string.Formatter().parse(part) if name}
        said = tell(code, dict.fromkeys(fields, 7))
        assert said.text.strip(), code


def test_an_error_is_a_sentence_with_its_hint_on_a_line_of_its_own() -> None:
    error = UserError("no_model", field="model_name_or_path")
    assert str(error).splitlines()[1].startswith("hint: ")
    assert problems_of(error) == (error,)
    with pytest.raises(KeyError):
        UserError("no_such_code")


# Events

# Times are given: an example that depends on the clock would not be the same example twice.
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.builds(
    Step, at=st.just(1.5), step=st.integers(0, 10**6), total_steps=st.integers(0, 10**6), epoch=NUMBERS,
    elapsed_s=NUMBERS, eta_s=NUMBERS, loss=NUMBERS | st.none(), lr=NUMBERS | st.none(),
)  # fmt: skip
WRITTEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
NOTES = st.builds(Note, at=st.just(2.5), code=st.just("phase_rows"), values=st.dictionaries(WRITTEN, WRITTEN))


@steady
@given(st.lists(STEPS | NOTES, max_size=20), st.lists(st.integers(1, 200), max_size=50))
def test_a_reader_sees_each_event_once_however_the_file_grows(events: list[Event], pieces: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = EventLog(Path(folder) / "events.jsonl")
        assert log.read() == ([], 0)
        whole = "".join(encode(event) + "\n" for event in events).encode()
        seen: list[Event] = []
        written = offset = 0
        for size in [*pieces, len(whole)]:
            with log.path.open("ab") as file:
                file.write(whole[written : written + size])
            written += size
            batch, offset = log.read(offset)
            seen += batch
        assert seen == events
        assert log.read(offset) == ([], offset)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_every_event_comes_back_and_newer_fields_are_passed_over(kind: type[Event]) -> None:
    made = kind(**{each.name: 3 for each in fields(kind) if each.default is each.default_factory is MISSING})
    assert decode(encode(made)) == made
    assert decode(json.dumps({**json.loads(encode(made)), "newer": 1})) == made
    with pytest.raises(ValueError):
        decode('{"kind": "Nothing"}')


def test_after_a_crash_the_log_goes_on_on_a_new_line(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    first, last = (Note(code="phase_rows", values={"n": n}) for n in (1, 2))
    log.append(first)
    with log.path.open("ab") as file:
        file.write(encode(last).encode()[:20])
    assert log.read().events == [first]
    log.append(last)
    assert log.read().events == [first, last]


def test_many_readers_see_what_one_writer_appends(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    written = [Note(code="phase_rows", values={"n": n, "text": "长" * (n % 50)}) for n in range(400)]
    done = threading.Event()
    seen: list[list[Event]] = [[] for _ in range(4)]

    def follow(mine: list[Event]) -> None:
        offset = 0
        while len(mine) < len(written):
            finished = done.is_set()
            batch, offset = log.read(offset)
            mine += batch
            if finished and not batch:
                return

    readers = [threading.Thread(target=follow, args=(mine,)) for mine in seen]
    for reader in readers:
        reader.start()
    for event in written:
        log.append(event)
    done.set()
    for reader in readers:
        reader.join()
    assert all(mine == written for mine in seen)


def test_a_resume_undoes_what_came_after_its_checkpoint() -> None:
    def step(number: int) -> Step:
        return Step(step=number, total_steps=9, epoch=0, elapsed_s=0, eta_s=0)

    def started(resumed_from: int = 0) -> Started:
        return Started(
            total_steps=9, rows=1, trained_tokens=1, parameters=1, trainable=1, device="cpu", precision="fp32",
            resumed_from=resumed_from,
        )  # fmt: skip

    ending = Finished(step=3, seconds=1, path="")
    events = [started(), step(1), step(2), step(3), ending, started(2), step(3), step(4)]
    kept = current(events)
    assert [event.step for event in kept if isinstance(event, Step)] == [1, 2, 3, 4]
    assert ending not in kept
    assert not any(isinstance(event, Step) for event in current([*events, started()]))


# Paths


@steady
@given(
    st.text(min_size=1, max_size=40)
    | st.lists(st.sampled_from(["..", ".", "a", "/", "b", "~", "\x00"])).map("/".join)
)
def test_a_name_never_leads_out_of_its_folder(name: str) -> None:
    root = Path("/nowhere/saves")
    try:
        path = safe_path(root, name)
    except UserError as error:
        assert error.code in ("path_outside", "name_too_long")
    else:
        assert path.resolve().is_relative_to(root)


def test_a_link_never_leads_out_of_its_folder(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "near").symlink_to(root / "in")
    assert safe_path(root, "near/x") == root / "near" / "x"
    with pytest.raises(UserError):
        safe_path(root, "out/x")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomic(path, "old")

    def fail(self: Path, target: Path) -> Path:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError):
            write_atomic(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_checkpoints_are_sorted_by_step(tmp_path: Path) -> None:
    for name in ("checkpoint-100", "checkpoint-20", "checkpoint-x", "other-3"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-5").write_text("a file")
    assert [path.name for path in RunFolder(tmp_path).checkpoints()] == ["checkpoint-20", "checkpoint-100"]


@pytest.mark.parametrize("said", [{}, {"packing": True}, {"packing": False}])
def test_neat_packing_packs_whatever_packing_says(said: dict[str, bool]) -> None:
    assert RunConfig.from_flat({**said, "neat_packing": "true"}).data.packing
