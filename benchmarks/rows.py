"""Made-up alpaca rows of realistic lengths, English and Chinese, always the same: what benchmarks of data read."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "ri",
    "so",
    "tu",
    "va",
    "we",
    "xi",
    "yo",
    "zu",
    "str",
    "ing",
    "tion",
    "able",
    "ment",
    "ly",
    "er",
    "al",
]
ZH = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运"
ASKS = ("Explain", "Rewrite", "Summarize", "Translate", "List", "Compare", "Describe", "Write a story about")
ZH_ASKS = ("请解释", "改写", "总结", "翻译", "列出", "比较", "描述", "写一个故事,关于")


def alpaca_rows(count: int, longest: int = 1500, seed: int = 1) -> Iterator[dict[str, str]]:
    """Questions of some 15 words, a third of them with an input of 30, answers of 10 to 250 (1,500 characters); a third is Chinese."""
    chance = random.Random(seed)
    words = ["".join(chance.choices(SYLLABLES, k=chance.choice((1, 2, 2, 3)))) for _ in range(8000)]
    # Common words are common: the n-th of them comes with a weight of 1/n.
    texts = [_text(chance, words, zh) for zh in (False, False, True) for _ in range(300)]
    for number in range(count):
        zh = number % 3 == 2
        pool = texts[600:] if zh else texts[:600]
        ask = chance.choice(ZH_ASKS if zh else ASKS)
        yield {
            "instruction": f"{ask} {_cut(chance, pool, 30, 120)}?",
            "input": _cut(chance, pool, 60, 300) if chance.random() < 0.33 else "",
            "output": _cut(chance, pool, 60, longest),
        }


def _text(chance: random.Random, words: list[str], zh: bool) -> str:
    parts: list[str] = []
    for _ in range(60):
        if zh:
            parts.append("".join(chance.choices(ZH, k=chance.randint(6, 22))) + chance.choice(",。。!?"))
            continue
        size = chance.randint(5, 16)
        picked = chance.choices(words, cum_weights=_weights(len(words)), k=size)
        parts.append(" ".join(picked).capitalize() + chance.choice((".", ".", ",", ".\n", ":", " 42.")) + " ")
    return "".join(parts)


_KNOWN: dict[int, list[float]] = {}


def _weights(count: int) -> list[float]:
    if count not in _KNOWN:
        total, found = 0.0, []
        for rank in range(1, count + 1):
            total += 1 / rank
            found.append(total)
        _KNOWN[count] = found
    return _KNOWN[count]


def _cut(chance: random.Random, pool: list[str], least: int, most: int) -> str:
    text = chance.choice(pool)
    size = min(len(text) - 1, chance.randint(least, most))
    if "\u4e00" < text[0] < "\u9fff":
        size = max(least // 3, size // 3)
    start = chance.randrange(max(1, len(text) - size))
    return text[start : start + size].strip() or "ok"


def write_rows(path: Path, count: int, longest: int = 1500) -> None:
    """A jsonl file of such rows, and a dataset_info.json beside it that calls it `rows`."""
    with path.open("w", encoding="utf-8") as file:
        for row in alpaca_rows(count, longest):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    info = json.dumps({"rows": {"file_name": path.name}})
    (path.parent / "dataset_info.json").write_text(info, encoding="utf-8")
