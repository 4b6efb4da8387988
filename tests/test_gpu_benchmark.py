"""The benchmark for accelerators, on a tiny shape and a processor: its own code, from random weights to the table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trainer.paths import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import gpu


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.dataset.cache.default_folder", lambda: tmp_path / "rows")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_case_is_measured(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "peak_of", lambda name: 1e9)
    monkeypatch.setattr(gpu, "SIZES", (2, 1))
    found = gpu.measure("tiny", method, tokens=64, steps=3, folder=tmp_path)
    assert found.rows == 2
    assert (
        found.parameters
        == 8192 * 64 + 2 * (64 * 64 * 2 + 64 * 32 * 2 + 64 + 32 + 32 + 3 * 64 * 128 + 2 * 64) + 64
    )
    assert found.speed > 0
    assert found.use == pytest.approx(gpu.OPERATIONS[method] * found.parameters * found.speed / 1e9)
    assert found.memory > 0
    assert found.estimated > 2 * found.parameters
    said = gpu.table([found, ("7B", "full", "does not fit")], "a test", 64)
    assert f"| tiny | {method} | 2 |" in said
    assert "does not fit" in said


def test_the_shapes_are_those_of_qwen() -> None:
    from trainer.model.fit.layout import computed_layout, total
    from trainer.model.fit.shape import read_shape

    counts = {
        name: total(computed_layout(read_shape({"model_type": "qwen2", **shape})))
        for name, shape in gpu.SHAPES.items()
    }
    assert counts["0.5B"] == 494_032_768
    assert counts["1.5B"] == 1_543_714_304
    assert counts["7B"] == 7_615_616_512


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("AMD EPYC", None),
    ],
)
def test_peaks_by_name(name: str, peak: float | None) -> None:
    assert gpu.peak_of(name) == peak


def test_the_table_goes_into_the_document(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{gpu.BEGIN}\nold\n{gpu.END}\nafter\n", encoding="utf-8")
    gpu.write("| new |\n", document)
    assert document.read_text(encoding="utf-8") == f"before\n{gpu.BEGIN}\n| new |\n{gpu.END}\nafter\n"
    assert gpu.BEGIN in gpu.DOCUMENT.read_text(encoding="utf-8")
