"""Every option of TuneBoard, declared once.

From one line here come the flag, the YAML key (LLaMA-Factory's spelling), the range check, the control on the page,
its help and English label, and its row in docs/options.md. Translations add one line per language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from functools import cache
from typing import Any, Literal, NamedTuple, get_type_hints

# Panels of the Train tab, in the order in which the page shows them; "predict" are those of the
# Evaluate & Predict tab, "export" those of the Export tab, "none" has no control (files and flags only).
PANELS = (
    "top", "data", "basics", "lora", "memory", "saving", "evaluation", "learning", "multimodal", "advanced", "chat",
    "predict", "export", "none",
)  # fmt: skip


class OptionInfo(NamedTuple):
    """What the form, the flags and the documents know of an option."""

    name: str
    section: str
    kind: Any
    default: Any
    form_default: Any
    help: str
    label: str
    min: float | None
    max: float | None
    step: float | None
    choices: tuple[str, ...]
    panel: str
    when: dict[str, tuple[str, ...]]


def option(
    default: Any,
    help: str,
    *,
    label: str,
    panel: str,
    form: Any = None,
    min: float | None = None,
    max: float | None = None,
    step: float | None = None,
    choices: tuple[str, ...] = (),
    when: dict[str, tuple[str, ...]] | None = None,
) -> Any:
    """A dataclass field that is an option.

    `default` holds for files and flags (LLaMA-Factory's and transformers' value); `form` is what the page proposes where
    that differs. `choices` are suggestions for a text option; a Literal type is a closed list. `when` names the options
    and values under which the control is shown. `min` and `max` are inclusive.
    """
    facts = {
        "help": help, "label": label, "panel": panel, "form": form, "min": min, "max": max, "step": step,
        "choices": choices, "when": when or {},
    }  # fmt: skip
    return field(default=default, metadata=facts)


@dataclass(frozen=True)
class ModelOptions:
    model_name_or_path: str = option(
        "", "Name from the catalogue, folder on this machine, or hub id of the base model.",
        label="Model", panel="top", form="Sprout",
    )  # fmt: skip
    adapter_name_or_path: tuple[str, ...] = option(
        (), "Adapter folders to go on from, separated by commas.", label="Checkpoint", panel="top",
    )  # fmt: skip
    hub: Literal["huggingface", "modelscope"] = option(
        "huggingface", "Where a model that is not on this machine is fetched from.", label="Hub", panel="top",
    )  # fmt: skip
    trust_remote_code: bool = option(
        False, "Run Python code that comes with a model. Only a person at a terminal can allow this.",
        label="Trust remote code", panel="none",
    )  # fmt: skip
    flash_attn: Literal["auto", "disabled", "sdpa", "fa2", "fa3"] = option(
        "auto", "Attention kernel; auto takes the best one installed.", label="Attention", panel="memory",
    )  # fmt: skip
    gradient_checkpointing: Literal["auto", "on", "off"] = option(
        "auto", "Compute activations twice to save memory; auto does so only when memory asks for it.",
        label="Gradient checkpointing", panel="memory",
    )  # fmt: skip


@dataclass(frozen=True)
class DataOptions:
    dataset: tuple[str, ...] = option(
        (), "Names from dataset_info.json, separated by commas.", label="Dataset", panel="data", form=("identity",),
    )  # fmt: skip
    dataset_dir: str = option(
        "data", "Folder that holds dataset_info.json.", label="Data folder", panel="data",
    )  # fmt: skip
    eval_dataset: tuple[str, ...] = option(
        (), "Datasets for the evaluation loss, instead of a part held back.", label="Evaluation dataset",
        panel="evaluation",
    )  # fmt: skip
    template: str = option(
        "", "Chat template; empty means the model's own.", label="Template", panel="top",
    )  # fmt: skip
    cutoff_len: int = option(
        2048, "Longest row in tokens; what is longer is cut, the trained part last.", label="Cutoff length",
        panel="basics", min=4, max=131072, step=1,
    )  # fmt: skip
    max_samples: int | None = option(
        None, "Use only the first N rows of each dataset.", label="Max samples", panel="data", min=1, step=1,
    )  # fmt: skip
    train_on_prompt: bool = option(
        False, "Train on the questions too, not only on the answers.", label="Train on prompt", panel="advanced",
    )  # fmt: skip
    mask_history: bool = option(
        False, "Train only on the last answer of each conversation.", label="Mask history", panel="advanced",
    )  # fmt: skip
    packing: bool = option(
        False, "Fill each row up to the cutoff with several examples; they never see each other.",
        label="Packing", panel="memory",
    )  # fmt: skip
    val_size: float = option(
        0.0, "Part of the rows held back for evaluation: a share below 1, or a number of rows.",
        label="Validation size", panel="evaluation", min=0, step=0.001,
    )  # fmt: skip
    preprocessing_num_workers: int | None = option(
        None, "Threads that turn rows into tokens.", label="Preprocessing workers", panel="advanced", min=1, max=256,
        step=1,
    )  # fmt: skip
    overwrite_cache: bool = option(
        False, "Render the rows again even when they are in the cache.", label="Overwrite cache", panel="advanced",
    )  # fmt: skip
    mix_strategy: Literal["concat", "interleave_under", "interleave_over", "interleave_once"] = option(
        "concat", "Several datasets one after another, or taking turns until the shortest or the longest is used up.",
        label="Mix strategy", panel="advanced",
    )  # fmt: skip
    interleave_probs: tuple[str, ...] = option(
        (), "Shares with which datasets take turns, one for each, separated by commas.", label="Interleave shares",
        panel="advanced", when={"mix_strategy": ("interleave_under", "interleave_over", "interleave_once")},
    )  # fmt: skip
    streaming: bool = option(
        False, "Read and render the rows while training, for data larger than memory; needs max_steps.",
        label="Streaming", panel="advanced",
    )  # fmt: skip
    buffer_size: int = option(
        16384, "Rows among which streaming shuffles.", label="Shuffle buffer", panel="advanced", min=1, step=1,
    )  # fmt: skip
    tokenized_path: str = option(
        "", "Folder that keeps the rendered rows; where it has some, they are trained and the files are not read.",
        label="Tokenized path", panel="advanced",
    )  # fmt: skip
    eval_on_each_dataset: bool = option(
        False, "Show the evaluation loss of each dataset by itself.", label="Evaluate each dataset", panel="evaluation",
    )  # fmt: skip
    media_dir: str = option(
        "", "Folder of pictures and videos; empty means beside the data file, then the data folder.",
        label="Media folder", panel="multimodal",
    )  # fmt: skip
    default_system: str = option(
        "", "System prompt of rows that have none.", label="Default system prompt", panel="advanced",
    )  # fmt: skip
    enable_thinking: bool = option(
        True, "Reasoning models: learn an empty thought where a row has none; off removes all thoughts.",
        label="Enable thinking", panel="advanced",
    )  # fmt: skip
    preserve_thinking: bool = option(
        False, "Reasoning models: keep the thoughts of earlier answers.", label="Preserve thinking", panel="advanced",
    )  # fmt: skip
    image_max_pixels: int = option(
        768 * 768, "Larger pictures are made smaller, to this area.", label="Image max pixels", panel="multimodal",
        min=1, step=1,
    )  # fmt: skip
    image_min_pixels: int = option(
        32 * 32, "Smaller pictures are made larger, to this area.", label="Image min pixels", panel="multimodal",
        min=1, step=1,
    )  # fmt: skip
    video_max_pixels: int = option(
        256 * 256, "Larger frames of a video are made smaller, to this area.", label="Video max pixels",
        panel="multimodal", min=1, step=1,
    )  # fmt: skip
    video_min_pixels: int = option(
        16 * 16, "Smaller frames of a video are made larger, to this area.", label="Video min pixels",
        panel="multimodal", min=1, step=1,
    )  # fmt: skip
    video_fps: float = option(
        2.0, "Frames taken from each second of a video.", label="Video frames per second", panel="multimodal",
        min=0.01, max=120, step=0.1,
    )  # fmt: skip
    video_maxlen: int = option(
        128, "Most frames taken from one video.", label="Video most frames", panel="multimodal", min=1, max=4096, step=1,
    )  # fmt: skip
    identity_name: str = option(
        "Momo", "Replaces {{name}} in the rows: what the model shall call itself.", label="Its name",
        panel="data",
    )  # fmt: skip
    identity_author: str = option(
        "our workshop", "Replaces {{author}} in the rows: who made it.", label="Its maker", panel="data",
    )  # fmt: skip


@dataclass(frozen=True)
class MethodOptions:
    stage: Literal["sft"] = option("sft", "Training stage.", label="Stage", panel="none")
    finetuning_type: Literal["lora", "full"] = option(
        "lora", "LoRA trains a small adapter; full trains every weight.", label="Method", panel="top",
    )  # fmt: skip
    compute_type: Literal["auto", "bf16", "fp16", "fp32", "pure_bf16"] = option(
        "auto", "Number format of the computation; auto takes bf16 where it is faster.", label="Precision",
        panel="basics",
    )  # fmt: skip
    freeze_vision_tower: bool = option(
        True, "Vision models: leave the part that looks at pictures as it is.", label="Freeze vision tower",
        panel="multimodal",
    )  # fmt: skip
    freeze_multi_modal_projector: bool = option(
        True, "Vision models: leave the part that hands over what was seen to the language model as it is.",
        label="Freeze projector", panel="multimodal",
    )  # fmt: skip
    freeze_language_model: bool = option(
        False, "Vision models: leave the part that speaks as it is.", label="Freeze language model",
        panel="multimodal",
    )  # fmt: skip


_LORA: dict[str, tuple[str, ...]] = {"finetuning_type": ("lora",)}


@dataclass(frozen=True)
class LoraOptions:
    lora_rank: int = option(
        8, "Width of the adapter.", label="LoRA rank", panel="lora", min=1, max=1024, step=1, when=_LORA,
    )  # fmt: skip
    lora_alpha: int | None = option(
        None, "Scale of the adapter; empty means twice the rank.", label="LoRA alpha", panel="lora", min=1, max=2048,
        step=1, when=_LORA,
    )  # fmt: skip
    lora_dropout: float = option(
        0.0, "Share of the adapter's inputs dropped in training.", label="LoRA dropout", panel="lora", min=0, max=1,
        step=0.01, when=_LORA,
    )  # fmt: skip
    lora_target: tuple[str, ...] = option(
        ("all",), "Layers that get an adapter: all, or names separated by commas.", label="LoRA target", panel="lora",
        choices=("all", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"), when=_LORA,
    )  # fmt: skip
    loraplus_lr_ratio: float | None = option(
        None, "LoRA+: how many times faster matrix B learns than A; empty or 0 means off.", label="LoRA+ ratio",
        panel="lora", min=0, max=64, step=0.01, when=_LORA,
    )  # fmt: skip
    create_new_adapter: bool = option(
        False, "Merge the chosen adapters into the base and train a new one on top.", label="Create new adapter",
        panel="lora", when=_LORA,
    )  # fmt: skip


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
    lr_scheduler_type: Literal[
        "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt",
        "reduce_lr_on_plateau", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay",
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
        "adamw_torch_fused", "Optimiser, by its name in transformers.", label="Optimiser", panel="advanced",
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
    load_best_model_at_end: bool = option(
        False, "Keep the checkpoint with the lowest evaluation loss as the result.", label="Load best model at end",
        panel="evaluation",
    )  # fmt: skip
    resume_from_checkpoint: str = option(
        "", "Checkpoint folder to go on from; true means the newest of the output folder.", label="Resume from",
        panel="none",
    )  # fmt: skip
    report_to: Literal["none", "tensorboard"] = option(
        "none", "Also write the curve for another program.", label="Report to", panel="saving",
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


@dataclass(frozen=True)
class GenerateOptions:
    system: str = option("", "System prompt of the conversation.", label="System prompt", panel="chat")
    temperature: float = option(
        0.0, "0 always takes the likeliest token; higher is more varied.", label="Temperature", panel="chat", min=0,
        max=2, step=0.01,
    )  # fmt: skip
    top_p: float = option(
        0.7, "Draw only from the likeliest tokens that together have this probability.", label="Top-p", panel="chat",
        min=0.01, max=1, step=0.01,
    )  # fmt: skip
    max_new_tokens: int = option(
        512, "Longest answer in tokens.", label="Max new tokens", panel="chat", min=1, max=8192, step=1,
    )  # fmt: skip


@dataclass(frozen=True)
class EvaluateOptions:
    do_predict: bool = option(
        False, "Answer the rows of an evaluation and score the answers.", label="Answers and scores", panel="predict",
        form=True,
    )  # fmt: skip
    do_eval: bool = option(
        False, "Measure loss and perplexity on the same rows; after a training, too.", label="Loss and perplexity",
        panel="predict", form=True,
    )  # fmt: skip
    compare_base: bool = option(
        True, "Evaluate the base model beside the tuned one.", label="Compare with the base", panel="predict",
    )  # fmt: skip
    score_as: Literal["auto", "text", "labels", "json"] = option(
        "auto", "Which scores suit the answers; auto recognises it from the references.", label="Answers are",
        panel="predict",
    )  # fmt: skip
    judge: bool = option(
        False, "Another model, named at the start of the program, also says which answer is better.",
        label="Ask the judge", panel="predict",
    )  # fmt: skip
    held_seed: int | None = option(
        None, "Seed with which a training has held back the rows that are evaluated; empty means `seed`.",
        label="Seed of the held back", panel="none", min=0, step=1,
    )  # fmt: skip
    held_samples: int | None = option(
        None, "max_samples of that training, 0 for none; max_samples then counts the rows that it has held back.",
        label="Max samples of the training", panel="none", min=0, step=1,
    )  # fmt: skip


EXPORT_FORMATS = ("adapter", "merged", "gguf", "ollama", "quantized")
GGUF_TYPES = (
    "f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0",
    "q6_k", "q5_k_m", "q5_k_s", "q4_k_m", "q4_k_s", "q3_k_l", "q3_k_m", "q3_k_s", "q2_k",
)  # fmt: skip


@dataclass(frozen=True)
class ExportOptions:
    do_export: bool = option(
        False, "Write a model's files for other programs.", label="Export", panel="none",
    )  # fmt: skip
    export_format: tuple[str, ...] = option(
        ("merged",), "What is made: one of these or several, separated by commas.", label="Formats", panel="export",
        choices=EXPORT_FORMATS,
    )  # fmt: skip
    export_dir: str = option(
        "", "Folder for the files; empty means inside the run's own folder.", label="Export folder", panel="export",
    )  # fmt: skip
    infer_dtype: Literal["auto", "bfloat16", "float16", "float32"] = option(
        "auto", "Number format of the weights; auto keeps the one in which they are stored.", label="Weight format",
        panel="export",
    )  # fmt: skip
    export_size: float = option(
        5, "Largest weight file in GB (10^9 bytes).", label="Largest file", panel="export", min=0.001, step=0.5,
    )  # fmt: skip
    export_device: Literal["cpu", "auto"] = option(
        "cpu", "Where adapters are added to the weights; auto takes the GPU if there is one.", label="Merge on",
        panel="export",
    )  # fmt: skip
    gguf_type: tuple[str, ...] = option(
        ("f16",), "Number formats of GGUF files; Ollama gets the first. The k ones need llama-quantize.",
        label="GGUF type", panel="export", choices=GGUF_TYPES,
    )  # fmt: skip
    quantized_type: Literal["bnb_nf4", "bnb_int8", "torchao_int8", "torchao_int4"] = option(
        "bnb_nf4", "How the format quantized is made: bitsandbytes 4 or 8 bits, torchao int8 or int4 weights.",
        label="Quantized with", panel="export",
    )  # fmt: skip
    export_prompts: tuple[str, ...] = option(
        (), "Questions of your own, one a line, that the exported model is asked as a proof.", label="Your questions",
        panel="export",
    )  # fmt: skip
    export_hub_model_id: str = option(
        "", "Send the files to this repository (owner/name) of the hub; the token comes from the environment.",
        label="Send to hub", panel="export",
    )  # fmt: skip
    export_hub_private: bool = option(
        True, "Only you can see the repository on the hub.", label="Private repository", panel="export",
    )  # fmt: skip
    llama_cpp_dir: str = option(
        "", "Checkout of llama.cpp whose converter writes GGUF files of other families; only from a terminal.",
        label="llama.cpp folder", panel="none",
    )  # fmt: skip


SECTIONS: dict[str, type[Any]] = {
    "model": ModelOptions,
    "data": DataOptions,
    "method": MethodOptions,
    "lora": LoraOptions,
    "train": TrainOptions,
    "generate": GenerateOptions,
    "evaluate": EvaluateOptions,
    "export": ExportOptions,
}


def _info(section: str, each: Field[Any], kind: Any) -> OptionInfo:
    facts = each.metadata
    form = each.default if facts["form"] is None else facts["form"]
    return OptionInfo(
        each.name, section, kind, each.default, form, facts["help"], facts["label"], facts["min"], facts["max"],
        facts["step"], facts["choices"], facts["panel"], facts["when"],
    )  # fmt: skip


def _walk() -> Iterator[OptionInfo]:
    for section, kind in SECTIONS.items():
        hints = get_type_hints(kind)
        for each in fields(kind):
            yield _info(section, each, hints[each.name])


@cache
def options() -> dict[str, OptionInfo]:
    """All options by name, in the order in which they are declared. Raises ValueError for a name declared twice."""
    found: dict[str, OptionInfo] = {}
    for info in _walk():
        if info.name in found:
            raise ValueError(f"the option {info.name!r} is declared twice")
        found[info.name] = info
    return found
