"""A run's config -> SFTConfig, every option passed explicitly: its defaults are not ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import NoneType
from typing import Any, get_args, get_type_hints

from trl.trainer.sft_config import SFTConfig

from trainer import device
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.model.load import Precision
from trainer.train.engine import Engine
from trainer.train.optimizer import check, check_name

# Rows evaluated at once while training, where nobody said how many: transformers' own number.
EVALUATED_AT_ONCE = 8


def make_arguments(
    config: RunConfig, precision: Precision, *, checkpointing: bool, engine: Engine | None = None
) -> SFTConfig:
    """The arguments of TRL's trainer. Raises UserError for values of `extra` that it refuses."""
    for name in config.extra:
        _require_kind(name, config.extra[name])
    check_name(config.train.optim)
    with accepted():
        given = {**_explicit(config, precision, checkpointing), **_current(config.extra)}
        adapted = config.method.finetuning_type in ("lora", "oft")
        for name, value in (engine or Engine()).arguments(checkpointing, adapted).items():
            both = isinstance(value, dict) and isinstance(given.get(name), dict)
            given[name] = {**given[name], **value} if both else value
        arguments = SFTConfig(**given)
    # Several GPUs in one process would mean DataParallel, which this trainer does not do: the first one is used.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    check(config, arguments)
    return arguments


@contextmanager
def accepted() -> Iterator[None]:
    """Inside, values are handed to the libraries; those that they refuse become a UserError."""
    try:
        yield
    except (TypeError, ValueError, KeyError, ImportError, NotImplementedError) as error:
        reason = str(error).strip()[:400] or type(error).__name__
        raise UserError("extra_rejected", field="extra", reason=reason) from error


def _require_kind(name: str, value: Any) -> None:
    """Raises UserError for a text where SFTConfig takes a number or a switch; it would only fail much later."""
    kind = get_type_hints(SFTConfig).get(name)
    allowed = set(get_args(kind)) or {kind}
    if not allowed <= {int, float, bool, NoneType} or (value is None and NoneType in allowed):
        return
    fits = isinstance(value, bool) if bool in allowed else isinstance(value, (int, float))
    if not fits or (isinstance(value, bool) and bool not in allowed):
        words = "true or false" if bool in allowed else "a number"
        raise UserError("extra_rejected", field="extra", reason=f"{name} is {value!r}; it takes {words}")


def _current(extra: Mapping[str, Any]) -> dict[str, Any]:
    """`extra` with the name that transformers has since given to one of its arguments."""
    renamed = {"gradient_checkpointing_kwargs": "activation_checkpointing_kwargs"}
    return {renamed.get(name, name): value for name, value in extra.items()}


def _explicit(config: RunConfig, precision: Precision, checkpointing: bool) -> dict[str, Any]:
    train, data = config.train, config.data
    by_epoch = train.load_best_model_at_end and train.eval_strategy == "epoch"
    return {
        "output_dir": train.output_dir,
        "per_device_train_batch_size": train.per_device_train_batch_size,
        "per_device_eval_batch_size": train.per_device_eval_batch_size or EVALUATED_AT_ONCE,
        "gradient_accumulation_steps": train.gradient_accumulation_steps,
        "learning_rate": train.learning_rate,
        "num_train_epochs": train.num_train_epochs,
        "max_steps": train.max_steps,
        "lr_scheduler_type": train.lr_scheduler_type,
        "lr_scheduler_kwargs": _scheduler_values(config),
        # transformers 5 reads a value below 1 as a share of all steps.
        "warmup_steps": train.warmup_steps or train.warmup_ratio or 0,
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "optim": train.optim,
        "seed": train.seed,
        "bf16": precision.name == "bf16",
        "fp16": precision.name == "fp16",
        "use_cpu": not device.is_accelerated(),
        "gradient_checkpointing": checkpointing,
        "activation_checkpointing": checkpointing,
        "activation_checkpointing_kwargs": {"use_reentrant": False} if checkpointing else None,
        "logging_strategy": "steps",
        "logging_steps": train.logging_steps,
        "logging_nan_inf_filter": False,
        "save_strategy": "epoch" if by_epoch else "steps",
        "save_steps": train.save_steps,
        "save_total_limit": train.save_total_limit,
        "eval_strategy": train.eval_strategy,
        "eval_steps": train.eval_steps,
        "load_best_model_at_end": train.load_best_model_at_end,
        # The curve is handed on by `curves`: callbacks of transformers read the environment of the whole server.
        "report_to": "none",
        "include_num_input_tokens_seen": train.include_num_input_tokens_seen,
        "ddp_timeout": train.ddp_timeout,
        "do_train": train.do_train,
        "resume_from_checkpoint": train.resume_from_checkpoint or None,
        "disable_tqdm": True,
        "dataloader_pin_memory": device.is_accelerated(),
        "remove_unused_columns": True,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "dataset_num_proc": data.preprocessing_num_workers,
        "packing": False,
        "padding_free": False,
        "pad_to_multiple_of": None,
        "neftune_noise_alpha": None,
        "loss_type": "dft" if config.method.use_dft_loss else "nll",
        "train_sampling_strategy": "sequential" if config.method.disable_shuffling else "random",
        "router_aux_loss_coef": 0.0,
        "trust_remote_code": config.model.trust_remote_code,
        "push_to_hub": False,
    }


def _scheduler_values(config: RunConfig) -> dict[str, Any] | None:
    """What some schedules cannot do without; `lr_scheduler_kwargs` in `extra` takes the place of all of it."""
    name = config.train.lr_scheduler_type
    if name in ("cosine_with_min_lr", "cosine_warmup_with_min_lr"):
        return {"min_lr_rate": 0.1}
    return None
