"""Tables of the words of LLaMA-Factory, transformers and TRL that have no option of their own here.

Source: the option tables of LLaMA-Factory 0.9.5 and 0.9.6 (snapshot of August 2026), of its older files where a name
has gone, and the arguments of transformers 4.40 to 5.23 and TRL 1.16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")
Said = Mapping[str, Any]


def is_true(value: Any) -> bool:
    return value is True or str(value).strip().lower() in TRUE


def is_off(value: Any) -> bool:
    """Whether a value switches an option off: false, nothing, zero."""
    return value in (None, False, 0, "", [], (), {}) or str(value).strip().lower() in (
        *FALSE,
        "none",
        "null",
        "0.0",
    )


def _only(*words: str) -> Callable[[Any], bool]:
    """Whether a value is nothing, or one of those with which the option says no more than its default."""
    return lambda value: value in (None, "") or str(value).strip().lower() in ("none", "null", *words)


def _always(said: Said) -> bool:
    return True


def answers(said: Said) -> bool:
    """Whether a file has rows answered."""
    return is_true(said.get("do_predict")) or is_true(said.get("predict_with_generate"))


def _draws(said: Said) -> bool:
    """Whether answers are drawn, instead of the likeliest token being taken."""
    drawn = is_true(said.get("do_sample")) or not is_off(said.get("temperature"))
    return answers(said) and drawn and not ("do_sample" in said and is_off(said["do_sample"]))


class Refusal(NamedTuple):
    """Why an option cannot be used, what to do instead, which values say no more than leaving it out, and in which
    files it has a bearing at all."""

    reason: str
    way: str
    harmless: Callable[[Any], bool] = is_off
    matters: Callable[[Said], bool] = _always


# What decides only how fast, with what comfort, or in which files the same thing is done -> why it has no effect here.
_COMFORT: dict[str, tuple[str, ...]] = {
    "speed": (
        "use_fast_tokenizer", "low_cpu_mem_usage", "offload_folder", "use_kv_cache", "use_cache",
        "use_reentrant_gc", "preprocessing_batch_size", "data_shared_file_system", "fp16_backend",
        "half_precision_backend", "fp16_opt_level", "jit_mode_eval", "place_model_on_device", "enable_jit_checkpoint",
        "infer_backend", "ray_scope", "tpu_num_cores", "tpu_metrics_debug", "length_column_name",
    ),
    "device": ("use_cpu", "no_cuda", "use_mps_device", "local_rank"),
    "files": ("cache_dir", "logging_dir"),
    "report": (
        "print_param_status", "disable_tqdm", "include_tokens_per_second", "include_effective_tokens_per_second",
        "logging_nan_inf_filter", "swanlab_logdir", "trackio_space_id", "trackio_bucket_id",
        "trackio_static_space_id",
    ),
    # Evaluation measures the loss alone, whatever is said of other measures.
    "measures": (
        "prediction_loss_only", "eval_accumulation_steps", "batch_eval_metrics", "include_for_metrics",
        "include_inputs_for_metrics", "predict_with_generate", "eval_do_concat_batches", "eval_use_gather_object", "eval_packing",
    ),
    # What the run settles by itself in any case.
    "settled": (
        "remove_unused_columns", "ddp_find_unused_parameters", "restore_callback_states_from_checkpoint",
        "shuffle_dataset", "length_penalty", "audio_sampling_rate", "visual_inputs",
    ),
}  # fmt: skip

# Details of something that is refused, or has no effect, unless it is switched on by another word.
_DETAILS: dict[str, tuple[str, ...]] = {
    "use_badam": (
        "badam_mode", "badam_start_block", "badam_switch_mode", "badam_switch_interval", "badam_update_ratio",
        "badam_mask_mode", "badam_verbose",
    ),
    "use_asft_loss": ("asft_alpha",),
    "use_eaft_loss": ("eaft_alpha",),
    "fp8": ("fp8_backend",),
    "use_swanlab": ("swanlab_workspace", "swanlab_project", "swanlab_run_name"),
    "enable_torch_profiler": (
        "profiler_output_dir", "profiler_wait_steps", "profiler_warmup_steps", "profiler_active_steps",
        "profiler_repeat", "profiler_record_shapes", "profiler_profile_memory", "profiler_with_stack",
    ),
    "use_kt": (
        "kt_cpu_activation", "kt_weight_path", "kt_non_expert_weight_path", "kt_expert_checkpoint_path",
        "kt_use_lora_experts", "kt_lora_expert_num", "kt_lora_expert_intermediate_size",
    ),
    "use_hyper_parallel": ("hyper_parallel_args", "hyper_parallel_cp_size"),
    "use_megatron_bridge": (
        "recompute_granularity", "recompute_method", "recompute_num_layers",
        "account_for_embedding_in_pipeline_split", "account_for_loss_in_pipeline_split", "bias_activation_fusion",
        "apply_rope_fusion", "masked_softmax_fusion", "cross_entropy_loss_fusion", "moe_grouped_gemm",
        "moe_token_dispatcher_type", "use_distributed_optimizer", "overlap_param_gather", "overlap_grad_reduce",
        "export_hf_on_finish",
    ),
    "infer_backend": (
        "vllm_maxlen", "vllm_gpu_util", "vllm_enforce_eager", "vllm_max_lora_rank", "vllm_config",
        "sglang_maxlen", "sglang_mem_fraction", "sglang_tp_size", "sglang_config", "sglang_lora_backend",
    ),
    # The environment variable that makes LLaMA-Factory start its processes through Ray.
    "USE_RAY": (
        "ray_num_workers", "ray_init_kwargs", "ray_run_name", "ray_storage_path", "ray_storage_filesystem",
        "resources_per_worker", "placement_strategy",
    ),
    "stage": (
        "pref_beta", "pref_ftx", "pref_bco_weight", "pref_loss", "dpo_label_smoothing", "dpo_beta", "dpo_ftx",
        "dpo_loss", "orpo_beta", "simpo_gamma", "ld_alpha", "kto_chosen_weight", "kto_rejected_weight",
        "ppo_buffer_size", "ppo_epochs", "ppo_score_norm", "ppo_target", "ppo_whiten_rewards", "ref_model",
        "ref_model_adapters", "ref_model_quantization_bit", "reward_model", "reward_model_adapters",
        "reward_model_quantization_bit", "reward_model_type",
    ),
    "export_quantization_bit": (
        "export_quantization_dataset", "export_quantization_nsamples", "export_quantization_maxlen",
    ),
    "push_to_hub": (
        "hub_model_id", "hub_strategy", "hub_private_repo", "hub_always_push", "hub_revision",
        "push_to_hub_model_id", "push_to_hub_organization",
    ),
}  # fmt: skip

HARMLESS_WHY: dict[str, str] = {
    name: why for table in (_COMFORT, _DETAILS) for why, names in table.items() for name in names
}
HARMLESS = frozenset(HARMLESS_WHY)

_LEAVE = "Leave it out, or train this file with the program it was written for."
_ABSENT = "this program has nothing of the kind."
_ENGINE = "it is an engine of its own, which this program does not drive."
_ENGINE_WAY = "Use ds_stage, deepspeed or fsdp, which share a model out over several devices."
_OPTIMISER_WAY = "Use use_galore, use_apollo or use_muon, or another name for optim."
_LOSS_WAY = "Use use_dft_loss, or leave it out."
_SECRET = "a secret does not belong in a file of settings."
_OWN_DEVICE = "every process holds its model on its own device."
_SHOWN_WHOLE = "pictures are handed over as the model's own processor makes them."
_BENCHMARK = "it belongs to benchmarks, which are not run here."
_RENDERED = "rows are rendered before they reach the trainer."
_SAME_FORMAT = "evaluation computes in the format of the training."
_ANSWERS = "answers take the likeliest token, or are drawn by temperature and top_p."
_ANSWERS_WAY = "Leave it out, and set temperature and top_p."
_MEETING = "where processes meet is said by the environment."
_MEETING_WAY = "Set the environment variables MASTER_ADDR and MASTER_PORT."
_LEAVE_OUT = "Leave it out."


def _same(reason: str, way: str, *names: str, harmless: Callable[[Any], bool] = is_off) -> dict[str, Refusal]:
    return {name: Refusal(reason, way, harmless) for name in names}


REFUSED: dict[str, Refusal] = {
    **_same(
        "it trains one block of layers after another by an optimiser of its own package, whose state a resume cannot restore.",
        _OPTIMISER_WAY, "use_badam",
    ),
    **_same("its optimiser is a package of its own, which is not in the tested set.", _OPTIMISER_WAY, "use_adam_mini"),
    **_same(_ABSENT, _LOSS_WAY, "use_asft_loss", "use_eaft_loss"),
    **_same(_ABSENT, _LEAVE, "mixture_of_depths", "tool_format", "split_special_tokens", "reserved_label_len"),
    **_same(
        "it exists only for versions of transformers that are long gone.",
        "Leave it out; flash_attn: fa2 makes long rows cheap.", "shift_attn",
    ),
    **_same(
        "it is a trainer of its own, which replaces the code of the models.",
        "Use enable_liger_kernel: true and flash_attn: fa2, which save time and memory, too.",
        "use_unsloth", "use_v1_kernels",
    ),
    **_same(
        _ENGINE, _ENGINE_WAY, "use_kt", "use_mca", "use_megatron_bridge", "use_hyper_parallel", "megatron_bridge_args",
        "megatron_pretrained_checkpoint", "extra_config", "sequence_parallel", "use_packed_sequences",
        "calculate_per_token_loss", "virtual_pipeline_model_parallel_size", "parallelism_config",
        "_kt_inference_config", "_kt_config_handle", "_kt_adapter_artifact_path",
    ),
    **_same(
        _ENGINE, _ENGINE_WAY, "tensor_model_parallel_size", "pipeline_model_parallel_size",
        "expert_model_parallel_size", "context_parallel_size", harmless=_only("1"),
    ),
    "mixed_precision": Refusal(_ENGINE, "Use compute_type.", _only("bf16_mixed")),
    **_same(
        "numbers of 8 bits are not computed with here.", "Use compute_type: bf16.", "fp8",
        "fp8_enable_fsdp_float8_all_gather",
    ),
    "compute_accuracy": Refusal(
        "evaluation measures the loss only.", "Set do_predict: true, which answers the rows and scores the answers."
    ),
    "adapter_folder": Refusal(
        "an adapter is named by its own folder.", "Put the whole path into adapter_name_or_path."
    ),
    "model_revision": Refusal(
        "models are fetched in their newest version.", "Download the version you need and give its folder.",
        _only("main", "master"),
    ),
    **_same(_OWN_DEVICE, _LEAVE_OUT, "quantization_device_map"),
    "device_map": Refusal(_OWN_DEVICE, "Choose the devices with devices or nproc_per_node."),
    **_same(_SHOWN_WHOLE, "Use image_max_pixels and image_min_pixels.", "image_do_pan_and_scan", "crop_to_patches"),
    **_same(_SHOWN_WHOLE, "Use image_max_pixels or video_max_pixels.", "image_resolution", "video_resolution"),
    "use_audio_in_video": Refusal("sound is not taken in.", "Leave it out; the frames of a video are."),
    **_same(
        "runs are not recorded by a profiler.", _LEAVE_OUT, "enable_torch_profiler", "profile_modules",
    ),
    **_same(
        _BENCHMARK, "Leave it out; `python -m trainer eval` answers and scores the rows of a dataset.", "task", "task_dir",
        "lang", "n_shot", "download_mode",
    ),
    **_same(_MEETING, _MEETING_WAY, "master_addr", "master_port"),
    **_same(_SECRET, "Put it into the environment variable HF_TOKEN.", "hf_hub_token", "hub_token", "push_to_hub_token"),
    "ms_hub_token": Refusal(_SECRET, "Put it into the environment variable MODELSCOPE_API_TOKEN."),
    "om_hub_token": Refusal("this hub is not supported.", "Download the model and give its folder."),
    "swanlab_api_key": Refusal(_SECRET, "Put it into the environment variable SWANLAB_API_KEY."),
    **_same(
        "no messages are sent while a run goes on.", _LEAVE_OUT, "swanlab_lark_webhook_url", "swanlab_lark_secret",
    ),
    "push_to_hub": Refusal(
        "a training sends nothing away.", "Export the result with export_hub_model_id, which sends it to the hub."
    ),
    "save_safetensors": Refusal(
        "files in pickle can run code when they are loaded; only safetensors are written.", _LEAVE_OUT,
        lambda value: value is None or is_true(value),
    ),
    "export_legacy_format": Refusal(
        "files in pickle can run code when they are loaded; only safetensors are written.", _LEAVE_OUT
    ),
    "export_quantization_bit": Refusal(
        "it means GPTQ, which this program does not make.",
        "Use export_format: gguf with gguf_type: q4_0 or q8_0, or export_format: quantized.",
    ),
    "ignore_pad_token_for_loss": Refusal(
        "padding is never trained here.", _LEAVE_OUT, lambda value: value is None or is_true(value)
    ),
    "ignore_data_skip": Refusal("a resume goes on with the rows that come next.", _LEAVE_OUT),
    "sortish_sampler": Refusal(
        "rows are drawn at random.", "Use train_sampling_strategy: group_by_length, or leave it out."
    ),
    **_same(_SAME_FORMAT, _LEAVE_OUT, "bf16_full_eval", "fp16_full_eval"),
    **_same(_RENDERED, _LEAVE_OUT, "dataset_kwargs", "eos_token", "pad_token", "pad_to_multiple_of"),
    "dataset_text_field": Refusal(_RENDERED, "Name the column in dataset_info.json.", _only("text")),
    "truncation_mode": Refusal(_RENDERED, _LEAVE_OUT, _only("keep_start")),
    "quantization_config": Refusal(_OWN_DEVICE, "Use quantization_bit and quantization_method."),
    **_same(
        "FSDP has a mapping for its settings.", "Put it into fsdp_config.", "fsdp_min_num_params",
        "fsdp_transformer_layer_cls_to_wrap",
    ),
    "top_k": Refusal(_ANSWERS, _ANSWERS_WAY, lambda value: is_off(value) or str(value) == "-1", _draws),
    **{
        name: Refusal(_ANSWERS, _ANSWERS_WAY, _only("1", "1.0"), answers)
        for name in ("num_beams", "eval_num_beams", "generation_num_beams", "repetition_penalty")
    },
    "generation_max_length": Refusal(
        "the length of an answer is that of max_new_tokens.", "Set max_new_tokens.", is_off, answers
    ),
    "generation_config": Refusal(_ANSWERS, _ANSWERS_WAY, is_off, answers),
    "skip_special_tokens": Refusal(
        "answers are told without their special tokens.", _LEAVE_OUT, lambda value: value is None or is_true(value),
        answers,
    ),
}  # fmt: skip

_NOT_YET = "this program does not do it yet."
_STAGE_WAY = "Use stage: sft with the answers that were chosen, or train this file with the program it was written for."
_REPORTER_WAY = "Use tensorboard, wandb, trackio, swanlab or mlflow."

# Words for an option of ours that people know from elsewhere -> why that one cannot be.
REFUSED_VALUES: dict[str, dict[str, Refusal]] = {
    "stage": {word: Refusal(_NOT_YET, _STAGE_WAY) for word in ("dpo", "rm", "ppo", "kto", "orpo", "simpo", "grpo")},
    "fsdp": {
        word: Refusal("models are shared out over all devices alike.", "Use full_shard or shard_grad_op.")
        for word in ("hybrid_shard", "hybrid_shard_zero2")
    },
    "finetuning_type": {
        word: Refusal(_ABSENT, "Use lora, oft, freeze or full.")
        for word in ("prefix_tuning", "p_tuning", "prompt_tuning", "ia3", "none")
    },
    "rope_scaling": {
        word: Refusal(_ABSENT, "Use yarn, linear, dynamic or llama3.") for word in ("longrope", "su", "ntk")
    },
    "quantization_method": {
        word: Refusal(
            "bitsandbytes, HQQ and EETQ are what quantises a model when it is loaded.", "Use bnb, hqq or eetq.",
        )
        for word in ("gptq", "awq", "aqlm", "fp8", "mxfp4", "quanto")
    },
    "report_to": {
        word: Refusal(_ABSENT, _REPORTER_WAY)
        for word in ("neptune", "comet_ml", "clearml", "azure_ml", "codecarbon", "dvclive", "dagshub", "flyte")
    },
}  # fmt: skip

# The one switch with three values: with nothing, LLaMA-Factory keeps the thoughts that there are and asks for none.
MIXED = "enable_thinking"
REFUSED_NOTHING = Refusal(
    "it takes true or false.",
    "Use true, which learns an empty thought where a row has none, or false, which removes all thoughts.",
)

# Arguments of TRL and transformers, and words of older files, that one of our options decides.
OWN = {
    "max_length": "cutoff_len",
    "max_seq_length": "cutoff_len",
    "model_max_length": "cutoff_len",
    "max_source_length": "cutoff_len",
    "max_target_length": "cutoff_len",
    "assistant_only_loss": "train_on_prompt",
    "completion_only_loss": "train_on_prompt",
    "padding_free": "packing",
    "packing_strategy": "packing",
    "block_diag_attn": "packing",
    "model_init_kwargs": "model_name_or_path",
    "chat_template_path": "template",
    "dataset_num_proc": "preprocessing_num_workers",
    "peft_config": "finetuning_type",
    "compute_dtype": "compute_type",
    "torch_dtype": "compute_type",
    "batch_size": "per_device_train_batch_size",
    "save_dir": "output_dir",
}
