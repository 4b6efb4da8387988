"""One module knows the devices: Ascend's by a stand-in for torch_npu, and no word of CUDA elsewhere."""

from __future__ import annotations

import ast
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from trainer import device
from trainer.jobs import launch
from trainer.model.load import choose_precision
from trainer.paths import REPOSITORY

GB = 1 << 30
# The only other place where the word stands: names of arguments in other people's files.
WORDS = {"trainer/device.py", "trainer/compat_words.py"}


class FakeNpu(types.ModuleType):
    """What device.py asks of torch.npu, with two cards of 64 GB."""

    def __init__(self, bf16: bool = True, cards: int = 2) -> None:
        super().__init__("torch.npu")
        self._bf16, self._cards = bf16, cards
        self.emptied = 0

    def is_available(self) -> bool:
        return self._cards > 0

    def device_count(self) -> int:
        return self._cards

    def get_device_name(self, number: Any = None) -> str:
        return f"Ascend910B{number or 0}"

    def mem_get_info(self, number: Any = None) -> tuple[int, int]:
        return (50 if not number else 40) * GB, 64 * GB

    def memory_reserved(self, number: Any = None) -> int:
        return 5 * GB

    def memory_allocated(self, number: Any = None) -> int:
        return 3 * GB

    def max_memory_allocated(self, number: Any = None) -> int:
        return 7 * GB

    def is_bf16_supported(self) -> bool:
        return self._bf16

    def is_initialized(self) -> bool:
        return True

    def empty_cache(self) -> None:
        self.emptied += 1


@pytest.fixture
def ascend(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNpu]:
    """Importing torch_npu puts `npu` into torch, as the real one does."""
    made = FakeNpu()
    _install(monkeypatch, made)
    yield made


def _install(monkeypatch: pytest.MonkeyPatch, made: FakeNpu) -> None:
    fake = types.ModuleType("torch_npu")
    fake.__spec__ = importlib.machinery.ModuleSpec("torch_npu", None)
    monkeypatch.setitem(sys.modules, "torch_npu", fake)
    monkeypatch.setattr(torch, "npu", made, raising=False)
    known = torch.get_device_module
    monkeypatch.setattr(torch, "get_device_module", lambda kind=None: made if kind == "npu" else known(kind))


def test_ascend_is_found_before_anything_else(ascend: FakeNpu) -> None:
    assert (device.kind(), device.is_accelerated(), device.count()) == ("npu", True, 2)
    assert device.is_known()
    assert device.name() == "Ascend910B0"
    assert device.listed() == [
        device.Facts(0, "Ascend910B0", 50 * GB, 64 * GB), device.Facts(1, "Ascend910B1", 40 * GB, 64 * GB),
    ]  # fmt: skip


def test_memory_of_ascend(ascend: FakeNpu) -> None:
    """What torch has set aside and does not use can be taken, too."""
    assert device.free_memory() == 52 * GB
    assert (device.reserved_memory(), device.peak_memory()) == (5 * GB, 7 * GB)
    device.empty_cache()
    assert ascend.emptied == 1


@pytest.mark.parametrize(("bf16", "name"), [(True, "bf16"), (False, "fp16")])
def test_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch, bf16: bool, name: str) -> None:
    _install(monkeypatch, FakeNpu(bf16))
    assert device.has_bf16() is bf16
    assert choose_precision("auto").name == name


def test_visible_devices_of_ascend(ascend: FakeNpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a launcher sees one card; the variable is Ascend's."""
    assert device.visibility_variable() == "ASCEND_RT_VISIBLE_DEVICES"
    environment = {"ASCEND_RT_VISIBLE_DEVICES": "3,5"}
    monkeypatch.setattr(launch, "os", SimpleNamespace(environ=environment))
    launch.hide_devices()
    assert environment["ASCEND_RT_VISIBLE_DEVICES"] == "3"


def test_without_the_package_the_variable_is_the_usual_one() -> None:
    assert device.visibility_variable() == "CUDA_VISIBLE_DEVICES"


def test_a_package_without_a_card_leaves_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, FakeNpu(cards=0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (device.kind(), device.count(), device.name()) == ("cpu", 0, "CPU")
    assert device.listed() == []
    assert device.free_ram() > 0


def test_nothing_is_asked_of_a_driver_before_torch_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The page must not wait for torch: without a driver the processor computes, with one nobody knows yet."""
    monkeypatch.setattr(device, "_torch_is_here", lambda: False)
    monkeypatch.setattr(device, "_DRIVERS", (str(tmp_path / "none"),))
    assert (device.is_known(), device.kind()) == (True, "cpu")
    monkeypatch.setattr(device, "_DRIVERS", (str(tmp_path),))
    assert not device.is_known()


def _words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Names and texts of a module; what explains it, docstrings and comments, is free."""
    explained = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained:
            yield node.lineno, node.value
        for field in ("attr", "id", "arg", "name", "module"):
            word = getattr(node, field, None)
            if isinstance(word, str):
                yield getattr(node, "lineno", 0), word


@pytest.mark.parametrize("room", ["trainer", "webui"])
def test_one_module_says_cuda(room: str) -> None:
    for path in (REPOSITORY / room).rglob("*.py"):
        if str(path.relative_to(REPOSITORY)) in WORDS:
            continue
        for line, word in _words(ast.parse(path.read_text(encoding="utf-8"))):
            assert "cuda" not in word.lower(), f"{path}, line {line}: {word[:60]}"
