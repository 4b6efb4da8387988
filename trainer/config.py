"""One run's settings: from a form, a file or flags to a checked `RunConfig`, and back."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from trainer import compat
from trainer.contradictions import contradictions
from trainer.errors import UserError, UserErrors
from trainer.events import Note
from trainer.options import (
    SECTIONS,
    DataOptions,
    DistributedOptions,
    EvaluateOptions,
    ExportOptions,
    GenerateOptions,
    LoraOptions,
    MethodOptions,
    ModelOptions,
    OptimizerOptions,
    TrainOptions,
    options,
)
from trainer.settings_file import read_file as read_file
from trainer.values import checked, plain, short

Task = Literal["train", "eval", "export"]


@dataclass(frozen=True)
class RunConfig:
    """The settings of one run, all of them; two runs with equal configs are the same run."""

    model: ModelOptions = ModelOptions()
    data: DataOptions = DataOptions()
    method: MethodOptions = MethodOptions()
    lora: LoraOptions = LoraOptions()
    train: TrainOptions = TrainOptions()
    optimizer: OptimizerOptions = OptimizerOptions()
    distributed: DistributedOptions = DistributedOptions()
    generate: GenerateOptions = GenerateOptions()
    evaluate: EvaluateOptions = EvaluateOptions()
    export: ExportOptions = ExportOptions()
    extra: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[Note, ...] = field(default=(), compare=False)

    @property
    def task(self) -> Task:
        """What the run is for; a training may be followed by an evaluation, and is still one."""
        if self.export.do_export:
            return "export"
        return "train" if self.train.do_train else "eval"

    @classmethod
    def from_flat(cls, mapping: Mapping[str, Any]) -> RunConfig:
        """The config for option names with values of YAML, of flags (text) or of a form.

        Raises UserErrors with every problem at once: unknown names (with the nearest one), wrong types, values out of
        range, options that contradict each other, and options of other programs that cannot be used here.
        """
        found = read_settings(mapping)
        if found.problems:
            raise UserErrors(list(found.problems))
        return found.config

    def to_flat(self) -> dict[str, Any]:
        """Only what differs from the defaults, in the order of the options; plain values that YAML can hold."""
        flat: dict[str, Any] = {}
        exports = any(getattr(self.export, name) != options()[name].default for name in compat.EXPORTS)
        for name, info in options().items():
            value = getattr(getattr(self, info.section), name)
            # A file that asks for an evaluation says whether it trains, too: its writer may have meant either.
            says = name == "do_train" and (self.evaluate.do_predict or self.evaluate.do_eval)
            # So does one that says where to export.
            says = says or (name == "do_export" and exports)
            # Plain text is packed where nothing is said.
            says = says or (name == "packing" and self.data.stage == "pt")
            # A number of blocks takes the place of their size where nothing is said of it.
            says = says or (name == "oft_block_size" and self.lora.oft_rank > 0)
            if value != info.default or says:
                flat[name] = list(value) if isinstance(value, tuple) else value
        return {**flat, **self.extra}

    def after_training(self) -> RunConfig:
        """The evaluation of what this training leaves in its folder."""
        adapters = self.model.adapter_name_or_path
        # Those that were merged into the base; the last one was trained further, unless a new one was made.
        before = adapters if self.lora.create_new_adapter else adapters[:-1]
        return replace(self, notes=()).with_values(
            do_train=False, do_eval=False, adapter_name_or_path=(*before, self.train.output_dir),
            resume_from_checkpoint="",
        )  # fmt: skip

    def with_values(self, **changes: Any) -> RunConfig:
        """A copy with some options changed, by name. Values are not checked again."""
        sections: dict[str, Any] = {}
        for name, value in changes.items():
            section = options()[name].section
            sections[section] = replace(sections.get(section, getattr(self, section)), **{name: value})
        return replace(self, **sections)

    def splitting(self) -> RunConfig:
        """The settings by which rows are held back: those of the training where an evaluation names them."""
        seed, samples = self.evaluate.held_seed, self.evaluate.held_samples
        changes: dict[str, Any] = {}
        if seed is not None:
            changes["seed"] = seed
        if samples is not None:
            changes["max_samples"] = samples or None
        return self.with_values(**changes)


class Reading(NamedTuple):
    """How settings were read: `config` has the default where there is a problem with a value. `renamed` holds a name as
    it is written, ours, and the value; `harmless` the names without effect."""

    config: RunConfig
    problems: tuple[UserError, ...]
    renamed: tuple[tuple[str, str, str], ...]
    harmless: tuple[str, ...]


def read_settings(mapping: Mapping[str, Any]) -> Reading:
    """What `RunConfig.from_flat` reads, with the problems beside it instead of raised."""
    said = compat.settle(mapping)
    reader = _Reader(said)
    for name, value in said.items():
        reader.take(name, value)
    config = RunConfig(
        **{section: kind(**reader.sections[section]) for section, kind in SECTIONS.items()},
        extra=reader.extra,
        notes=tuple(reader.notes()),
    )
    problems = (*reader.problems, *contradictions(config, reader.wrong))
    return Reading(config, problems, tuple(reader.renamed), tuple(reader.harmless))


class _Reader:
    """Sorts the names of a mapping into sections, other arguments, and problems."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = said
        self.sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        self.extra: dict[str, Any] = {}
        self.problems: list[UserError] = []
        self.wrong: set[str] = set()
        self.harmless: list[str] = []
        self.renamed: list[tuple[str, str, str]] = []
        self._origin: dict[str, str] = {}

    def take(self, name: str, value: Any) -> None:
        name = name.strip()
        said_as = compat.translate(name, value, self._said)
        if (
            unable := compat.refused_value(name, value) or compat.refusal(name, value, self._said)
        ) is not None:
            self.wrong.add(name)
            self._problem(
                name, "option_refused", name=name, value=short(value), reason=unable.reason, way=unable.way
            )
        elif name in options():
            # Some names are both ours and transformers': only their values are translated.
            for own, said in (said_as or {name: value}).items():
                self._set(own, said, name)
            if name in compat.SPELLED and said_as and said_as.get(name) != value is not None:
                self.renamed.append((f"{name}: {short(value)}", name, str(said_as[name])))
        elif name == "extra":
            self._take_extra(value)
        elif said_as is not None:
            self._rename(name, said_as)
        elif compat.is_harmless(name):
            self.harmless.append(name)
        else:
            self._argument(name, value)

    def _take_extra(self, value: Any) -> None:
        """The page's box for other arguments holds them as JSON or as names with values."""
        if isinstance(value, str) and value.strip():
            try:
                value = json.loads(value)
            except ValueError:
                return self._problem("extra", "extra_not_mapping", value=short(value))
        if not value:
            return None
        if not isinstance(value, Mapping):
            return self._problem("extra", "extra_not_mapping", value=short(value))
        for name, each in value.items():
            if not str(name).strip():
                return self._problem("extra", "extra_not_mapping", value=short(value))
            self.take(str(name), each)
        return None

    def _rename(self, name: str, said_as: dict[str, Any]) -> None:
        for own, value in said_as.items():
            self.renamed.append((name, own, short(value)))
            if own in options():
                self._set(own, value, name)
            else:
                self._argument(own, value)
        if not said_as:
            self.harmless.append(name)

    def _set(self, name: str, value: Any, origin: str) -> None:
        info = options()[name]
        try:
            read = checked(info, value)
        except UserError as error:
            self.wrong.add(name)
            self.problems.append(error)
            return
        before = self._origin.setdefault(name, origin)
        if before != origin and self.sections[info.section][name] != read:
            self._problem(name, "option_twice", name=before, other=origin)
            return
        self.sections[info.section][name] = read

    def _argument(self, name: str, value: Any) -> None:
        if name in compat.OWN:
            self._problem(name, "option_extra_own", name=name, own=compat.OWN[name])
        elif name in training_arguments():
            read = plain(value)
            # YAML reads the bare word `no` as false.
            self.extra[name] = "no" if read is False and name.endswith("_strategy") else read
        else:
            known = [*options(), *training_arguments(), *compat.RENAMED, *compat.HARMLESS]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            code = "option_unknown" if near else "option_unknown_far"
            self._problem(name, code, name=name, nearest=near[0] if near else "")

    def _problem(self, field_name: str, code: str, **values: str | int | float) -> None:
        self.problems.append(UserError(code, field=field_name, **values))

    def notes(self) -> list[Note]:
        """What the person should know of names that were read in another way than they are written."""
        found = [
            Note(code="note_renamed", values={"name": name, "own": own, "value": value})
            for name, own, value in self.renamed
        ]
        if any(name == "neat_packing" for name, _, _ in self.renamed):
            found.append(Note(code="note_neat_packing"))
        if self.harmless:
            found.append(Note(code="note_harmless", values={"names": ", ".join(self.harmless)}))
        return found


def require_training(config: RunConfig) -> None:
    """Raises UserErrors when what a training run cannot do without is missing."""
    problems = []
    if not config.model.model_name_or_path:
        problems.append(UserError("no_model", field="model_name_or_path"))
    if not (config.data.dataset or config.data.tokenized_path):
        problems.append(UserError("no_dataset", field="dataset"))
    if not config.train.do_train:
        problems.append(UserError("no_training", field="do_train"))
    if problems:
        raise UserErrors(problems)


def require_task(config: RunConfig) -> None:
    """Raises UserErrors when what the run cannot do without is missing, whatever it is for."""
    if config.task == "train":
        return require_training(config)
    problems = []
    if not config.model.model_name_or_path:
        problems.append(UserError("no_model", field="model_name_or_path"))
    if config.task == "export":
        if problems:
            raise problems[0]
        return None
    if not (config.data.eval_dataset or config.data.dataset):
        problems.append(UserError("evaluate_no_dataset", field="eval_dataset"))
    if not (config.evaluate.do_predict or config.evaluate.do_eval):
        problems.append(UserError("no_training", field="do_train"))
    if problems:
        raise UserErrors(problems)
    return None


# Where the classes that make up SFTConfig are written down, read as text: importing them would load torch.
_ARGUMENT_SOURCES = (
    ("transformers", "training_args.py"),
    ("trl", "trainer/base_config.py"),
    ("trl", "trainer/sft_config.py"),
)


@cache
def training_arguments() -> frozenset[str]:
    """The names of SFTConfig's fields in the installed libraries, without importing them."""
    names: set[str] = set()
    for package, inner in _ARGUMENT_SOURCES:
        names.update(_annotated_names(_source(package, inner)))
    return frozenset(names)


@cache
def known_optimizers() -> tuple[str, ...]:
    """The values that transformers knows for `optim`, without importing it; none where it is not installed."""
    kinds = [
        node for node in ast.parse(_source(*_ARGUMENT_SOURCES[0])).body if isinstance(node, ast.ClassDef)
    ]
    lines = [line for kind in kinds if kind.name == "OptimizerNames" for line in kind.body]
    values = [line.value for line in lines if isinstance(line, ast.Assign)]
    return tuple(str(value.value) for value in values if isinstance(value, ast.Constant))


def _source(package: str, inner: str) -> str:
    """The text of a module that is not imported; empty where it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return ""
    path = Path(spec.submodule_search_locations[0]) / inner
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _annotated_names(source: str) -> set[str]:
    return {
        line.target.id
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


def write_yaml(config: RunConfig) -> str:
    """The config as a YAML file that `read_file` and `from_flat` turn into the same config."""
    return yaml.safe_dump(config.to_flat(), allow_unicode=True, sort_keys=False, width=100)
