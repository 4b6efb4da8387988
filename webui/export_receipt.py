"""The receipt of an export as HTML: what was made, how it answers, and how it is used. Pure.

A receipt lies on the disk and may be of another version, so nothing in it is taken for granted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from trainer.errors import UserError
from trainer.events import Finished, Note
from trainer.jobs.workspace import Workspace
from webui.export_answers import prompts_html
from webui.export_head import is_told_later
from webui.export_words import name_of, size
from webui.findings import notes_html
from webui.i18n import say
from webui.panel import LIVE, Scene, button, spoken
from webui.read import count_in, mapping_in, mappings_in, number_in, text_in
from webui.story import Story
from webui.words import count, memory

# Programs that commands begin with have the same name in every language.
RUNTIMES = {
    "vllm": "vLLM", "llama_server": "llama-server", "llama_cli": "llama-cli", "ollama_create": "ollama create",
    "ollama_run": "ollama run", "transformers": "Python · transformers", "peft": "Python · PEFT",
}  # fmt: skip
# The verdict of the receipt stands above it already.
_VERDICTS = ("receipt_ready", "receipt_not_ready")
Receipt = Mapping[str, Any]


def receipt_html(receipt: Receipt, run: str, notes: Sequence[Note], lang: str) -> str:
    """Everything below the head of a finished export. `run` is its id, `notes` those of its events."""
    formats = mappings_in(receipt, "formats")
    total = sum(count_in(each, "bytes") for each in formats)
    zipped = button(
        "zip",
        _say("zip_size", lang, size=size(total)),
        run,
        busy=say("export.zipping", lang),
        kind="tb-primary",
    )
    told = tuple(note for note in (*notes, *_notes(receipt)) if note.code not in _VERDICTS)
    return (
        f'<section class="tb-receipt" data-ready="{"yes" if receipt.get("ready") is True else "no"}">'
        f'{_verdict(receipt, formats, lang)}<p class="tb-home">{zipped}</p><h4>{_said("checked.title", lang)}</h4>'
        f'<div class="tb-product">{"".join(_made(each, run, lang) for each in formats)}</div>{_commands(formats, lang)}'
        f"{prompts_html(receipt, lang)}{_files(formats, lang)}{_template(receipt, lang)}{_versions(receipt, lang)}"
        f"{notes_html(_once(told), lang)}</section>"
    )


def working_html(facts: Mapping[str, str], notes: Sequence[Note], lang: str) -> str:
    """The same place while the export goes on. `facts` are the format, the tensor and the memory, where known."""
    cells = "".join(
        f"<div><dt>{_said(f'now.{name}', lang)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
    )
    numbers = f'<dl class="tb-numbers">{cells}</dl>' if cells else ""
    return (
        f'<section class="tb-receipt" data-ready="wait">{numbers}<p class="tb-hint">{_said("waits", lang)}</p>'
        f"{notes_html(notes, lang)}</section>"
    )


def facts_now(story: Story, lang: str) -> dict[str, str]:
    """What is written now, while something is, and the memory that was taken."""
    told, facts = story.written, {}
    if told is not None and not is_told_later(story):
        facts = {"format": name_of(told.format, lang), "tensor": told.tensor or "–"}
    return facts if story.memory_mb is None else {**facts, "memory": memory(story.memory_mb)}


def none_html(over: bool, notes: Sequence[Note], lang: str) -> str:
    """An export without a receipt: one that has ended so, or has not begun."""
    hint = f'<p class="tb-hint">{_said("gone", lang)}</p>' if over else ""
    return f'<section class="tb-receipt" data-ready="none">{hint}{notes_html(notes, lang)}</section>'


def _say(key: str, lang: str, **values: object) -> str:
    return say(f"export.{key}", lang, **values)


def _said(key: str, lang: str, **values: object) -> str:
    return escape(_say(key, lang, **values))


def _verdict(receipt: Receipt, formats: Sequence[Receipt], lang: str) -> str:
    if receipt.get("ready") is not True:
        kind, text = "no", "no_text"
    else:
        near = any(not _is_exact(mapping_in(each, "replay")) for each in formats)
        kind, text = "yes", "near_text" if near else "yes_text"
    return (
        f'<p class="tb-ready tb-{kind}" role="status"><b>{_said(f"ready.{kind}", lang)}</b> '
        f"<span>{_said(f'ready.{text}', lang)}</span></p>"
    )


def _is_exact(replay: Receipt) -> bool:
    tokens = mapping_in(replay, "tokens")
    return text_in(replay, "state") != "close" and count_in(tokens, "same") == count_in(tokens, "of")


# What was made


def _made(made: Receipt, run: str, lang: str) -> str:
    good = made.get("ready") is True
    key = text_in(made, "key")
    about = " · ".join(each for each in (text_in(made, "type"), size(count_in(made, "bytes"))) if each)
    checks = "".join(
        f'<li class="{"tb-yes" if right else "tb-no"}">{escape(text)}</li>'
        for right, text in _checks(made, lang)
    )
    chat = (
        f'<button type="button" class="tb-button" data-act="chat" data-id="{escape(run)}" data-name="{escape(key)}">'
        f"{_said('chat', lang)}</button>"
    )
    return (
        f'<div class="{"tb-yes" if good else "tb-no"}" data-format="{escape(key)}"><h5>{escape(name_of(text_in(made, "format"), lang))}'
        f"<span>{escape(about)}</span></h5><ul>{checks}</ul>{chat}</div>"
    )


def _checks(made: Receipt, lang: str) -> list[tuple[bool, str]]:
    """What was compared, and whether it came out well."""
    replay = mapping_in(made, "replay")
    state, runtime = text_in(replay, "state"), text_in(replay, "runtime")
    right = state in ("same", "close")
    found = []
    tokens = mapping_in(replay, "tokens")
    if state == "not_replayed" or not tokens:
        found.append((False, _say("checked.not_replayed", lang)))
    else:
        every = count_in(tokens, "same") == count_in(tokens, "of")
        # Where two tokens were equally likely, either of them is right.
        key = "same" if every else {"close": "close", "same": "tied"}.get(state, "differs")
        share = f"{100 * number_in(tokens, 'agreement'):.1f}".removesuffix(".0")
        facts = {
            "same": count(count_in(tokens, "same"), lang),
            "of": count(count_in(tokens, "of"), lang),
            "share": share,
        }
        found.append((right or every, _say(f"checked.{key}", lang, runtime=runtime, **facts)))
    reason = _spoken(mapping_in(replay, "reason"), lang)
    if reason:
        found.append((False, reason))
    if logits := mapping_in(replay, "logits"):
        difference, limit = number_in(logits, "difference"), number_in(logits, "limit")
        said = _say("checked.logits", lang, difference=f"{difference:.1e}", limit=f"{limit:.0e}")
        found.append((difference <= limit, said))
    if score := mapping_in(replay, "score"):
        inside, outside = number_in(score, "inside"), number_in(score, "outside")
        found.append((right, _say("checked.score", lang, inside=f"{inside:.3f}", outside=f"{outside:.3f}")))
    if template := mapping_in(replay, "template"):
        same, of = count_in(template, "same"), count_in(template, "of")
        found.append((same == of, _say("checked.template", lang, same=same, of=of)))
    return found + [(note.level == "info", _told(note, lang)) for note in _notes(made)]


def _spoken(reason: Receipt, lang: str) -> str:
    code = text_in(reason, "code")
    if not code:
        return ""
    said = spoken(code, dict(mapping_in(reason, "values")), lang)
    return f"{said.text} {said.hint}".strip()


def _told(note: Note, lang: str) -> str:
    said = spoken(note.code, note.values, lang)
    return f"{said.text} {said.hint}".strip()


def _notes(holder: Receipt) -> tuple[Note, ...]:
    return tuple(
        Note(
            code=text_in(each, "code"), values=dict(mapping_in(each, "values")),
            level=text_in(each, "level") or "warning",
        )
        for each in mappings_in(holder, "notes")
        if text_in(each, "code")
    )  # fmt: skip


def _once(notes: Sequence[Note]) -> tuple[Note, ...]:
    """The same sentence is in the events and in the receipt."""
    kept: list[Note] = []
    for note in notes:
        if not any(each.code == note.code and dict(each.values) == dict(note.values) for each in kept):
            kept.append(note)
    return tuple(kept)


# How it is used


def _commands(formats: Sequence[Receipt], lang: str) -> str:
    blocks = "".join(
        _command(text_in(each, "runtime"), text_in(each, "text"), made, lang)
        for made in formats
        for each in mappings_in(made, "commands")
        if text_in(each, "text")
    )
    return _fold(_said("commands.title", lang), blocks, open_=True)


def _command(runtime: str, text: str, made: Receipt, lang: str) -> str:
    kind = name_of(text_in(made, "format"), lang)
    copy = escape(say("train.copy", lang))
    return (
        f'<h5 class="tb-for">{escape(RUNTIMES.get(runtime, runtime))} · {escape(kind)}</h5><div class="command">'
        f'<pre tabindex="0">{escape(text)}</pre><span><button type="button" class="tb-button" data-do="copy">{copy}</button></span></div>'
    )


# Folded away


def _fold(title: str, inner: str, *, open_: bool = False) -> str:
    state = " open" if open_ else ""
    return f'<details class="tb-fold"{state}><summary>{title}</summary>{inner}</details>' if inner else ""


def _files(formats: Sequence[Receipt], lang: str) -> str:
    found = [each for made in formats for each in mappings_in(made, "files")]
    rows = "".join(
        f'<tr><th scope="row">{escape(text_in(each, "name"))}<div class="tb-sum">{escape(text_in(each, "sha256"))}</div></th>'
        f"<td>{size(count_in(each, 'bytes'))}</td></tr>"
        for each in found
    )
    if not rows:
        return ""
    total = size(sum(count_in(each, "bytes") for each in found))
    heads = "".join(f'<th scope="col">{_said(key, lang)}</th>' for key in ("files.name", "files.size"))
    table = (
        f'<div class="tb-scroll" tabindex="0"><table class="tb-table tb-files"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    return _fold(_said("files.title", lang, count=count(len(found), lang), size=total), table)


def _template(receipt: Receipt, lang: str) -> str:
    template = mapping_in(receipt, "template")
    stops = "".join(
        f"<code>{escape(text_in(each, 'text'))}</code> " for each in mappings_in(receipt, "stop_tokens")
    ) or _said("template.none", lang)
    parts = [f'<p class="tb-stops">{_said("template.stops", lang)}: {stops}</p>']
    if system := text_in(receipt, "system"):
        parts.append(f"<h4>{_said('prompts.system', lang)}</h4>{_text(system)}")
    if text := text_in(template, "text"):
        parts.append(f"<h4>{_said('template.chat', lang)}</h4>{_text(text)}")
    if text := text_in(template, "ollama"):
        parts.append(f"<h4>{_said('template.ollama', lang)}</h4>{_text(text)}")
    return _fold(_said("template.title", lang), "".join(parts))


def _text(text: str) -> str:
    return f'<pre class="tb-text" tabindex="0">{escape(text)}</pre>'


def _versions(receipt: Receipt, lang: str) -> str:
    versions = mapping_in(receipt, "versions")
    cells = "".join(
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(version) or '–')}</dd></div>"
        for name, version in versions.items()
    )
    return _fold(_said("versions", lang), f'<dl class="tb-numbers">{cells}</dl>' if cells else "")


class Receipts:
    """Draws the body of the run panel for exports of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def body(self, scene: Scene, lang: str) -> str:
        """The receipt of the export that the scene shows, or how far it is."""
        story = scene.story
        if isinstance(story.final, Finished):
            try:
                receipt = self._workspace.exports.receipt(scene.id)
            except (UserError, OSError):
                receipt = None
            if receipt is None:
                return none_html(True, story.notes, lang)
            return receipt_html(receipt, scene.id, story.notes, lang)
        if story.final is None and scene.state in LIVE:
            return working_html(facts_now(story, lang), story.notes, lang)
        return none_html(False, story.notes, lang)
