"""TRL's trainer with our batches, our loss and our checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import datasets
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from transformers.trainer_pt_utils import LabelSmoother

from trainer.train.adapters import adapts_head, hidden_head
from trainer.train.arguments import accepted
from trainer.train.attention import by_row, switches
from trainer.train.checkpoints import Progress
from trainer.train.collation import IGNORED, Collator, Flattened
from trainer.train.engine import Engine
from trainer.train.evaluation import Sums, metrics_of, results_of
from trainer.train.experts import Kept, RouterLoss
from trainer.train.flow import Flow
from trainer.train.items import Items
from trainer.train.noise import RowNoise
from trainer.train.optimizer import usable
from trainer.train.ranks import Ranks
from trainer.train.together import TogetherTrainer

# Logits of more numbers than this are not made at once on a GPU (512 MB in fp32): TRL's fused head goes in tiles.
MOST_LOGITS = 2**27
FACTS = ("keep", "targets", "tokens", "trained")


class StopTraining(Exception):
    """Somebody stopped the run in the middle of an evaluation."""


class RowTrainer(TogetherTrainer):
    """SFTTrainer whose loss is the plain mean over the trained tokens of an optimiser step.

    The model computes logits only where a token is trained; nothing else (entropy, accuracy) is measured on the way.
    `noise_alpha` is NEFTune's, `make_optimizer` replaces the optimiser named in the arguments.
    """

    # Wider in transformers.
    eval_dataset: Any

    def __init__(
        self,
        *,
        train_dataset: Items | Flow,
        eval_dataset: dict[str, Items],
        data_collator: Collator,
        noise_alpha: float | None = None,
        router: RouterLoss | None = None,
        make_optimizer: Callable[[RowTrainer], torch.optim.Optimizer] | None = None,
        ranks: Ranks | None = None,
        engine: Engine | None = None,
        **arguments: Any,
    ) -> None:
        self.ranks, self.engine = ranks or Ranks(), engine or Engine()
        # TRL would warn of a forward pass that the loss below does not need.
        args = arguments["args"]
        smoothing, args.label_smoothing_factor = args.label_smoothing_factor, 0.0
        first = train_dataset[0] if isinstance(train_dataset, Items) else next(iter(train_dataset))
        # TRL takes datasets of one library only, and looks at nothing but the first row.
        look = datasets.Dataset.from_list([{"input_ids": first["input_ids"], "labels": first["labels"]}])
        if isinstance(train_dataset, Flow):
            args.accelerator_config.dispatch_batches = False
            args.dataloader_num_workers = 0
        kept, own = Kept(arguments["model"]), _trainable(arguments["model"])
        self._head_adapted = adapts_head(arguments["model"])
        with hidden_head(arguments["model"]):
            super().__init__(
                data_collator=data_collator,
                train_dataset=look,
                eval_dataset=look if eval_dataset else None,
                **arguments,
            )
        kept.put_back()
        # TRL rounds adapters on a base in few bits to bf16, those that are continued too.
        for parameter, data in own:
            parameter.data = data
        self.train_dataset, self.eval_dataset = train_dataset, eval_dataset
        args.label_smoothing_factor = smoothing
        self.label_smoother = LabelSmoother(smoothing) if smoothing else None
        # Every loss here is divided by the trained tokens of the whole step, whatever the model's own loss does.
        self.model_accepts_loss_kwargs = True
        self.trained_tokens = 0
        self.begun = time.monotonic()
        self.progress = Progress()
        flattened = isinstance(data_collator, Flattened) and not data_collator.flash
        self._switches = switches(self.model) if flattened else []
        self._noise = RowNoise(noise_alpha) if noise_alpha else None
        self._router = router
        self._make_optimizer = make_optimizer
        self._trainable = [each for each in self.model.parameters() if each.requires_grad]
        self._size = self.model.num_parameters(exclude_embeddings=True)
        self._vocabulary = self.model.config.get_text_config().vocab_size
        self._plain_loss = not self.aux_loss_enabled

    def _get_collator_with_removed_columns(self, data_collator: Any, description: str | None = None) -> Any:
        """The collator itself: rows have no columns but those it takes."""
        return data_collator

    def _send_telemetry(self) -> None:
        """Nothing is sent anywhere."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """manifest.json says what was trained."""

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As in transformers, with the attention that fits the batches: by row for flattened ones."""
        # For the whole loop: gradient checkpointing computes attention again in the backward pass.
        with by_row(self._switches):
            return super().train(*args, **kwargs)

    # Loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor | None:
        if not batch_samples:
            return None
        trained, tokens = (sum(batch[name] for batch in batch_samples) for name in ("trained", "tokens"))
        if self.ranks.count > 1:
            trained, tokens = map(int, self.ranks.sums(trained, tokens))
            if self.args.include_num_input_tokens_seen != "no":
                self.state.num_input_tokens_seen += tokens
        self.trained_tokens += trained
        return torch.tensor(max(trained, 1), device=device)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The summed loss of a micro-batch over `num_items_in_batch`, the trained tokens of the whole step."""
        facts = {name: inputs.pop(name) for name in FACTS}
        with self._noisy(inputs):
            if not self._plain_loss or return_outputs:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            total = self.summed_loss(model, inputs, facts)
        items: Any = facts["trained"] if num_items_in_batch is None else num_items_in_batch
        loss = total / items * self.accelerator.num_processes
        return (
            loss if self._router is None else loss + self._router.take(self.args.gradient_accumulation_steps)
        )

    def _noisy(self, inputs: dict[str, Any]) -> AbstractContextManager[None]:
        if self._noise is None or not self.model.training:
            return nullcontext()
        return self._noise.on(self.model.get_input_embeddings(), inputs)

    def summed_loss(
        self, model: nn.Module, inputs: dict[str, Any], facts: dict[str, Any], loss_type: str = ""
    ) -> torch.Tensor:
        """The loss of one batch, summed over its trained tokens; by default of the kind that is trained."""
        loss_type = loss_type or self.args.loss_type
        keep, targets = facts["keep"], facts["targets"]
        labels = inputs.pop("labels")
        special = self.args.label_smoothing_factor or loss_type != "nll" or self._head_adapted or self._router
        # The fused head reads its weights without asking the layer, which has to be asked where they are split up.
        whole = labels.device.type != "cpu" and not self.engine.splits_weights
        if whole and not special and keep.numel() * self._vocabulary > MOST_LOGITS:
            fused: torch.Tensor = model(**inputs, labels=labels, fused_lm_head=True).log_probs
            return -fused.sum()
        asking = self._router.asking if self._router else {}
        outputs = model(**inputs, logits_to_keep=keep, **asking)
        if self._router:
            self._router.keep(outputs)
        logits = outputs.logits.float().flatten(0, 1)
        targets = targets.flatten()
        if loss_type != "dft":
            return cross_entropy(
                logits, targets, ignore_index=IGNORED, reduction="sum",
                label_smoothing=self.args.label_smoothing_factor,
            )  # fmt: skip
        # Dynamic fine-tuning weighs each token by its own probability: https://huggingface.co/papers/2508.05629
        each = cross_entropy(logits, targets, ignore_index=IGNORED, reduction="none")
        return (each * (-each).exp().detach()).sum()

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        # On a GPU looking at each loss would wait for the device; there it is looked at when it is logged.
        if loss.device.type == "cpu":
            self.require_finite(loss)
        return loss

    # Evaluation

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The mean loss per trained token over all rows, whatever the batch size, and that of each part with a name."""
        begun = time.time()
        self.model.eval()
        with by_row(self._switches):
            parts = {name: self._evaluate_part(name) for name in self.eval_dataset}
        self.log(metrics := metrics_of(parts, metric_key_prefix, begun))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _evaluate_part(self, name: str) -> Sums:
        loader = self.get_eval_dataloader(name)
        total, trained, rows = 0.0, 0.0, len(self.eval_dataset[name])
        for batch in loader:
            inputs = self._prepare_inputs(batch)
            facts = {name: inputs.pop(name) for name in FACTS}
            with torch.no_grad():
                # How sure the model is of a token weighs in what it learns, not in how it is judged.
                total += float(self.summed_loss(self.model, inputs, facts, loss_type="nll"))
            trained += int(facts["trained"])
            self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        total, trained = self.ranks.sums(total, trained)
        return Sums(total, int(trained), rows, len(loader))

    # Steps

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None and self._make_optimizer is not None:
            with accepted():
                self.optimizer = self._make_optimizer(self)
        if self.optimizer is None:
            self.optimizer_cls_and_kwargs = usable(self.args)
        with accepted():
            optimizer: torch.optim.Optimizer = super().create_optimizer(model)
        return optimizer

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return int(6 * inputs["input_ids"].numel() * self._size)

    def _track_num_input_tokens(self, inputs: dict[str, Any]) -> None:
        """Counts the tokens of the rows: neither padding nor rounding."""
        if self.args.include_num_input_tokens_seen == "no" or self.ranks.count > 1:
            return
        self.state.num_input_tokens_seen += inputs["tokens"]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        given = dict(self.args.lr_scheduler_kwargs or {})
        if self.args.lr_scheduler_type == "warmup_stable_decay" and "num_decay_steps" not in given:
            # A third of the steps after the warm-up at the peak, unless it says how many; the others falling.
            rest = num_training_steps - self.args.get_warmup_steps(num_training_steps)
            stable = given.pop("num_stable_steps", rest // 3)
            self.args.lr_scheduler_kwargs = {**given, "num_decay_steps": max(1, rest - stable)}
        with accepted():
            return super().create_scheduler(num_training_steps, optimizer)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # transformers looks for the end only after a step: stopped before the first or resumed at the last one, it
        # would do one too many.
        if self.control.should_training_stop or self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        if isinstance(self.train_dataset, Flow):
            self.train_dataset.passed = self._batches_done() * self._places_at_once()
        super()._run_epoch(*args, **kwargs)

    def mean_loss(self) -> float | None:
        """The mean training loss of all steps so far, those before a resume included."""
        steps = self.state.global_step
        return (self._total_loss_scalar + self.shared_loss()) / steps if steps else None

    def results(self, elapsed_s: float) -> dict[str, float]:
        """The numbers of the whole run under transformers' names; `elapsed_s` in seconds."""
        if isinstance(self.train_dataset, Items):
            samples = (self.state.epoch or 0.0) * len(self.train_dataset)
        else:
            samples = self._batches_done() * self._places_at_once()
        progress, mean_loss = self.current_progress(), self.mean_loss() or 0.0
        return results_of(self.state, progress, samples, mean_loss, elapsed_s)

    def _batches_done(self) -> int:
        return int(self.state.global_step * self.args.gradient_accumulation_steps)

    def _places_at_once(self) -> int:
        return int(self.args.train_batch_size * self.ranks.count)


def _trainable(model: nn.Module) -> list[tuple[nn.Parameter, torch.Tensor]]:
    return [(each, each.data) for each in model.parameters() if each.requires_grad]
