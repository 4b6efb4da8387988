"""What the page says of the devices of this machine, and what it offers to choose from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from trainer.errors import UserError
from trainer.jobs import launch
from trainer.jobs.plan import Plan
from trainer.jobs.survey import Accelerator
from webui import form
from webui.i18n import say, say_error

Choice = tuple[str, str]


def choices(found: Sequence[Accelerator], lang: str) -> list[Choice]:
    """Every accelerator with its name and free memory, and what the option calls it."""
    return [(_named(each, lang), each.name) for each in found]


def _named(each: Accelerator, lang: str) -> str:
    free, total = (f"{size / 2**30:.1f}" for size in (each.facts.free, each.facts.total))
    return say("train.devices.choice", lang, number=each.name, name=each.facts.name, free=free, total=total)


def planned(plan: Plan, stage: str, offload: bool, lang: str) -> str:
    """How many processes will train, and by which engine: "2 processes · DeepSpeed ZeRO-3 with offload"."""
    engine = say(f"train.devices.engine.{plan.engine}", lang, stage=stage) if plan.engine != "one" else ""
    if engine and offload:
        engine = say("train.devices.offload", lang, engine=engine)
    count = say("train.devices.one" if plan.all == 1 else "train.devices.many", lang, count=plan.all)
    nodes = say("train.devices.nodes", lang, nodes=plan.nodes) if plan.nodes > 1 else ""
    return " · ".join(part for part in (count, nodes, engine) if part)


def plan_of(values: Mapping[str, Any], lang: str) -> str:
    """The same for a form; the sentence of a mistake where there is one."""
    try:
        config, _ = form.read_leniently(values)
        chosen = config.distributed
        plan = launch.plan(launch.page_config(config))
    except UserError as error:
        return " ".join(say_error(error, lang))
    offload = (
        chosen.ds_offload if plan.engine == "deepspeed" else chosen.fsdp_offload and plan.engine == "fsdp"
    )
    return planned(plan, chosen.ds_stage, offload, lang)


def said(
    found: Sequence[Accelerator] | None,
    looking: bool,
    chosen: Sequence[str],
    cores: int,
    plan: str,
    lang: str,
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
