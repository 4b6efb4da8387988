"""Option -> component."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import gradio as gr
import pytest

from trainer.options import OptionInfo, options
from trainer.values import is_optional, plain_kind
from webui import controls, form

INFOS = [options()[name] for name in form.FIELDS]


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_each_kind_has_its_control(info: OptionInfo) -> None:
    made = controls.make(info)
    kind = plain_kind(info.kind)
    assert made.elem_id == f"o-{info.name}" and made.label == info.label and made.info == info.help
    if kind is bool:
        assert isinstance(made, gr.Checkbox)
    elif get_origin(kind) is Literal:
        assert isinstance(made, gr.Dropdown) and [value for _, value in made.choices] == list(get_args(kind))
    elif kind in (int, float):
        assert isinstance(made, (gr.Number, gr.Slider))
        assert not (is_optional(info.kind) and isinstance(made, gr.Slider)), "a slider cannot be empty"
    elif get_origin(kind) is tuple:
        assert isinstance(made, gr.Textbox) or (isinstance(made, gr.Dropdown) and made.multiselect)
    else:
        assert isinstance(made, (gr.Textbox, gr.Dropdown))


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_what_was_typed_comes_through_whatever_it_is(info: OptionInfo) -> None:
    made = controls.make(info)
    if isinstance(made, (gr.Number, gr.Slider)):
        for typed in (-5, 10**9, 1.5, None):
            assert made.preprocess(typed) == typed
    assert made.preprocess(made.value) == made.value


def test_an_optional_number_is_empty_at_first() -> None:
    """None would not be sent to the browser, and Gradio's number box would show 0."""
    assert controls.make(options()["max_samples"]).value == ""
