"""What a run says of DeepSpeed and FSDP -> plain settings: stages and files of others become mappings, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Event, Note

SHIPPED = Path(__file__).parent / "deepspeed"
# Files that come with LLaMA-Factory, under their names there -> ours of the same meaning.
PEERS = {f"ds_{name}_config.json": name for name in ("z0", "z2", "z2_offload", "z3", "z3_offload")}


def settle_engine(config: RunConfig, emit: Callable[[Event], None] = lambda _: None) -> RunConfig:
    """The config with DeepSpeed's and FSDP's settings as JSON text in place of stages and files.

    Raises UserError for a file that is missing or cannot be read.
    """
    wanted = config.distributed
    changes: dict[str, Any] = {}
    given = wanted.deepspeed.strip()
    if given or wanted.ds_stage != "none":
        found = _deepspeed(given, emit) if given else _stage(wanted.ds_stage, wanted.ds_offload)
        # The stage is part of them now, and would be a second word on the same thing.
        changes = {"deepspeed": json.dumps(_whole(found)), "ds_stage": "none", "ds_offload": False}
    if wanted.fsdp_config.strip():
        changes["fsdp_config"] = json.dumps(_mapping("fsdp_config", wanted.fsdp_config))
    return config.with_values(**changes) if changes else config


def _stage(stage: str, offload: bool) -> dict[str, Any]:
    name = f"z{stage}_offload" if offload and stage in ("2", "3") else f"z{stage}"
    return _shipped(name)


def _shipped(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SHIPPED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _deepspeed(given: str, emit: Callable[[Event], None]) -> dict[str, Any]:
    path = Path(given).expanduser()
    own = PEERS.get(path.name)
    if own and not given.startswith("{") and not path.is_file():
        emit(
            Note(
                code="deepspeed_shipped", values={"path": given, "name": f"trainer/jobs/deepspeed/{own}.json"}
            )
        )
        return _shipped(own)
    return _mapping("deepspeed", given)


def _mapping(name: str, given: str) -> dict[str, Any]:
    """What an option holds: JSON text, or the path of a JSON file. Raises UserError when it is neither."""
    text = given
    if not given.lstrip().startswith("{"):
        path = Path(given).expanduser()
        if not path.is_file():
            known = ", ".join(PEERS) if name == "deepspeed" else "none"
            raise UserError("engine_file_missing", field=name, name=name, path=given[:200], known=known)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                "engine_file_broken", field=name, name=name, path=given[:200], reason=str(error)[:200]
            ) from None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UserError(
            "engine_file_broken", field=name, name=name, path=given[:200], reason=str(error)
        ) from None
    if not isinstance(found, dict):
        raise UserError(
            "engine_file_broken",
            field=name,
            name=name,
            path=given[:200],
            reason="it holds no names with values",
        )
    return found


def _whole(settings: dict[str, Any]) -> dict[str, Any]:
    """A result is always written as ordinary safetensors, for which ZeRO-3 has to gather the weights."""
    zero = settings.get("zero_optimization")
    if not isinstance(zero, dict) or zero.get("stage") != 3:
        return settings
    return {**settings, "zero_optimization": {**zero, "stage3_gather_16bit_weights_on_model_save": True}}
