"""One supervised fine-tuning run, from its config to its files."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, set_seed

from trainer.config import RunConfig, require_training
from trainer.dataset.blocks import packs_rows
from trainer.dataset.stream import Stream
from trainer.dataset.table import RowTable
from trainer.errors import UserError
from trainer.events import Finished, Note, Stopped
from trainer.model.catalog import resolve
from trainer.model.load import Precision, choose_precision
from trainer.paths import RunFolder
from trainer.train.adapters import result_note
from trainer.train.again import until_it_fits
from trainer.train.arguments import make_arguments
from trainer.train.asking import Asking
from trainer.train.callbacks import Emit, Reporter, Stop
from trainer.train.checkpoints import Found, Progress, find, remove_parts, step_of
from trainer.train.collation import Flattened
from trainer.train.curves import Curves, curves, programs
from trainer.train.engine import require_fitting, spare_deepspeed
from trainer.train.experts import router_loss
from trainer.train.failures import explain, require_writable
from trainer.train.flow import Flow, ProblemTeller
from trainer.train.items import Items, items_of
from trainer.train.kernels import fused
from trainer.train.loop import RowTrainer, StopTraining
from trainer.train.memory import frozen_garbage, give_back
from trainer.train.optimizer import chosen, notes
from trainer.train.plot import plot_loss
from trainer.train.prepare import choose_batches, prepare_model
from trainer.train.process import facts, untouched
from trainer.train.ranks import Ranks, StoppedElsewhere
from trainer.train.records import (
    TrainerLog,
    remove_earlier_run,
    write_evaluation,
    write_manifest,
    write_results,
)
from trainer.train.room import checkpointing, short_of
from trainer.train.rows import RunRows, rows_for
from trainer.train.samples import Sampler
from trainer.train.seeing import Eyes, seeing, trial_rows
from trainer.train.squeezed import chosen_quantization
from trainer.train.trial import trials
from trainer.train.vision import VisionTrainer
from trainer.train.voice import Voice, open_voice
from trainer.train.watchers import watchers

logger = logging.getLogger(__name__)

NO_RESUME = ("", "false", "none")


def run_sft(config: RunConfig, emit: Emit, stop: Stop) -> Finished | Stopped:
    """Trains as `config` says, in the folder `config.train.output_dir`, and returns how it ended.

    `emit` receives every event but the last, which is returned; `stop` is asked between phases, while rows are rendered, and after each step.
    Raises UserError for what a person can mend. Nothing of the run stays in memory afterwards.
    """
    try:
        return until_it_fits(lambda each, tell: _explained(each, tell, stop), config, emit)
    finally:
        give_back()


def _explained(config: RunConfig, emit: Emit, stop: Stop) -> Finished | Stopped:
    try:
        with untouched():
            return _Run(config, emit, stop).run()
    except UserError:
        raise
    except Exception as error:
        sentence = explain(error, Path(config.train.output_dir))
        if sentence is None:
            raise
        logger.warning("%s", sentence.text, exc_info=True)
    # Raised outside the handler: the first error's traceback would keep the model in memory.
    raise sentence


class _Stopped(StoppedElsewhere):
    """Somebody stopped the run between two phases, or while its rows were rendered."""


class _Run:
    """The phases of one run; each begins with the question whether somebody wants to stop."""

    def __init__(self, config: RunConfig, emit: Emit, stop: Stop) -> None:
        self.config = config
        self.ranks = Ranks.here()
        self.engine = self.ranks.engine(config)
        spare_deepspeed(self.engine)
        self.emit = self.ranks.telling(emit)
        self.stop = lambda: self.ranks.agreed(stop)
        # While rows are rendered each process is at another one: the first alone is asked.
        self.asked = stop
        self.folder = RunFolder(Path(config.train.output_dir))
        self.begun = time.monotonic()
        self.curves: Curves

    def run(self) -> Finished | Stopped:
        """Raises UserError for what a person can mend."""
        config = self.config
        require_training(config)
        programs(config.train.report_to)
        require_fitting(config, self.engine)
        if self.ranks.first:
            require_writable(self.folder.path)
        for note in (*config.notes, *notes(config)):
            self.emit(note)
        try:
            precision = choose_precision(config.method.compute_type)
            found = self.ranks.from_first(self._prepare_folder)
            path = self.ranks.in_turn(lambda: resolve(config.model.model_name_or_path, config.model.hub))
            # What this machine cannot do is told before anything takes long.
            chosen_quantization(config, path)
            self._phase("phase_rows")
            voice = open_voice(config, path)
            data = self.ranks.in_turn(
                lambda: rows_for(config, voice.tokenizer, voice.renderer, self.emit, self._breathe)
            )
            if short := short_of(config, data.train):
                self.emit(short)
            self._phase("phase_model", name=config.model.model_name_or_path)
            with curves(config, self.emit, self.ranks.first) as self.curves:
                return self._train(path, voice, data, precision, found)
        except StoppedElsewhere:
            return Stopped(step=0, seconds=self._seconds(), path="")

    def _seconds(self) -> float:
        return round(time.monotonic() - self.begun, 3)

    def _tell(self, code: str, **values: str | int | float) -> None:
        self.emit(Note(code=code, values=values))

    def _warn(self, code: str, **values: str | int | float) -> None:
        self.emit(Note(code=code, values=values, level="warning"))

    def _breathe(self) -> None:
        if self.ranks.first and self.asked():
            raise _Stopped

    def _phase(self, code: str, **values: str | int | float) -> None:
        if self.stop():
            raise _Stopped
        self._tell(code, **values)

    def _prepare_folder(self) -> Found:
        """Clears what lies in the run's folder or refuses it, and finds the checkpoint to go on from."""
        train, folder = self.config.train, self.folder
        found = find(folder.path, train.resume_from_checkpoint, self.ranks.makers(self.engine))
        for note in found.notes:
            self.emit(note)
        if train.resume_from_checkpoint.strip().lower() in NO_RESUME:
            if train.overwrite_output_dir:
                remove_earlier_run(folder)
            elif folder.checkpoints() or folder.trainer_log.exists():
                raise UserError("output_in_use", field="output_dir", path=str(folder.path))
        remove_parts(folder.path)
        TrainerLog(folder.trainer_log).cut_back(step_of(found.path) if found.path else 0)
        return found

    def _train(
        self,
        path: Path,
        voice: Voice,
        data: RunRows,
        precision: Precision,
        found: Found,
    ) -> Finished | Stopped:
        set_seed(self.config.train.seed)
        # DeepSpeed's settings are read while the weights are: they live as long as these arguments.
        settings = self.engine.loads_split and make_arguments(
            self.config, precision, checkpointing=False, engine=self.engine
        )
        model, notes = prepare_model(self.config, path, precision, found.path, voice.words, self.engine)
        for note in notes:
            self.emit(note)
        liger = fused(model, self.config.model.enable_liger_kernel, self.emit)
        with liger, seeing(model, voice.processor, voice.renderer.expander) as eyes:
            trainer, reporter = self._assemble(model, voice, eyes, data, precision, found)
            del settings
            template = voice.renderer.chat_template
            if self.ranks.first:
                write_manifest(self.folder, self.config, path, data.fingerprint(), template, found.path)
            self._phase("phase_training")
            with frozen_garbage():
                try:
                    trainer.train(str(found.path) if found.path else None)
                except StopTraining:
                    trainer.save_now()
        if not reporter.stopped:
            return self._finish(trainer, reporter)
        step = trainer.state.global_step
        checkpoint = self.folder.path / f"checkpoint-{step}"
        path_left = str(checkpoint) if checkpoint.is_dir() else ""
        return Stopped(step=step, seconds=round(reporter.elapsed_s(), 3), path=path_left)

    def _assemble(
        self,
        model: Any,
        voice: Voice,
        eyes: Eyes | None,
        data: RunRows,
        precision: Precision,
        found: Found,
    ) -> tuple[RowTrainer, Reporter]:
        config, tokenizer = self.config, voice.tokenizer
        pad_id = next(
            each for each in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if each is not None
        )
        tried = trial_rows(voice.renderer.expander, tokenizer) if voice.renderer.expander else ()
        batches = choose_batches(model, pad_id, precision, eyes, tried, self.engine)
        flattened = isinstance(batches.collator, Flattened)
        if batches.padded_because:
            self._tell("padded_batches", reason=batches.padded_because)
        packing = packs_rows(config.data)
        if packing and not flattened:
            self._warn("packing_off")
        if eyes and config.extra.get("dataloader_num_workers"):
            self._tell("pictures_one_reader")
        items = self._items(data.train, packed=packing and flattened, found=found)
        twice, note = self.ranks.shared(checkpointing(config, model, items, precision))
        if note:
            self.emit(note)
        arguments = make_arguments(config, precision, checkpointing=twice, engine=self.engine)
        resumed = Progress.read(found.path, step_of(found.path)) if found.path else None
        log = TrainerLog(
            self.folder.trainer_log, config.train.include_num_input_tokens_seen, self.ranks.first
        )
        reporter = Reporter(self.emit, self.stop, log, facts(data, model, precision), resumed, self.ranks)
        trial = trials(config, self.emit)
        mine = [*trial, reporter, self.curves]
        callbacks = [*mine, *watchers(config, self.emit), *self._samplers(model, voice, eyes)]
        if isinstance(items, Flow):
            callbacks.append(ProblemTeller(items.stream, self.emit))
        kind = partial(VisionTrainer, processor=voice.processor) if eyes else RowTrainer
        trainer = kind(
            model=model,
            args=arguments,
            data_collator=batches.collator,
            train_dataset=items,
            eval_dataset={name: Items(rows) for name, rows in data.parts.items()},
            processing_class=tokenizer,
            callbacks=callbacks,
            noise_alpha=config.train.neftune_noise_alpha,
            router=router_loss(model, config.model.moe_aux_loss_coef, self.emit),
            make_optimizer=chosen(config),
            ranks=self.ranks,
            engine=self.engine,
        )
        trainer.remove_callback(PrinterCallback)
        reporter.trainer = trainer
        for each in trial:
            each.trainer = trainer
        return trainer, reporter

    def _items(self, rows: RowTable | Stream, packed: bool, found: Found) -> Items | Flow:
        capacity = self.config.data.cutoff_len if packed else None
        if isinstance(rows, RowTable):
            return items_of(rows, capacity, self.config.method.disable_shuffling)
        if found.path:
            rows.restore(found.path)
        if self.config.extra.get("dataloader_num_workers"):
            self._tell("stream_one_reader")
        texts = self.config.data if self.config.data.stage == "pt" else None
        return Flow(rows, capacity, self.config.method.disable_shuffling, texts)

    def _samplers(self, model: Any, voice: Voice, eyes: Eyes | None) -> list[Sampler]:
        config, generate = self.config, self.config.generate
        asking = Asking(voice.renderer, config.data, config.model.hub, self.folder.path, self.emit)
        questions = asking.questions(config.train.learn_prompts, generate.system)
        if not questions:
            return []
        decode = partial(voice.tokenizer.decode, skip_special_tokens=True)
        return [
            Sampler(
                self.emit, self.stop, model, voice.renderer, decode, questions, config.train.learn_steps,
                generate.max_new_tokens, eyes,
            )
        ]  # fmt: skip

    def _finish(self, trainer: RowTrainer, reporter: Reporter) -> Finished:
        self._tell("phase_saving")
        trainer.save_model()
        if note := result_note(trainer.model):
            self.emit(note)
        step, loss = trainer.state.global_step, trainer.mean_loss()
        best = trainer.state.best_model_checkpoint
        if self.config.train.load_best_model_at_end and best:
            self._tell("best_loaded", path=best)
        evaluated = trainer.evaluate() if self.config.evaluate.do_eval else None
        results = trainer.results(reporter.elapsed_s())
        if self.ranks.first:
            trainer.state.save_to_json(str(self.folder.path / "trainer_state.json"))
            if evaluated is not None:
                write_evaluation(self.folder.path, evaluated)
            write_results(self.folder.path, results)
            if self.config.train.plot_loss:
                plot_loss(trainer.state.log_history, self.folder.path / "training_loss.png")
        return Finished(
            step=step, seconds=round(reporter.elapsed_s(), 3), path=str(self.folder.path), loss=loss,
            eval_loss=self._eval_loss(trainer, reporter),
        )  # fmt: skip

    def _eval_loss(self, trainer: RowTrainer, reporter: Reporter) -> float | None:
        """That of the result: the best one when the best checkpoint was taken, else the last."""
        best = trainer.state.best_metric
        return (
            float(best)
            if self.config.train.load_best_model_at_end and best is not None
            else reporter.eval_loss
        )
