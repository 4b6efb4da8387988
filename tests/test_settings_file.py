"""Files of settings as OmegaConf reads them, and `${...}` in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trainer.config import read_file
from trainer.errors import UserError
from trainer.flags import read_flags
from trainer.interpolation import resolve

ENVIRONMENT = {"ROOT": "/models", "RANK": "4", "EMPTY": ""}


def test_yaml_is_read_as_people_mean_it(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "### model\na: 1e-5  # a rate\nb: 1.0e-4\nc: {min_lr: 1E-6}\nd: 2024-01-31\ne: null\nf:\ng: '1e-5'\nh: 1e\n"
        "i: -3e4\nj: no\nk: 0.1\nl: 12\n"
    )
    assert read_file(file) == {
        "a": 1e-5, "b": 1e-4, "c": {"min_lr": 1e-6}, "d": "2024-01-31", "e": None, "f": None, "g": "1e-5", "h": "1e",
        "i": -3e4, "j": False, "k": 0.1, "l": 12,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("a.yaml", "a: 1\nb: 2\na: 3\n", "file_name_twice", "in line 1 and in line 3"),
        ("a.yaml", "a:\n  b: 1\n  b: 1\n", "file_name_twice", "in line 2 and in line 3"),
        ("a.json", '{"a": 1, "a": 2}', "json_name_twice", "'a' twice"),
    ],
)
def test_a_name_that_is_given_twice_is_told(
    tmp_path: Path, name: str, text: str, code: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        read_file(tmp_path / name)
    assert caught.value.code == code and said in caught.value.text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("${oc.env:ROOT}/qwen", "/models/qwen"),
        ("${oc.env:RANK}", "4"),
        ("${oc.decode:${oc.env:RANK}}", 4),
        ("${oc.env:NONE,8}", 8),
        ("${oc.env:NONE,null}", None),
        ("${oc.env:NONE,${oc.env:ROOT}}", "/models"),
        ("${oc.env:EMPTY}", ""),
        ("${rate}", 1e-4),
        ("saves/${name}-${rank}", "saves/qwen-8"),
        ("${nested.inner}", True),
        ("${indirect}", "qwen"),
        (r"\${name}", "${name}"),
        ("$name {}", "$name {}"),
    ],
)
def test_a_value_may_stand_for_another(written: str, meant: Any) -> None:
    values = {"rate": 1e-4, "name": "qwen", "rank": 8, "nested": {"inner": True}, "indirect": "${name}"}
    found = resolve({**values, "x": written, "list": [written], "map": {"y": written}}, ENVIRONMENT.get)
    assert found["x"] == found["list"][0] == found["map"]["y"] == meant
    assert found["indirect"] == "qwen"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"a": "${oc.env:NONE}"}, "interpolation_variable"),
        ({"a": "${b}"}, "interpolation_name"),
        ({"a": "${b}", "b": "${a}"}, "interpolation_circle"),
        ({"a": "x${a}"}, "interpolation_circle"),
        ({"a": "${now:%Y}"}, "interpolation_unknown"),
        ({"a": "${b"}, "interpolation_broken"),
        ({"a": "x${b}", "b": {"c": 1}}, "interpolation_broken"),
    ],
)
def test_what_stands_for_nothing_is_told(values: dict[str, Any], code: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(values, ENVIRONMENT.get)
    assert caught.value.code == code


def test_what_a_model_is_told_stays_as_it_is() -> None:
    spoken = {"learn_prompts": ["What is ${x}?"], "default_system": "${y}"}
    assert resolve(spoken, ENVIRONMENT.get) == spoken


def test_values_that_were_typed_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOARD_TEST", "here")
    file = tmp_path / "a.yaml"
    file.write_text(
        "name: a\noutput_dir: ${oc.env:TUNEBOARD_TEST}/${name}\nlr_scheduler_kwargs: {min_lr: 1e-6, power: 2}\n"
    )
    typed = ["name=b", "lr_scheduler_kwargs.min_lr=1e-5", "deepspeed.zero_optimization.stage=2"]
    assert read_flags([str(file), *typed]) == {
        "name": "b", "output_dir": "here/b", "lr_scheduler_kwargs": {"min_lr": 1e-5, "power": 2},
        "deepspeed": {"zero_optimization": {"stage": 2}},
    }  # fmt: skip
    assert read_flags(["learning_rate=1", "learn_prompts=${x}"]) == {
        "learning_rate": "1",
        "learn_prompts": "${x}",
    }
