"""Option -> Gradio component. The only place that looks at an option's type."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

import gradio as gr

from trainer.options import OptionInfo
from trainer.values import is_optional, plain_kind

# A slider whose handle jumps by more than this many steps per pixel cannot be aimed; such options get a number box.
MOST_STOPS = 2048

# Options whose lists belong to this machine: the page fills them when it loads.
LISTED = ("dataset", "eval_dataset", "adapter_name_or_path", "template", "optim", "lora_target")
LINES = ("learn_prompts", "export_prompts")


def make(info: OptionInfo, value: Any = None, /, **more: Any) -> Any:
    """The control of an option, showing `value` or what the page proposes, with the id `o-<name>`.

    bool -> checkbox; Literal -> dropdown; number with both bounds -> slider; other numbers -> number box, which may be
    emptied when the option is optional; several names -> multi-select; questions -> one a line; text -> text box.
    """
    kind = plain_kind(info.kind)
    shown = show(info, info.form_default if value is None else value)
    common = {
        "label": info.label,
        "info": info.help,
        "elem_id": f"o-{info.name}",
        "value": shown,
        "interactive": True,
        **more,
    }
    if kind is bool:
        return gr.Checkbox(**common)
    if get_origin(kind) is Literal:
        return gr.Dropdown(choices=list(get_args(kind)), filterable=False, **common)
    if kind in (int, float):
        return _number(info, common)
    if get_origin(kind) is tuple and info.name in LINES:
        return gr.Textbox(lines=3, max_lines=3, **common)
    if get_origin(kind) is tuple:
        return _dropdown(info, {"multiselect": True, **common})
    if info.name in LISTED:
        return _dropdown(info, common)
    return gr.Textbox(max_lines=1, placeholder=str(info.default), **common)


def _number(info: OptionInfo, common: dict[str, Any]) -> gr.Component:
    low, high, step = info.min, info.max, info.step
    if low is not None and high is not None and step and not is_optional(info.kind):
        return _slider(low, high, step, common) if (high - low) / step <= MOST_STOPS else gr.Number(**common)
    # No bounds and no precision here, for the same reason; a precision would also round a fraction silently.
    return gr.Number(**common)


def _slider(low: float, high: float, step: float, common: dict[str, Any]) -> gr.Slider:
    slider = gr.Slider(minimum=low, maximum=high, step=step, buttons=[], **common)
    # Gradio answers a number out of range with a toast, and an emptied box with a crash: `checked` says it better.
    slider.preprocess = _as_typed  # type: ignore[method-assign,assignment]
    return slider


def _as_typed(value: Any) -> Any:
    return value


def _dropdown(info: OptionInfo, common: dict[str, Any]) -> gr.Dropdown:
    return gr.Dropdown(choices=list(info.choices), allow_custom_value=True, **common)


def show(info: OptionInfo, value: Any) -> Any:
    """An option's value as its control holds it."""
    if isinstance(value, tuple):
        return "\n".join(value) if info.name in LINES else list(value)
    # Gradio leaves None out of what it sends at first, and its number box then shows 0.
    return "" if value is None else value
