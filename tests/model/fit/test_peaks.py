"""The estimate beside what a run really took: weights, gradients and optimiser to the byte or nearly, the peak within 15 %."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.model.fit.peak import Measured
from tests.train import families, gallery
from trainer.config import RunConfig
from trainer.model.fit.activations import Batch
from trainer.model.fit.weighing import Machine, fit

PLENTY = Machine("CPU", (1 << 50,), (1 << 50,), 1 << 50, accelerated=False)
Settings = Callable[..., RunConfig]
Measure = Callable[[RunConfig], tuple[Measured, Batch]]
WHOLE = {"finetuning_type": "full"}
ON = {"gradient_checkpointing": "on"}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("tied", WHOLE),
    "full, accumulated": ("tied", {**WHOLE, "gradient_accumulation_steps": 2}),
    "full, checkpointing": ("qwen2", {**WHOLE, **ON}),
    "full, pure bf16": ("qwen2", {**WHOLE, "compute_type": "pure_bf16"}),
    "full, bf16": ("qwen2", {**WHOLE, "compute_type": "bf16"}),
    "lora": ("qwen2", {}),
    "lora, checkpointing": ("qwen2", ON),
    "freeze": ("qwen2", {"finetuning_type": "freeze", "freeze_trainable_layers": 2}),
    "nf4": ("qwen2", {"quantization_bit": "4"}),
    "galore": ("qwen2", {**WHOLE, "use_galore": True}),
    "packing": ("qwen2", {"packing": True, "cutoff_len": 400}),
}
MORE: dict[str, tuple[str, dict[str, Any]]] = {
    "full, bf16, checkpointing": ("qwen2", {**WHOLE, "compute_type": "bf16", **ON}),
    "adafactor": ("qwen2", {**WHOLE, "optim": "adafactor"}),
    "sgd": ("qwen2", {**WHOLE, "optim": "sgd"}),
    "8-bit AdamW": ("qwen2", {**WHOLE, "optim": "adamw_8bit"}),
    "apollo": ("qwen2", {**WHOLE, "use_apollo": True}),
    "muon": ("qwen2", {**WHOLE, "use_muon": True}),
    "lora, bf16": ("qwen2", {"compute_type": "bf16"}),
    "lora, dropout": ("qwen2", {"lora_dropout": 0.1}),
    "lora, two targets": ("qwen2", {"lora_target": "q_proj,v_proj"}),
    "lora, whole modules": ("qwen2", {"additional_target": "embed_tokens,lm_head"}),
    "dora": ("qwen2", {"use_dora": True}),
    "oft": ("qwen2", {"finetuning_type": "oft"}),
    "8 bits": ("qwen2", {"quantization_bit": "8"}),
    "nf4, bf16, plain scales": (
        "qwen2", {"quantization_bit": "4", "double_quantization": False, "compute_type": "bf16"},
    ),
    "scores in memory": ("qwen2", {"flash_attn": "disabled"}),
    **{f"{family}, lora": (family, {}) for family in ("llama", "qwen3", "gemma2", "gemma3", "phi3", "mixtral", "qwen2_moe")},
    **{f"{family}, full": (family, WHOLE) for family in ("qwen3", "gemma2", "mixtral", "qwen2_moe")},
}  # fmt: skip


def _compare(config: RunConfig, found: Measured, batch: Batch) -> None:
    estimated = fit(config, PLENTY, batch)
    assert estimated is not None
    need = estimated.need
    # Angles of positions, and counters, are no weights.
    assert found.weights == pytest.approx(need.weights, rel=0.01)
    assert found.gradients == pytest.approx(need.gradients, rel=0.001)
    assert found.optimizer == pytest.approx(need.optimizer, rel=0.005, abs=4096)
    assert need.total == pytest.approx(found.total, rel=0.15)
    if config.model.gradient_checkpointing == "off":
        # Beside gradients, which in the end take the place of what is computed.
        pictures = need.buffers
        assert need.activations + need.logits + pictures == pytest.approx(found.computed, rel=0.15)


@pytest.mark.parametrize("case", CASES)
def test_what_a_run_takes(
    case: str, model: Callable[[str], Path], settings: Settings, measure: Measure
) -> None:
    family, changes = CASES[case]
    config = settings(model(family), **changes)
    _compare(config, *measure(config))


@pytest.mark.slow
@pytest.mark.parametrize("case", MORE)
def test_what_other_runs_take(
    case: str, model: Callable[[str], Path], settings: Settings, measure: Measure
) -> None:
    family, changes = MORE[case]
    config = settings(model(family), **changes)
    _compare(config, *measure(config))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A Qwen2-VL wide enough to be measured, and rows with pictures."""
    wide = {
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "head_dim": 32,
    }
    rope = {**families.ROPE, "mrope_section": [4, 6, 6]}
    made = families.qwen2_vl

    def wider(processor: Any) -> Any:
        config = made(processor)
        values = config.to_dict()
        values["text_config"] |= {**wide, "rope_parameters": rope, "layer_types": None}
        values["vision_config"] |= {
            "depth": 4,
            "embed_dim": 160,
            "num_heads": 4,
            "mlp_ratio": 3,
            "hidden_size": 192,
        }
        return type(config)(**values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(families.CONFIGS, "qwen2_vl", wider)
        folder = families.save("qwen2_vl", tmp_path_factory.mktemp("seeing") / "model")
    return folder, gallery.save(tmp_path_factory.mktemp("gallery"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({**WHOLE}, marks=pytest.mark.slow),
        pytest.param(
            {**WHOLE, "freeze_vision_tower": False, "freeze_multi_modal_projector": False},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"freeze_vision_tower": False, "freeze_multi_modal_projector": False}, marks=pytest.mark.slow
        ),
    ],
)
def test_what_a_model_that_sees_takes(
    changes: dict[str, Any], seeing: tuple[Path, Path], settings: Settings, measure: Measure
) -> None:
    folder, pictures = seeing
    sizes = {"image_min_pixels": 200 * 200, "image_max_pixels": 300 * 300}
    config = settings(folder, dataset="shown", dataset_dir=str(pictures), **sizes, **changes)
    _compare(config, *measure(config))
