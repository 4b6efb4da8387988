"""The training itself: steps, rates, what is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.options.declare import option

REPORTERS = ("none", "tensorboard", "wandb", "trackio", "swanlab", "mlflow", "all")


@dataclass(frozen=True)
class TrainOptions:
    output_dir: str = option("", "Folder of the run.", label="Output folder", panel="basics")
    overwrite_output_dir: bool = option(
        False, "Start anew in a folder that holds a run; what lies there is removed.", label="Overwrite output folder",
        panel="saving",
    )  # fmt: skip
    do_train: bool = option(True, "Train.", label="Train", panel="none")
    learning_rate: float = option(
        5e-5, "Peak learning rate.", label="Learning rate", panel="basics", min=0,
    )  # fmt: skip
    num_train_epochs: float = option(
        3.0, "How often every row is seen.", label="Epochs", panel="basics", min=0,
    )  # fmt: skip
    max_steps: int = option(
        -1, "Stop after this many steps whatever the epochs; -1 means no limit.", label="Max steps", panel="advanced",
        min=-1, step=1,
    )  # fmt: skip
    per_device_train_batch_size: int = option(
        8, "Rows computed at once on each device.", label="Batch size", panel="basics", form=2, min=1, max=1024, step=1,
    )  # fmt: skip
    gradient_accumulation_steps: int = option(
        1, "Batches whose gradients are added up for one step.", label="Gradient accumulation", panel="basics", form=8,
        min=1, max=1024, step=1,
    )  # fmt: skip
    auto_find_batch_size: bool = option(
        False, "Measure a step on the longest rows and halve the batch until it fits; the rows of a step stay as many.",
        label="Find batch size", panel="memory",
    )  # fmt: skip
    lr_scheduler_type: Literal[
        "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
        "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay", "greedy",
    ] = option(
        "linear", "How the learning rate falls.", label="Learning rate schedule", panel="basics", form="cosine",
    )  # fmt: skip
    warmup_steps: float = option(
        0, "Steps over which the learning rate rises from zero; a value below 1 is a share of all steps.",
        label="Warm-up steps", panel="advanced", min=0, step=1,
    )  # fmt: skip
    warmup_ratio: float | None = option(
        None, "The same as a share of all steps.", label="Warm-up ratio", panel="advanced", min=0, max=1, step=0.01,
    )  # fmt: skip
    weight_decay: float = option(
        0.0, "Pull of the weights towards zero at each step.", label="Weight decay", panel="advanced", min=0, max=1,
        step=0.001,
    )  # fmt: skip
    max_grad_norm: float = option(
        1.0, "Gradients longer than this are shortened; 0 means never.", label="Max gradient norm", panel="advanced",
        min=0,
    )  # fmt: skip
    optim: str = option(
        "adamw_torch_fused", "Optimiser, by its name in transformers.", label="Optimiser", panel="optimizer",
        choices=("adamw_torch_fused", "adamw_torch", "adafactor", "sgd", "rmsprop", "adagrad"),
    )  # fmt: skip
    seed: int = option(
        42, "Seed of shuffling, dropout and new adapters.", label="Seed", panel="advanced", min=0, step=1
    )
    neftune_noise_alpha: float | None = option(
        None, "NEFTune: noise added to the embeddings in training; empty or 0 means none.", label="NEFTune alpha",
        panel="advanced", min=0, max=100, step=0.1,
    )  # fmt: skip
    logging_steps: int = option(
        500, "Steps between two points of the curve.", label="Logging steps", panel="saving", form=5, min=1, max=100000,
        step=1,
    )  # fmt: skip
    save_steps: int = option(
        500, "Steps between two checkpoints.", label="Save steps", panel="saving", form=100, min=1, max=1000000, step=1,
    )  # fmt: skip
    save_total_limit: int | None = option(
        None, "Keep only the newest N checkpoints.", label="Save total limit", panel="saving", min=1, step=1,
    )  # fmt: skip
    eval_strategy: Literal["no", "steps", "epoch"] = option(
        "no", "When the evaluation loss is measured.", label="Evaluate", panel="evaluation",
    )  # fmt: skip
    eval_steps: float | None = option(
        None, "Steps between two evaluations; empty means as often as logging.", label="Evaluation steps",
        panel="evaluation", min=0, step=1,
    )  # fmt: skip
    per_device_eval_batch_size: int | None = option(
        None, "Rows evaluated at once; empty means 8 in training, and as many as fit when answers are evaluated.",
        label="Evaluation batch size", panel="evaluation", min=1, max=1024, step=1,
    )  # fmt: skip
    early_stopping_steps: int | None = option(
        None, "Stop when the evaluation loss has not improved so many times in a row; empty means never.",
        label="Early stopping", panel="evaluation", min=1, step=1,
    )  # fmt: skip
    load_best_model_at_end: bool = option(
        False, "Keep the checkpoint with the lowest evaluation loss as the result.", label="Load best model at end",
        panel="evaluation",
    )  # fmt: skip
    resume_from_checkpoint: str = option(
        "", "Checkpoint folder to go on from; true means the newest of the output folder.", label="Resume from",
        panel="none",
    )  # fmt: skip
    report_to: tuple[str, ...] = option(
        ("none",), "Also write the curve for other programs.", label="Report to", panel="saving",
        choices=REPORTERS,
    )  # fmt: skip
    project: str = option(
        "tuneboard", "Name of the project at those programs.", label="Project", panel="saving",
        when={"report_to": ("wandb", "trackio", "swanlab", "mlflow", "all")},
    )  # fmt: skip
    swanlab_mode: Literal["cloud", "local"] = option(
        "local", "SwanLab: keep the curve on this machine, or send it to the cloud of its makers.",
        label="SwanLab mode", panel="saving", when={"report_to": ("swanlab", "all")},
    )  # fmt: skip
    plot_loss: bool = option(
        False, "Write training_loss.png at the end.", label="Plot loss", panel="saving", form=True,
    )  # fmt: skip
    include_num_input_tokens_seen: bool = option(
        False, "Count the tokens seen in trainer_log.jsonl.", label="Count tokens", panel="saving", form=True,
    )  # fmt: skip
    ddp_timeout: int = option(
        1800, "Seconds after which processes that wait for each other give up.", label="DDP timeout", panel="advanced",
        min=1, step=1,
    )  # fmt: skip
    learn_prompts: tuple[str, ...] = option(
        (), "Up to three questions, asked again and again while it learns; row:3 asks that of the data's row 3 with its pictures.",
        label="What it learns", panel="learning",
    )  # fmt: skip
    learn_steps: int = option(
        20, "Steps between two askings.", label="Ask every", panel="learning", min=1, max=100000, step=1,
    )  # fmt: skip
