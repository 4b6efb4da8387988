"""The process around a run: its environment, the devices it sees, and the libraries it waits for."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from trainer.config import RunConfig
from trainer.device import numbers, visibility_variable
from trainer.errors import UserError
from trainer.jobs.plan import VISIBLE, Plan, engine_of, first_device, make_plan
from trainer.paths import REPOSITORY

if TYPE_CHECKING:
    from trainer.evaluate.judge import Judge

LOOK_S = 0.1
LOCAL_RANK = "LOCAL_RANK"
# Importing them in two threads at once hands one thread a half-made transformers, whose modules load one another lazily.
_IMPORTING = threading.Lock()
EVALUATION = "trainer.evaluate.run"
# The only place of the judge's key: flags are seen by everybody on the machine, files are sent to others.
JUDGE_KEY = "TUNEBOARD_JUDGE_KEY"
# Programs that keep curves send their makers nothing of their own; MLflow may keep a run in files, and a training does
# not wait for minutes when its server is gone.
QUIET = {
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
# Loggers that warn of formats which are cast on the way, and of packages that would be quicker.
_TALKATIVE = ("bitsandbytes", "torch.utils._pytree")
_LIBRARIES = ("torch", "transformers", "peft", "trl", "trainer.train.sft")


def settle_environment() -> None:
    """Variables that the libraries read when they are imported. What a person has set stays."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Rows are tokenised before the data loader forks; tokenizers warns about that pair at each fork otherwise.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # What libraries tell one another's authors is no news to the person who trains; `python -W` still shows it.
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.ERROR)
    hide_devices()


def hide_devices() -> None:
    """Leaves one GPU visible: with several and no launcher, transformers would split each batch over all of them."""
    if "LOCAL_RANK" in os.environ:
        return
    variable = visibility_variable()
    shown = os.environ.get(variable)
    # All of them are remembered for runs in processes of their own.
    os.environ.setdefault(VISIBLE, ",".join(numbers()) if shown is None else shown)
    first = os.environ[VISIBLE].split(",")[0]
    # Who shows none wants none.
    os.environ[variable] = "0" if shown is None and not first else first


def visible() -> tuple[str, ...]:
    """The accelerators that the person's environment shows, by the names that the option `devices` takes."""
    return tuple(each.strip() for each in os.environ.get(VISIBLE, "").split(",") if each.strip())


def with_all_devices() -> dict[str, str]:
    """The environment of a process that sees them all."""
    return {**os.environ, "PYTHONPATH": _path(), visibility_variable(): os.environ.get(VISIBLE, "")}


def plan(config: RunConfig, environment: Mapping[str, str] | None = None) -> Plan:
    """How many processes train `config`, on which devices, by which engine; `environment` is this process's own.

    Nothing is imported or started. Raises UserError for devices that are not there and for numbers that are none.
    """
    return make_plan(config, os.environ if environment is None else environment)


def page_config(config: RunConfig) -> RunConfig:
    """The config as a page means it: without a word on devices the first one trains, not all of them."""
    return first_device(config, os.environ)


def is_rank() -> bool:
    """Whether torchrun, accelerate or another program has started this process as one of several."""
    return LOCAL_RANK in os.environ and "RANK" in os.environ


def rank_number() -> int:
    """The number of this process among all; 0 for one that trains alone."""
    return int(os.environ.get("RANK", "0")) if is_rank() else 0


def rank_count() -> int:
    """How many processes were started together with this one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def environment_with(plan: Plan) -> dict[str, str]:
    """The environment of the processes that `plan` starts."""
    cores = max(1, (os.cpu_count() or 1) // plan.processes)
    return {"OMP_NUM_THREADS": str(cores), **os.environ, "PYTHONPATH": _path(), **plan.environment}


def _path() -> str:
    return os.pathsep.join(each for each in (str(REPOSITORY), os.environ.get("PYTHONPATH", "")) if each)


def settle_rank(config: RunConfig) -> None:
    """What the engine of `config` reads from the environment of a process that trains with others."""
    engine = engine_of(config, rank_count())
    if engine == "deepspeed":
        os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
        if not numbers():
            os.environ.setdefault("DS_ACCELERATOR", "cpu")
    if engine == "fsdp":
        os.environ.update(ACCELERATE_USE_FSDP="true", FSDP_STATE_DICT_TYPE="FULL_STATE_DICT")


def after_restart(config: RunConfig) -> RunConfig:
    """The config of a process that torchrun has started again: it goes on where the run's last checkpoint lies."""
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return config
    return config.with_values(resume_from_checkpoint="true", overwrite_output_dir=False)


def variable(name: str) -> str | None:
    """A variable of the person's environment that a file of settings names; None where there is none."""
    return os.environ.get(name)


def default_hub() -> Literal["huggingface", "modelscope"]:
    """The hub that is proposed: ModelScope when the person's environment says so."""
    return (
        "modelscope" if os.environ.get("USE_MODELSCOPE_HUB", "0").lower() in ("1", "true") else "huggingface"
    )


def read_judge(url: str, model: str) -> Judge | None:
    """The judge that --judge-url and --judge-model name; None without them. Raises UserError for one that is none."""
    from trainer.evaluate.judge import Judge

    if not url and not model:
        return None
    if not url or not model:
        raise UserError("judge_half")
    if not url.startswith(("http://", "https://")):
        raise UserError("judge_address")
    return Judge(url, model, os.environ.get(JUDGE_KEY, "").strip())


def warm_up(*more: str) -> None:
    """Imports what training needs (a few seconds the first time, nothing afterwards), and `more` modules.

    Others wait until it is done.
    """
    with _IMPORTING:
        for name in (*_LIBRARIES, *more):
            importlib.import_module(name)


def warm_up_after(served: Callable[[], bool], greeting: str) -> threading.Thread:
    """Waits in a thread of its own until the page is served, says so, and only then imports."""

    def wait() -> None:
        while not served():
            time.sleep(LOOK_S)
        print(greeting, flush=True)
        warm_up(EVALUATION)

    thread = threading.Thread(target=wait, name="warm-up", daemon=True)
    thread.start()
    return thread
