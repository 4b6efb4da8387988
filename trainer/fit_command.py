"""`python -m trainer fit`: whether a run would fit into the memory of this machine, without loading anything."""

from __future__ import annotations

import json
from collections.abc import Sequence

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.flags import read_flags
from trainer.jobs import launch
from trainer.model.fit import facts, fit, lines


def run_fit(words: Sequence[str]) -> int:
    """Prints what a file's run needs, by part, and what is free; 1 when more is needed than there is.

    Raises UserError for settings that cannot be used.
    """
    rest = [word for word in words if word != "--json"]
    if not rest:
        raise UserError("train_what")
    config = RunConfig.from_flat({"hub": launch.default_hub(), **read_flags(rest)})
    if not config.model.model_name_or_path:
        raise UserError("no_model", field="model_name_or_path")
    found = fit(config)
    if "--json" in words:
        print(json.dumps(facts(found), indent=2))
    else:
        print("\n".join(lines(found)))
    return 1 if found is not None and found.cannot else 0
