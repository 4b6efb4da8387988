"""The page as it is built: nothing from outside, every part reachable by its id."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import pytest

from trainer.jobs.workspace import Workspace
from webui import build, form, i18n, theme


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))

    async def make() -> gr.Blocks:
        return build(workspace)

    # Outside a running event loop Gradio makes loops of its own and leaves them unclosed (gradio/utils.py); this thread
    # may be in one already, because Playwright's keeps running between browser tests.
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(asyncio.run, make()).result()
    workspace.close()


def ids(page: gr.Blocks) -> list[str]:
    return [block.elem_id for block in page.blocks.values() if getattr(block, "elem_id", None)]


def test_ids_are_unique_and_lead_to_texts(page: gr.Blocks) -> None:
    found = ids(page)
    assert len(found) == len(set(found))
    keys = i18n.dictionary()["en"]
    for each in found:
        if each.startswith("say-"):
            base = each.removeprefix("say-").replace("-", ".")
            assert any(key == base or key.startswith(base + ".") for key in keys), each
    assert {f"o-{name}" for name in form.FIELDS} <= set(found)


def test_text_on_the_page_belongs_to_a_key(page: gr.Blocks) -> None:
    """A label without a key would stay English in every language."""
    texts = set(i18n.dictionary()["en"].values())
    for block in page.blocks.values():
        if getattr(block, "visible", True) is not True:
            continue
        for name in ("label", "info", "placeholder"):
            text = getattr(block, name, None)
            shown = isinstance(text, str) and getattr(block, "show_label", True) and not text.startswith("{")
            if shown and text and getattr(block, "elem_id", None):
                assert (
                    text in texts
                    or text in ("data", "models/sprout")
                    or not text.isascii()
                    or _is_default(text)
                ), text


def _is_default(text: str) -> bool:
    """Placeholders show what an empty box means, a value."""
    return text in {str(info.default) for info in form.options().values()}


def test_every_tag_in_html_has_a_text() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(theme.HERE).rglob("*.py")]
    keys = {key for text in sources for key in re.findall(r'data-say(?:-[a-z-]+)?="([a-z_.]+)"', text)}
    assert keys and keys <= set(i18n.dictionary()["en"])


def test_nothing_is_fetched_from_elsewhere(page: gr.Blocks) -> None:
    own = [theme.head(), *(path.read_text(encoding="utf-8") for path in theme.STYLES)]
    for text in own:
        assert not re.search(r"(src|href)\s*=\s*[\"']?https?:|url\(\s*[\"']?https?:|@import", text)
    made = theme.theme()
    assert made._stylesheets == []
    assert "fonts.googleapis" not in made._get_theme_css()


def test_no_part_of_the_page_styles_another_by_accident() -> None:
    """A class that begins a rule belongs to one stylesheet, except for what parts share on purpose."""
    owners: dict[str, set[str]] = {}
    for path in theme.STYLES:
        text = re.sub(r"/\*.*?\*/", "", Path(path).read_text(encoding="utf-8"), flags=re.DOTALL)
        for selectors in re.findall(r"([^{}]+)\{", text):
            for selector in selectors.split(","):
                first = selector.split()[0] if selector.split() else ""
                for name in re.findall(r"\.(tb-[\w-]+)", first):
                    owners.setdefault(name, set()).add(Path(path).name)
    shared = {name for name, files in owners.items() if len(files) > 1}
    assert owners and shared <= {"tb-talk", "tb-drawer", "tb-input"}, shared


def test_the_script_cannot_be_ended_by_a_text() -> None:
    assert theme.head().count("</script") == 1


def test_no_endpoint_is_offered_to_strangers(page: gr.Blocks) -> None:
    offered = [fn.api_name for fn in page.fns.values() if fn.api_visibility == "public" and fn.fn is not None]
    assert offered == []


def test_of_quick_presses_none_is_passed_over(page: gr.Blocks) -> None:
    """Two runs taken out of the queue, or two runs ticked, one right after the other."""
    drawn = {"run-head", "judged-head", "exported-head", "runs"}
    modes = {
        page.blocks[block].elem_id: fn.trigger_mode
        for fn in page.fns.values()
        for block, event in fn.targets
        if event == "click" and page.blocks[block].elem_id in drawn
    }
    assert modes == dict.fromkeys(drawn, "multiple")
