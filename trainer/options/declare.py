"""What an option is."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NamedTuple

# Panels of the Train tab, in the order in which the page shows them; "predict" are those of the
# Evaluate & Predict tab, "export" those of the Export tab, "none" has no control (files and flags only).
PANELS = (
    "top", "data", "basics", "lora", "freeze", "memory", "devices", "optimizer", "vocabulary", "saving", "evaluation",
    "learning", "multimodal", "advanced", "chat", "predict", "export", "none",
)  # fmt: skip


class OptionInfo(NamedTuple):
    """What the form, the flags and the documents know of an option."""

    name: str
    section: str
    kind: Any
    default: Any
    form_default: Any
    help: str
    label: str
    min: float | None
    max: float | None
    step: float | None
    choices: tuple[str, ...]
    panel: str
    when: dict[str, tuple[str, ...]]


def option(
    default: Any,
    help: str,
    *,
    label: str,
    panel: str,
    form: Any = None,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    choices: tuple[str, ...] = (),
    when: dict[str, tuple[str, ...]] | None = None,
) -> Any:
    """A dataclass field that is an option.

    `default` holds for files and flags (LLaMA-Factory's and transformers' value); `form` is what the page proposes where
    that differs. `choices` are suggestions for a text option; a Literal type is a closed list. `when` names the options
    and values under which the control is shown; of several names in a value one is enough. `min` and `max` are inclusive.
    """
    facts = {
        "help": help, "label": label, "panel": panel, "form": form, "min": min, "max": max, "step": step,
        "choices": choices, "when": when or {},
    }  # fmt: skip
    return field(default=default, metadata=facts)
