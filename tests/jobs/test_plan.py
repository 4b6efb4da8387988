"""How many processes, on which devices, by which engine: from the settings and the environment alone."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from trainer.config import RunConfig
from trainer.device import visibility_variable
from trainer.errors import UserError, UserErrors
from trainer.events import Event, Note
from trainer.flags import read_flags
from trainer.jobs import launch
from trainer.jobs.plan import VISIBLE, Plan, first_device
from trainer.jobs.sharing import PEERS, settle_engine
from trainer.paths import REPOSITORY

FOUR = {VISIBLE: "0,1,2,3"}


def config(**values: Any) -> RunConfig:
    return RunConfig.from_flat({"model_name_or_path": "Sprout", "dataset": "identity", **values})


def test_one_device_is_a_thread_of_this_process() -> None:
    assert launch.plan(config(), {}) == Plan()
    assert launch.plan(config(), {VISIBLE: "0"}) == Plan()
    assert launch.plan(config(devices="0"), FOUR) == Plan()
    assert launch.plan(config(fsdp="full_shard"), {}) == Plan()
    assert launch.plan(config(do_train=False, do_predict=True), FOUR) == Plan()


def test_all_devices_at_the_terminal_and_the_first_one_on_the_page() -> None:
    plan = launch.plan(config(), FOUR)
    assert (plan.processes, plan.nodes, plan.engine) == (4, 1, "ddp")
    assert plan.environment == {visibility_variable(): "0,1,2,3"}
    assert "--nproc-per-node=4" in plan.argv and "--standalone" in plan.argv
    assert launch.plan(first_device(config(), FOUR), FOUR) == Plan()
    chosen = launch.plan(first_device(config(devices="1,3"), FOUR), FOUR)
    assert (chosen.processes, chosen.environment) == (2, {visibility_variable(): "1,3"})
    # This process sees the first one only, so that another one needs a process of its own.
    other = launch.plan(config(devices="2"), FOUR)
    assert (other.processes, other.engine, other.environment) == (1, "one", {visibility_variable(): "2"})
    assert other.argv


@pytest.mark.parametrize(
    ("values", "environment", "processes", "engine"),
    [
        ({"nproc_per_node": 2}, {}, 2, "ddp"),
        ({"nproc_per_node": 2, "fsdp": "full_shard auto_wrap"}, {}, 2, "fsdp"),
        ({"devices": "0,1"}, {}, 2, "ddp"),
        ({}, {"NPROC_PER_NODE": "3"}, 3, "ddp"),
        ({}, {"FORCE_TORCHRUN": "1"}, 1, "one"),
        ({"ds_stage": "3"}, {}, 1, "deepspeed"),
        ({"deepspeed": "examples/deepspeed/ds_z3_config.json"}, FOUR, 4, "deepspeed"),
        ({"deepspeed": {"zero_optimization": {"stage": 2}}}, FOUR, 4, "deepspeed"),
    ],
)
def test_what_starts_torchrun(
    values: dict[str, Any], environment: dict[str, str], processes: int, engine: str
) -> None:
    plan = launch.plan(config(**values), environment)
    assert (plan.processes, plan.engine) == (processes, engine)
    assert f"--nproc-per-node={processes}" in plan.argv
    assert plan.argv[-2:] == ("-m", "trainer.jobs.rank")


def test_several_machines_find_each_other_as_the_environment_says() -> None:
    fixed = {
        "NNODES": "2",
        "NODE_RANK": "1",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29511",
        "NPROC_PER_NODE": "4",
    }
    plan = launch.plan(config(), fixed)
    assert (plan.nodes, plan.node, plan.all) == (2, 1, 8)
    assert {"--nnodes=2", "--node-rank=1", "--master-addr=10.0.0.1", "--master-port=29511"} <= set(plan.argv)
    elastic = {**fixed, "RDZV_ID": "job-7", "MIN_NNODES": "1", "MAX_NNODES": "3", "MAX_RESTARTS": "2"}
    argv = set(launch.plan(config(), elastic).argv)
    assert {
        "--nnodes=1:3", "--rdzv-backend=c10d", "--rdzv-id=job-7", "--rdzv-endpoint=10.0.0.1:29511",
        "--max-restarts=2",
    } <= argv  # fmt: skip


@pytest.mark.parametrize(
    ("values", "environment", "code"),
    [
        ({"devices": "7"}, FOUR, "device_unknown"),
        ({"nproc_per_node": 8}, FOUR, "processes_too_many"),
        ({}, {"NNODES": "many"}, "environment_number"),
        ({}, {"NPROC_PER_NODE": "0"}, "environment_number"),
        ({}, {"NNODES": "2", "NODE_RANK": "2"}, "environment_number"),
    ],
)
def test_what_cannot_be_planned_is_told(
    values: dict[str, Any], environment: dict[str, str], code: str
) -> None:
    with pytest.raises(UserError) as caught:
        launch.plan(config(**values), environment)
    assert caught.value.code == code


def test_two_engines_exclude_each_other() -> None:
    with pytest.raises(UserErrors):
        config(ds_stage="2", fsdp="full_shard")
    with pytest.raises(UserError) as caught:
        launch.plan(config(ds_stage="2").with_values(fsdp="full_shard"), {})
    assert caught.value.code == "two_engines"


def test_files_of_deepspeed_become_settings(tmp_path: Path) -> None:
    own = {"train_batch_size": "auto", "zero_optimization": {"stage": 3, "overlap_comm": False}}
    path = tmp_path / "own.json"
    path.write_text(json.dumps(own))
    for given in (str(path), json.dumps(own), own):
        found = json.loads(settle_engine(config(deepspeed=given)).distributed.deepspeed)
        assert found["train_batch_size"] == "auto" and found["zero_optimization"]["overlap_comm"] is False
        # A result is always whole.
        assert found["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is True
    for stage in ("0", "2", "3"):
        settled = settle_engine(config(ds_stage=stage))
        # The processes read them once more.
        assert RunConfig.from_flat(settled.to_flat()) == settled
        found = json.loads(settled.distributed.deepspeed)
        assert found["zero_optimization"]["stage"] == int(stage)
    offload = json.loads(settle_engine(config(ds_stage="3", ds_offload=True)).distributed.deepspeed)
    assert offload["zero_optimization"]["offload_param"]["device"] == "cpu"


def test_a_file_beside_the_settings_is_found(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"zero_optimization": {"stage": 2}}')
    (tmp_path / "run.yaml").write_text("deepspeed: own.json\n")
    found = config(**read_flags([str(tmp_path / "run.yaml")]))
    assert json.loads(settle_engine(found).distributed.deepspeed) == {"zero_optimization": {"stage": 2}}


def test_the_peers_own_files_are_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in PEERS:
        told: list[Event] = []
        found = json.loads(
            settle_engine(config(deepspeed=f"examples/deepspeed/{name}"), told.append).distributed.deepspeed
        )
        assert str(found["zero_optimization"]["stage"]) in name
        assert ("offload_optimizer" in found["zero_optimization"]) == ("offload" in name)
        assert [event.code for event in told if isinstance(event, Note)] == ["deepspeed_shipped"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("nowhere.json", "engine_file_missing"),
        ("{broken", "engine_file_broken"),
        ("[1]", "engine_file_missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(given: str, code: str) -> None:
    with pytest.raises(UserError) as caught:
        settle_engine(config(deepspeed=given))
    assert (caught.value.code, caught.value.field) == (code, "deepspeed")


@pytest.mark.parametrize(
    ("said", "fsdp", "offload"),
    [
        ("full_shard auto_wrap", "full_shard", False),
        (["shard_grad_op", "auto_wrap"], "shard_grad_op", False),
        ("full_shard auto_wrap offload", "full_shard", True),
        (True, "full_shard", False),
        ("", "none", False),
        (False, "none", False),
    ],
)
def test_fsdp_in_the_words_of_transformers(said: Any, fsdp: str, offload: bool) -> None:
    found = config(fsdp=said).distributed
    assert (found.fsdp, found.fsdp_offload) == (fsdp, offload)


def test_a_strategy_that_fsdp2_does_not_have_is_refused() -> None:
    with pytest.raises(UserErrors):
        config(fsdp="hybrid_shard auto_wrap")


def test_examples_for_clusters_call_what_there_is() -> None:
    tree = ast.parse((REPOSITORY / "examples" / "ray" / "train.py").read_text(encoding="utf-8"))
    ours = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("trainer")
    ]
    assert any(node.module == "trainer.jobs.rank" for node in ours)
    for node in ours:
        module = importlib.import_module(str(node.module))
        assert all(hasattr(module, alias.name) for alias in node.names), node.module
    for script in (REPOSITORY / "examples" / "slurm").glob("*.sh"):
        assert "python -m trainer train" in script.read_text(encoding="utf-8")
