"""The line beneath Start: quiet where a run fits, a warning with changes to press where it does not."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from trainer.config import RunConfig
from trainer.jobs.workspace import Workspace
from trainer.model.fit import Fit, fit
from trainer.model.fit.weighing import Machine
from webui import form, room
from webui.desk import Desk

GB = 1 << 30


def _fit(free: float, **changes: str) -> Fit:
    flat = {"model_name_or_path": "Qwen2.5-7B-Instruct", "dataset": "x", "compute_type": "bf16"}
    machine = Machine("NVIDIA L4", (int(free * GB),), (int(free * GB),), 500 * GB, accelerated=True)
    found = fit(RunConfig.from_flat({**flat, **changes}), machine)
    assert found is not None
    return found


def test_a_run_that_fits_takes_one_line() -> None:
    said = room.room(_fit(80), "en")
    assert 'data-fits="fits"' in said
    assert re.search(r"needs up to \d+\.\d GB of 80\.0 GB free", said)
    assert "data-fit=" not in said
    assert "Weights" in said
    assert room.room(None, "en") == ""


@pytest.mark.parametrize(("free", "state"), [(24, "short"), (6, "short")])
def test_a_run_that_does_not_fit_offers_changes(free: float, state: str) -> None:
    found = _fit(free, gradient_checkpointing="off", cutoff_len="4096")
    said = room.room(found, "en")
    assert f'data-fits="{state}"' in said
    sent = [json.loads(unescape(each)) for each in re.findall(r'data-fit="([^"]*)"', said)]
    assert sent == [each.values for each in found.changes]


def test_a_press_sets_what_is_offered_and_nothing_else() -> None:
    found = _fit(24, gradient_checkpointing="off", cutoff_len="4096")
    first = found.changes[0]
    assert room.asked(found, {"fit": json.dumps(first.values)}) == first.values
    assert room.asked(found, {"fit": json.dumps({"trust_remote_code": True})}) == {}
    assert room.asked(None, {"fit": "{}"}) == {}
    assert room.asked(found, None) == {}


def test_the_desk_fills_the_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.device.free_ram", lambda: int(0.3 * GB))
    workspace = Workspace(tmp_path)
    try:
        desk = Desk(workspace)
        values = form.proposed("Sprout", "lora")
        found = desk.room(values)
        assert found is not None
        assert found.fits is False
        press = {"fit": json.dumps(found.changes[0].values)}
        new = desk.make_fit(values, press)
        assert set(new) == set(found.changes[0].values)
        after = desk.room({**values, **new})
        assert after is not None
        assert after.fits
        assert desk.make_fit(values, {"fit": "nonsense"}) == {}
    finally:
        workspace.close()
