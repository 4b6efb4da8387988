"""What the page says of the devices of this machine, and what it offers to choose from. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from trainer.device import Facts
from webui.i18n import say

Choice = tuple[str, str]


def choices(found: Sequence[Facts], lang: str) -> list[Choice]:
    """Every accelerator with its name and free memory, and its number."""
    return [(_named(each, lang), str(each.number)) for each in found]


def _named(facts: Facts, lang: str) -> str:
    free, total = (f"{size / 2**30:.1f}" for size in (facts.free, facts.total))
    return say("train.devices.choice", lang, number=facts.number, name=facts.name, free=free, total=total)


def said(
    found: Sequence[Facts] | None, looking: bool, chosen: Sequence[str], cores: int, plan: str, lang: str
) -> str:
    """What is there (None: not known yet), and what will happen with it.

    `page.js` asks again while it is looked for, and shows no menu where there is nothing to choose or to take back.
    """
    parts = []
    if found is None:
        parts.append(say("train.devices.looking", lang))
    elif not found:
        parts.append(say("train.devices.none", lang, cores=cores))
    mark = (" data-looking" if looking else "") + ("" if found or chosen else " data-without")
    lines = "".join(f"<p>{escape(part)}</p>" for part in parts)
    bold = f"<p><b>{escape(plan)}</b></p>" if plan else ""
    return f'<div class="devices"{mark}>{lines}{bold}</div>'
