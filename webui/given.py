"""What handlers are given for what a page sends: always of the control's own kind, whatever the page holds just now."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable
from typing import Any

import gradio as gr


def settle(page: gr.Blocks) -> None:
    """Lets menus and text boxes of a page arrive as texts, or lists of them.

    A page sends None for a box that it has not drawn yet, and for a menu whose choice is gone; a stranger sends anything.
    Gradio would hand that on, and answer a choice that it does not know, such as a run that was renamed or a menu that
    was filled before the server was started anew, with a toast in English: whoever uses the value says it better.
    """
    for block in page.blocks.values():
        if isinstance(block, gr.CheckboxGroup) or (isinstance(block, gr.Dropdown) and block.multiselect):
            _take(block, texts)
        elif isinstance(block, (gr.Dropdown, gr.Radio, gr.Textbox)):
            _take(block, text)


def _take(block: Any, read: Callable[[Any], Any]) -> None:
    """Lets `read` stand between the page and the handlers of a block.

    Gradio makes a block anew, from its class, when a handler has changed it for one page: hence a class. Its own metaclass
    would write a file beside this one for it, which `ABCMeta` alone does not.
    """
    kind = type(block)
    own = {"preprocess": lambda _, sent: read(sent), "__module__": kind.__module__, "__doc__": kind.__doc__}
    block.__class__ = ABCMeta.__new__(type(kind), kind.__name__, (kind,), own)


def text(sent: Any) -> str:
    """A text as it was sent, a number as one; "" for everything else."""
    if isinstance(sent, str):
        return sent
    return str(sent) if isinstance(sent, (int, float)) and not isinstance(sent, bool) else ""


def texts(sent: Any) -> list[str]:
    """The texts in a list; none for everything else."""
    return [each for each in sent if isinstance(each, str)] if isinstance(sent, list) else []
