"""What a replay says of a format: ready or not, in figures and in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.errors import UserError
from trainer.events import Note
from trainer.export.agreement import Heard, Reference
from trainer.export.replay import Replay

# Token agreement that few bits usually keep, by how many they are; below it a person is warned.
_USUAL = {16: 0.9, 8: 0.9, 6: 0.85, 5: 0.8, 4: 0.7, 3: 0.5, 2: 0.3}
# Below this share of it, or with answers that became so much less likely (nats per token), something is broken.
_BROKEN_SHARE, _BROKEN_LOSS = 0.5, 1.5
EXACT_TYPES = ("", "f32", "f16")


@dataclass(frozen=True)
class Verdict:
    """`state` is same, close (few bits, not every token), differs or not_replayed; `facts` are the replay's figures for the receipt."""

    state: str
    facts: dict[str, Any]
    notes: tuple[Note, ...] = ()

    @property
    def ready(self) -> bool:
        return self.state in ("same", "close")


def judge(kind: str, replay: Replay, references: Sequence[Reference]) -> Verdict:
    """The verdict on one format; `kind` is the type of a GGUF or quantised model, else empty."""
    asked = [each for each in replay.heard if each]
    if not asked:
        return Verdict("not_replayed", _facts("not_replayed", replay, references, None))
    bits = _bits(kind)
    threshold = None if bits is None else _USUAL[bits]
    problem = _problem(replay, threshold)
    notes: list[Note] = []
    agreement = _agreement(asked)
    if threshold is not None and agreement < threshold:
        values: dict[str, str | int | float] = {
            "kind": kind, "percent": round(100 * agreement), "usual": round(100 * threshold)
        }  # fmt: skip
        notes.append(Note(code="receipt_low_agreement", values=values, level="warning"))
    state = "differs" if problem else "same" if threshold is None or agreement == 1 else "close"
    return Verdict(state, _facts(state, replay, references, threshold, problem), tuple(notes))


def _bits(kind: str) -> int | None:
    """How many bits a quantised type has; None for the formats that keep a model as it is.

    bf16 is no such format in llama.cpp, which rounds all that is computed to its eight bits.
    """
    if kind in EXACT_TYPES or kind == "bf16":
        return 16 if kind == "bf16" else None
    found = next((int(sign) for sign in kind if sign.isdigit()), 4)
    return min(_USUAL, key=lambda bits: abs(bits - found))


def _agreement(heard: Sequence[Heard]) -> float:
    return sum(each.same for each in heard) / max(sum(len(each.tokens) for each in heard), 1)


def is_tie(heard: Heard, tie: float) -> bool:
    """Whether all other choices were between tokens that the model inside likes as well."""
    return heard.first is not None and heard.margin <= tie


def _problem(replay: Replay, threshold: float | None) -> UserError | None:
    """What keeps a format from being ready."""
    heard = [each for each in replay.heard if each]
    template = [each for each in replay.template if each is not None]
    if not all(math.isfinite(each.loss) for each in heard):
        return UserError("receipt_not_finite")
    if not all(template):
        return UserError("receipt_template_differs", count=template.count(False), total=len(template))
    if threshold is None:
        wrong = [each for each in heard if each.first is not None and not is_tie(each, replay.tie)]
        if wrong:
            return UserError("receipt_tokens_differ", count=len(wrong), total=len(heard))
        difference = max(each.difference for each in heard)
        if replay.limit is not None and not difference <= replay.limit:
            return UserError(
                "receipt_logits_differ", difference=f"{difference:.2g}", limit=f"{replay.limit:.2g}"
            )
        return None
    agreement = _agreement(heard)
    if agreement < threshold * _BROKEN_SHARE:
        return UserError("receipt_broken", percent=round(100 * agreement))
    return None


def _facts(
    state: str,
    replay: Replay,
    references: Sequence[Reference],
    threshold: float | None,
    problem: UserError | None = None,
) -> dict[str, Any]:
    heard = [each for each in replay.heard if each]
    reason = problem or replay.reason
    logits = tokens = score = None
    if heard:
        of = sum(len(each.tokens) for each in heard)
        same = sum(each.same for each in heard)
        ties = sum(is_tie(each, replay.tie) for each in heard) if threshold is None else 0
        tokens = {"same": same, "of": of, "agreement": round(same / max(of, 1), 4), "ties": ties}
        score = {
            "inside": _mean([one.loss for one, other in zip(references, replay.heard, strict=True) if other]), "outside": _mean([each.loss for each in heard])
        }  # fmt: skip
        if replay.limit is not None:
            logits = {
                "difference": _number(max(each.difference for each in heard)),
                "limit": _number(replay.limit),
            }
    known = [each for each in replay.template if each is not None]
    template = {"same": sum(known), "of": len(known)} if known else None
    return {
        "state": state, "runtime": replay.runtime, "device": replay.device, "computed_in": replay.computed_in,
        "logits": logits, "tokens": tokens, "score": score, "threshold": threshold, "template": template,
        "reason": told(reason) if reason else None,
    }  # fmt: skip


def told(reason: UserError) -> dict[str, Any]:
    """A sentence as a receipt has it: its code and values for the page, and the English."""
    return {"code": reason.code, "values": reason.values, "text": reason.text, "hint": reason.hint}


def _mean(values: Sequence[float]) -> float | None:
    return _number(sum(values) / max(len(values), 1))


def _number(value: float) -> float | None:
    """JSON has no word for what is no number."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
