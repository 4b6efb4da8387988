"""The form without its components."""

from __future__ import annotations

import random
import shlex
from typing import Any, Literal, get_args, get_origin

import pytest

from trainer.config import RunConfig
from trainer.errors import UserErrors
from trainer.flags import read_flags
from trainer.options import OptionInfo, options
from trainer.values import is_optional, plain_kind
from webui import form
from webui.controls import show

OPEN = form.proposed("Sprout", "lora")
INFOS = [options()[name] for name in form.FIELDS]
# They contradict other options when they are set alone.
NEED_OTHERS = {
    "eval_strategy": {"val_size": 0.1},
    "load_best_model_at_end": {"val_size": 0.1, "eval_strategy": "epoch"},
    "finetuning_type": {},
    "interleave_probs": {"mix_strategy": "interleave_under", "dataset": ["one", "two"]},
    "mix_strategy": {},
    "streaming": {"max_steps": 5},
    "buffer_size": {"max_steps": 5},
    "quantization_bit": {"quantization_method": "hqq"},
    "oft_rank": {"oft_block_size": 0},
    "oft_block_size": {"oft_rank": 0},
    "early_stopping_steps": {"val_size": 0.1, "eval_strategy": "epoch"},
    "image_max_pixels": {"image_min_pixels": 1},
    "video_max_pixels": {"video_min_pixels": 1},
}


def other_values(info: OptionInfo) -> list[Any]:
    """Values of an option that are allowed, the ends of its range among them."""
    kind = plain_kind(info.kind)
    if kind is bool:
        return [True, False]
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if kind in (int, float):
        ends = [info.min, info.max, 3, 7 if kind is int else 0.125]
        found = [kind(end) for end in ends if end is not None]
        low, high = info.min, info.max
        inside = [n for n in found if (low is None or n >= low) and (high is None or n <= high)]
        positive = info.name in (
            "learning_rate",
            "num_train_epochs",
            "max_steps",
            "oft_rank",
            "oft_block_size",
        )
        return [n for n in inside if n or not positive] + ([None] if is_optional(info.kind) else [])
    if info.name == "report_to":
        return [("tensorboard",), ("wandb", "trackio"), ("all",)]
    if info.name == "interleave_probs":
        return [("0.3", "0.7"), ("1", "0")]
    if get_origin(kind) is tuple:
        return (
            [("who are you?", "你是谁，小朋友?"), ("one",)]
            if info.name == "learn_prompts"
            else [("one", "two"), ("all",)]
        )
    return ["some text", "naïve 名字 'quoted' \"$HOME\" `x`"]


def shown_by(info: OptionInfo) -> dict[str, Any]:
    """Values of other options under which the control of an option is shown."""
    deeper: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for other, allowed in info.when.items():
        kind = plain_kind(options()[other].kind)
        value: Any = allowed[0] == "true" if kind is bool else allowed[0]
        own[other] = [value] if get_origin(kind) is tuple else value
        deeper |= shown_by(options()[other])
    return deeper | own


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_form_to_config_to_form_is_the_identity(info: OptionInfo) -> None:
    for value in other_values(info):
        values = {**OPEN, **shown_by(info), **NEED_OTHERS.get(info.name, {}), info.name: show(info, value)}
        if info.name == "model_name_or_path":
            values = {**OPEN, "model_name_or_path": form.CUSTOM, "model_path": value}
        config = form.read(values)
        stored = getattr(getattr(config, info.section), info.name)
        assert stored == value or (value == () and stored == info.default)
        again = form.write(config)
        unused = form.hidden(values)
        for name in form.NAMES:
            assert name in unused or form.same(name, again[name], values[name]), name
        assert form.read(again) == config


def test_config_to_form_to_config_is_the_identity() -> None:
    chance = random.Random(7)
    tried = 0
    while tried < 200:
        flat: dict[str, Any] = {}
        for info in INFOS:
            if chance.random() < 0.3 and info.name not in (*NEED_OTHERS, "eval_dataset", "val_size"):
                flat[info.name] = chance.choice(other_values(info))
        # What no control shows has no meaning beside the rest, and no file that the page writes has it.
        unused = form.hidden({**form.write(RunConfig()), **flat})
        flat = {name: value for name, value in flat.items() if name not in unused}
        if chance.random() < 0.3:
            flat |= {"adam_beta2": 0.95, "eval_strategy": "epoch", "val_size": 0.25}
        try:
            config = RunConfig.from_flat(flat)
        except UserErrors:
            continue  # values that contradict each other
        assert form.read(form.write(config)) == config
        tried += 1


def test_every_option_is_on_the_page_once_unless_it_is_none_of_its_business() -> None:
    shown = [name for panel in form.SHOWN for name in form.names_in(panel)]
    assert len(shown) == len(set(shown))
    elsewhere = ("none", "chat", "predict", "export")
    assert set(shown) == {name for name, info in options().items() if info.panel not in elsewhere}
    assert set(form.ELSEWHERE) <= set(shown)


def test_an_emptied_box_stays_empty() -> None:
    config = form.read({**OPEN, "lora_alpha": "", "save_total_limit": None})
    assert config.lora.lora_alpha is None and config.train.save_total_limit is None
    assert form.write(config)["lora_alpha"] == ""


def test_every_mistake_is_told_at_once_and_none_is_filled_in_silently() -> None:
    wrong = {"learning_rate": "", "lora_rank": 0, "num_train_epochs": None, "seed": 1.5, "extra": "{not json"}
    with pytest.raises(UserErrors) as told:
        form.read({**OPEN, **wrong})
    assert {problem.field for problem in told.value.problems} == set(wrong)


def test_what_is_hidden_does_not_count() -> None:
    values = {**form.proposed("Sprout", "full"), "lora_rank": 0}
    assert "lora_rank" in form.hidden(values)
    assert "lora_rank" not in form.flat(values)
    assert form.changed(values, form.proposed("Sprout", "full")) == []


@pytest.mark.parametrize(
    ("given", "shown", "gone"),
    [
        ({"finetuning_type": "oft"}, {"oft_rank", "additional_target", "quantization_bit"}, {"lora_rank", "use_galore"}),
        ({"finetuning_type": "freeze"}, {"freeze_trainable_layers", "use_galore"}, {"oft_rank", "galore_rank", "quantization_bit"}),
        ({"finetuning_type": "full", "use_galore": True}, {"galore_rank", "use_apollo"}, {"apollo_rank", "lora_rank"}),
        # A switch that is not shown itself shows nothing else, however it stands.
        ({"use_galore": True, "quantization_bit": "4", "finetuning_type": "lora"}, {"quantization_type"}, {"use_galore", "galore_rank"}),
        ({"quantization_bit": "4", "finetuning_type": "full"}, set(), {"quantization_type", "quantization_method"}),
        ({"quantization_bit": "4", "quantization_method": "hqq"}, {"quantization_method"}, {"quantization_type"}),
        ({"pissa_init": True}, {"pissa_iter", "pissa_convert"}, set()),
        ({"ds_stage": "3"}, {"ds_offload"}, {"fsdp"}),
        ({"report_to": ["tensorboard"]}, set(), {"project", "swanlab_mode"}),
        ({"report_to": ["tensorboard", "swanlab"]}, {"project", "swanlab_mode"}, set()),
        ({"stage": "pt"}, {"packing"}, {"train_on_prompt", "enable_thinking", "use_dft_loss"}),
    ],
)  # fmt: skip
def test_a_control_is_there_when_it_has_a_meaning(
    given: dict[str, Any], shown: set[str], gone: set[str]
) -> None:
    hidden = form.hidden({**OPEN, **given})
    assert gone <= hidden and not shown & hidden


def test_every_switch_that_others_wait_for_can_be_reached() -> None:
    """No control waits for a value that another control cannot have."""
    for info in INFOS:
        for other, allowed in info.when.items():
            kind = plain_kind(options()[other].kind)
            known = {"true", "false"} if kind is bool else {*get_args(kind), *options()[other].choices}
            assert set(allowed) <= known, info.name
        assert info.name not in form.hidden({**OPEN, **shown_by(info)})


def test_the_stage_of_plain_text_fills_rows_and_takes_that_back() -> None:
    after, texts = form.proposed("Sprout", "lora", stage="pt"), ["text_demo"]
    assert (OPEN["packing"], after["packing"]) == (False, True)
    assert form.fill({**OPEN, "stage": "pt"}, OPEN, after).values == {"packing": True, "dataset": texts}
    there = {**OPEN, "stage": "pt", "packing": True, "dataset": texts}
    assert form.changed(there, after) == []
    back = form.proposed_for(OPEN, "balanced")
    taken_back = {"packing": False, "dataset": ["identity"]}
    assert form.fill({**there, "stage": "sft"}, after, back).values == taken_back
    # Who has packed before, or has chosen data, goes on with it.
    own = {**OPEN, "packing": True, "dataset": ["mine"], "stage": "pt"}
    assert form.fill(own, OPEN, after) == ({}, ["dataset"])
    assert form.read(there).to_flat()["stage"] == "pt"


def test_changes_are_those_of_the_person() -> None:
    values = {**OPEN, "lora_rank": 4, "num_train_epochs": OPEN["num_train_epochs"] + 0.0, "model_path": "x"}
    assert form.changed(values, OPEN) == ["lora_rank"]


def test_proposals_fill_only_what_nobody_touched() -> None:
    before, after = OPEN, form.proposed("Sprout", "full")
    new, kept = form.fill({**OPEN, "save_steps": 7}, before, after)
    assert new["learning_rate"] == after["learning_rate"] != before["learning_rate"]
    assert kept == [] and "save_steps" not in new
    new, kept = form.fill({**OPEN, "learning_rate": 0.5}, before, after)
    assert kept == ["learning_rate"] and "learning_rate" not in new


def test_template_and_checkpoints_follow_the_model() -> None:
    values = {**OPEN, "adapter_name_or_path": ["saves/Sprout/lora/a"]}
    after = form.proposed("Qwen2.5-0.5B-Instruct", "lora")
    new, _ = form.fill(values, OPEN, after)
    assert new["template"] == after["template"] != "" and new["adapter_name_or_path"] == []
    assert form.fill(values, OPEN, OPEN) == ({}, [])


@pytest.mark.parametrize("method", ["lora", "oft", "freeze", "full"])
def test_presets_say_what_they_change(method: str) -> None:
    usual = form.proposed("Sprout", method)
    for preset in form.PRESETS:
        changes = form.preset_changes("Sprout", method, preset)
        assert bool(changes) == (preset != "balanced")
        values = form.proposed("Sprout", method, preset)
        form.read(values)
        for name, before, after in changes:
            assert form.same(name, values[name], after) and form.same(name, usual[name], before)
            assert name not in form.hidden(values)


def test_a_model_by_path_and_full_training_from_a_checkpoint() -> None:
    own = {**OPEN, "model_name_or_path": form.CUSTOM, "model_path": " /models/mine "}
    assert form.read(own).model.model_name_or_path == "/models/mine"
    assert form.model_name(own) == "mine"
    for method in ("full", "freeze"):
        values = {
            **form.proposed("Sprout", method),
            "adapter_name_or_path": [f"saves/Sprout/{method}/a"],
            "output_dir": "b",
        }
        config = form.read(values)
        assert config.model.model_name_or_path == f"saves/Sprout/{method}/a"
        assert config.model.adapter_name_or_path == ()
        assert config.train.output_dir == f"saves/Sprout/{method}/b"
    oft = form.read({**form.proposed("Sprout", "oft"), "adapter_name_or_path": ["saves/Sprout/oft/a"]})
    assert (
        oft.model.adapter_name_or_path == ("saves/Sprout/oft/a",) and oft.model.model_name_or_path == "Sprout"
    )


def test_the_command_says_the_same_as_the_form() -> None:
    hard = {
        "identity_name": "it's \"$HOME\" `id` \\ 名字; rm -rf /", "learn_prompts": "a, b?\n'c' & d", "plot_loss": False,
        "lora_target": ["q_proj", "v_proj"], "learning_rate": 1e-7, "extra": '{"adam_beta2": 0.98, "run_name": "a b"}',
        "identity_author": "-- x", "packing": True,
    }  # fmt: skip
    config = form.read({**OPEN, **hard})
    words = shlex.split(form.command(config))
    assert words[:4] == ["python", "-m", "trainer", "train"]
    assert RunConfig.from_flat(read_flags(words[4:])) == config


def test_what_a_file_says_and_the_form_cannot_show_is_told() -> None:
    config = RunConfig.from_flat({"trust_remote_code": True, "use_fast_tokenizer": True, "bf16": True})
    codes = [note.code for note in form.notes_of(config)]
    assert codes == ["note_renamed", "note_harmless", "page_left_out"]
    assert "trust_remote_code" in str(form.notes_of(config)[-1].values["names"])
