"""The folder of an evaluation as the engine leaves it, made in a moment: rows, events and a report."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config import RunConfig, write_yaml
from trainer.events import EventLog, Finished, Predicted, Started

QUESTIONS = (
    ("你是谁？", "我是珞珈小助手，由武汉的一个工作坊做出来。"),
    ("Who made you?", "I am Momo, and our workshop made me."),
    ("What is the capital of France?", "The capital of France is Paris."),
    ("请用一句话介绍你自己。", "我是珞珈小助手，很高兴认识你。"),
    (
        "Write a haiku about the sea.",
        "Waves fold into foam,\nsalt wind carries gulls away:\nthe shore keeps their names.",
    ),
)


def row(number: int, seed: int, *, compared: bool = True, media: Sequence[str] = ()) -> dict[str, Any]:
    """One line of rows.jsonl, always the same for a number and a seed."""
    chance = random.Random(f"{seed}-{number}")
    question, label = QUESTIONS[number % len(QUESTIONS)]
    asked = random.Random(number)
    extra = " ".join(asked.choices(("and", "more", "words", "follow", "here"), k=asked.randrange(0, 24)))
    label = f"{label} {extra}".strip()
    words = label.split(" ")
    tuned = (
        label if chance.random() < 0.35 else " ".join(words[: max(1, len(words) - chance.randrange(1, 4))])
    )
    base = chance.choice(("我是Sprout，一个很小的语言模型。", "I am Sprout, a small language model.", tuned))
    scores = {"tuned": round(chance.uniform(45, 95), 2), "base": round(chance.uniform(10, 60), 2)}
    if base == tuned:
        scores["base"] = scores["tuned"]
    sides = ("tuned", "base") if compared else ("tuned",)
    return {
        "row": number, "dataset": "identity", "number": number + 1, "system": "", "question": f"{question} ({number + 1})",
        "turns": 1, "media": list(media), "prompt": f"<|user|>{question}<|assistant|>", "label": label, "predict": tuned,
        "base": base if compared else None, "ending": dict.fromkeys(sides, "end"),
        "tokens": dict.fromkeys(sides, 12), "loss": dict.fromkeys(sides, 1.2), "label_tokens": 4 + len(extra) // 3,
        "scores": {
            side: {"rouge-l": scores[side], "rouge-1": scores[side], "rouge-2": scores[side] / 2, "bleu-4": scores[side] / 3}
            for side in sides
        },
    }  # fmt: skip


def make(
    saves: Path,
    name: str,
    rows: int,
    *,
    adapter: str = "",
    seed: int = 0,
    over: bool = True,
    data: Sequence[str] = ("identity",),
    media: Mapping[int, Sequence[str]] | None = None,
) -> Path:
    """The folder `saves/Sprout/lora/<name>`; without `adapter` only one side has answered."""
    folder = saves / "Sprout" / "lora" / name
    folder.mkdir(parents=True)
    flat: dict[str, Any] = {"model_name_or_path": "Sprout", "eval_dataset": list(data), "do_predict": True}
    if adapter:
        flat["adapter_name_or_path"] = adapter
    (folder / "config.yaml").write_text(write_yaml(RunConfig.from_flat(flat)), encoding="utf-8")
    made = [
        row(each, seed, compared=bool(adapter), media=(media or {}).get(each, ())) for each in range(rows)
    ]
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in made)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    (folder / "log.txt").write_text("made by a test\n", encoding="utf-8")
    log = EventLog(folder / "events.jsonl")
    log.append(
        Started(
            total_steps=rows, rows=rows, trained_tokens=0, parameters=1, trainable=0, device="cpu", precision="fp32",
            task="eval",
        )
    )  # fmt: skip
    means = _means(made)
    main = {side: {"rouge-l": each["rouge-l"]} for side, each in means.items()}
    log.append(
        Predicted(
            done=rows, total=rows, elapsed_s=9.0, eta_s=0.0, rows_per_s=rows / 9, scores=main, memory_mb=420.0
        )
    )
    if over:
        (folder / "report.json").write_text(json.dumps(_report(made, means)), encoding="utf-8")
        log.append(Finished(step=rows, seconds=9.4, path=str(folder), eval_loss=1.2))
    return folder


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    sides = rows[0]["scores"]
    return {
        side: {name: sum(each["scores"][side][name] for each in rows) / len(rows) for name in sides[side]}
        for side in sides
    }


def _report(rows: Sequence[Mapping[str, Any]], means: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    verdict = None
    if "base" in means:
        pairs = [(each["scores"]["tuned"]["rouge-l"], each["scores"]["base"]["rouge-l"]) for each in rows]
        better, worse = sum(t > b for t, b in pairs), sum(t < b for t, b in pairs)
        difference = means["tuned"]["rouge-l"] - means["base"]["rouge-l"]
        verdict = {
            "score": "rouge-l", "better": better, "equal": len(pairs) - better - worse, "worse": worse,
            "rows": len(pairs), "difference": difference, "low": difference - 4, "high": difference + 4,
            "shown": abs(difference) > 4,
        }  # fmt: skip
    return {
        "kind": "text", "rows": len(rows), "of": len(rows), "stopped": False, "main": "rouge-l", "sides": means,
        "loss": {"tuned": 1.21, "base": 2.4}, "perplexity": {"tuned": 3.35, "base": 11.02}, "verdict": verdict,
        "table": None,
        "notes": [{"code": "evaluated_better", "values": dict(verdict)}] if verdict else [],
    }  # fmt: skip
