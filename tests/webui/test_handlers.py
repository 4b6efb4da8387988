"""Every handler of the page bears whatever a page can send: menus without a value yet, emptied boxes, values of strangers."""

from __future__ import annotations

import asyncio
import copy
import inspect
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.helpers import special_args

from tests.browser.endless import EndlessChat
from tests.webui.test_desk import run
from trainer.jobs.workspace import Workspace
from webui import build

OWN = object()
# What stands in every control at once. A value that Gradio itself refuses for a control is not sent to that one.
GIVEN = {
    "own": OWN,
    "none": None,
    "empty": "",
    "list": [],
    "stranger": "nobody",
    "number": -1,
    "names": ["nobody"],
}
ACTS = [
    "attach",
    "blind",
    "cancel",
    "change",
    "choose",
    "click",
    "delete",
    "delete_it",
    "kind",
    "more",
    "move_up",
    "open",
    "rename",
    "resume",
    "save_name",
    "show",
    "stop",
    "tick",
    "unload",
    "use",
]
DATA: list[Any] = [
    None, "text", [], {}, {"act": None, "id": None, "name": None, "page": None, "what": None},
    {"page": 10**9}, {"page": -1}, {"act": [], "id": {}, "name": 3, "page": "1", "what": []},
    *({"act": act, "id": "nobody", "name": "nobody", "value": "nobody", "page": 1} for act in ACTS),
]  # fmt: skip


class Brief(EndlessChat):
    """A chat whose answers end at once."""

    def stream(self, request: Any) -> Iterator[Any]:
        for place, chunk in enumerate(super().stream(request)):
            if place > 3:
                self.stop()
            yield chunk


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    workspace = Workspace(tmp_path_factory.mktemp("workspace"), run=run)
    workspace._chat = Brief()  # type: ignore[assignment]

    async def make() -> gr.Blocks:
        return build(workspace)

    # As in test_page.py: Gradio leaves loops of its own unclosed where none is running.
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(asyncio.run, make()).result()
    workspace.close()


def handlers(page: gr.Blocks) -> list[Any]:
    return [each for each in page.fns.values() if each.fn is not None]


def value_for(block: Any, given: Any) -> Any:
    """What a handler receives from a control for what the page sends; its state is the server's own."""
    if isinstance(block, gr.State):
        return copy.deepcopy(block.value)
    try:
        return block.preprocess(block.value if given is OWN else given)
    except Exception:
        return None


def call(handler: Any, given: Any, data: Any) -> None:
    inputs = [value_for(block, given) for block in handler.inputs]
    request = SimpleNamespace(session_hash="page", username=None)
    event = gr.EventData(None, data)
    inputs, *_ = special_args(handler.fn, inputs, request, event)  # type: ignore[arg-type]
    found = handler.fn(*inputs)
    answers = list(found) if inspect.isgenerator(found) else [found]
    for answer in answers:
        if len(handler.outputs) > 1:
            assert len(answer) == len(handler.outputs), handler.name


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_a_handler_answers_whatever_it_is_given(page: gr.Blocks, given: Any) -> None:
    failed: dict[str, str] = {}
    for handler in handlers(page):
        _, _, takes_event, _ = special_args(handler.fn)
        for data in DATA if takes_event is not None else [None]:
            try:
                call(handler, given, data)
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                failed[f"{handler.name} {handler.targets} {data!r}"] = (
                    f"{error!r} {last.filename}:{last.lineno}"
                )
    assert failed == {}


def test_no_box_is_without_a_value_before_it_is_shown(page: gr.Blocks) -> None:
    """A text box that has no value sends None until it is drawn for the first time, and an empty text from then on."""
    inputs = {block._id: block for handler in page.fns.values() for block in handler.inputs}
    kinds = (gr.Textbox, gr.Dropdown, gr.Radio, gr.Number, gr.Slider, gr.Checkbox)
    boxes = [each for each in inputs.values() if isinstance(each, kinds)]
    assert boxes and [each.elem_id for each in boxes if each.value is None] == []


def test_answers_to_changes_are_never_left_out(page: gr.Blocks) -> None:
    """With Gradio's mode "once" a change during an answer to the one before would be passed over, and what it says stay wrong."""
    changes = {"change", "input", "focus"}
    passed = [
        (handler.name, handler.targets)
        for handler in page.fns.values()
        if handler.trigger_mode == "once" and any(event in changes for _, event in handler.targets)
    ]
    assert passed == []


def test_a_menu_reads_what_a_page_sends_also_after_it_was_changed(page: gr.Blocks) -> None:
    """Gradio makes a component anew when a handler has changed its choices for a page, and would then refuse other values."""
    kinds = (gr.Dropdown, gr.Radio, gr.CheckboxGroup)
    menus = [block for block in page.blocks.values() if isinstance(block, kinds)]
    assert {kind for kind in kinds for block in menus if isinstance(block, kind)} == set(kinds)
    for block in menus:
        several = isinstance(block, gr.CheckboxGroup) or bool(getattr(block, "multiselect", False))
        anew = type(block)(
            **{**block.constructor_args, "choices": ["a", "b"], "value": None, "render": False}
        )
        assert anew.get_block_name() == type(block).__name__.lower()
        for each in (block, anew):
            assert each.preprocess("gone") == ([] if several else "gone")
            assert each.preprocess(None) == ([] if several else "")
            assert each.preprocess(["gone", 3]) == (["gone"] if several else "")
