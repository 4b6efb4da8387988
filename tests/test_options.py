"""Every option: declared once, read somewhere, documented, explained."""

from __future__ import annotations

import ast
import json
from functools import cache
from typing import Literal, get_args, get_origin

import pytest

from trainer import compat, manual
from trainer.errors import UserError
from trainer.options import PANELS, OptionInfo, options
from trainer.paths import REPOSITORY
from trainer.values import checked, plain_kind

# What tutorials for LLaMA-Factory set: each must be an option, a renamed one, or one of SFTConfig's.
TUTORIALS = """
stage do_train model_name_or_path adapter_name_or_path preprocessing_num_workers finetuning_type template flash_attn
dataset_dir dataset cutoff_len learning_rate num_train_epochs max_steps max_samples per_device_train_batch_size
gradient_accumulation_steps lr_scheduler_type max_grad_norm logging_steps save_steps save_total_limit warmup_steps
warmup_ratio weight_decay packing neftune_noise_alpha report_to output_dir overwrite_output_dir overwrite_cache
plot_loss ddp_timeout include_num_input_tokens_seen optim seed lora_rank lora_alpha lora_dropout lora_target
loraplus_lr_ratio create_new_adapter val_size eval_strategy eval_steps per_device_eval_batch_size
load_best_model_at_end resume_from_checkpoint train_on_prompt mask_history trust_remote_code
"""
INFOS = list(options().values())


@cache
def names_read() -> frozenset[str]:
    """Attributes read anywhere in trainer/ but where options are declared and translated."""
    floor = {
        REPOSITORY / "trainer" / name for name in ("compat.py", "manual.py", "contradictions_of_methods.py")
    }
    floor |= set((REPOSITORY / "trainer" / "options").glob("*.py"))
    found: set[str] = set()
    for path in (REPOSITORY / "trainer").rglob("*.py"):
        if path not in floor:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                    found.add(node.attr)
    return frozenset(found)


def ids(info: OptionInfo) -> str:
    return info.name


@pytest.mark.parametrize("info", INFOS, ids=ids)
def test_no_option_is_dead(info: OptionInfo) -> None:
    assert info.name in names_read()


@pytest.mark.parametrize("info", INFOS, ids=ids)
def test_an_option_is_declared_whole(info: OptionInfo) -> None:
    assert info.panel in PANELS
    assert info.label and info.help.endswith(".") and len(info.help) <= 120
    for value in (info.default, info.form_default):
        assert checked(info, list(value) if isinstance(value, tuple) else value) == value
    for name, values in info.when.items():
        kind = plain_kind(options()[name].kind)
        allowed = ("true", "false") if kind is bool else options()[name].choices or get_args(kind)
        assert set(values) <= set(allowed)
    if info.min is not None or info.max is not None:
        assert plain_kind(info.kind) in (int, float)
    assert not (info.choices and get_origin(info.kind) is Literal)


@pytest.mark.parametrize("name", TUTORIALS.split())
def test_tutorials_options_are_ours(name: str) -> None:
    assert name in options()


@pytest.mark.parametrize("name", ["bf16", "fp16", "pure_bf16"])
def test_the_number_formats_are_renamed(name: str) -> None:
    assert compat.translate(name, True) == {"compute_type": name}


def test_the_document_is_current() -> None:
    written = (REPOSITORY / "docs" / "options.md").read_text(encoding="utf-8")
    assert written == manual.markdown(), "run: python -m trainer options --markdown > docs/options.md"


def test_the_document_and_the_table_name_every_option() -> None:
    document, table = manual.markdown(), manual.table()
    for info in INFOS:
        assert f"| `{info.name}` |" in document
        assert f"  {info.name} " in table and info.help in table


def test_every_word_is_explained() -> None:
    for name in [*options(), *compat.RENAMED, *compat.REFUSED, *compat.OWN, *compat.HARMLESS]:
        assert name in manual.explain(name)
    assert "twice the rank" in manual.explain("--lora-alpha")
    with pytest.raises(UserError) as caught:
        manual.explain("learning_rat")
    assert "learning_rate" in caught.value.hint


@pytest.mark.parametrize("lang", ["zh", "ru", "ko", "ja"])
def test_every_language_has_every_option(lang: str) -> None:
    path = REPOSITORY / "webui" / "locales" / lang / "options.json"
    spoken = json.loads(path.read_text(encoding="utf-8"))
    shown = {info.name for info in INFOS if info.panel != "none"}
    assert shown <= set(spoken) <= set(options())
    for name, texts in spoken.items():
        assert texts["label"] and texts["help"] and texts["help"] != options()[name].help, name
