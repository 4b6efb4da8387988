"""The Chat tab: load base, a checkpoint, or both; one message, answered side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from trainer.chat.request import Request
from trainer.errors import UserError
from trainer.jobs.workspace import Workspace
from trainer.options import options
from trainer.values import checked
from webui import controls
from webui.chat_status import Status, status_html, taken_mb
from webui.i18n import say
from webui.live import QUIET, chosen_run
from webui.partner import TOP, Partner, Top, choices, partner, value_of
from webui.tabs import top as bar
from webui.talk import Talk, talk_html

# An answer is drawn at most this often, whatever the model's speed.
DRAW_S = 0.1
SETTINGS = tuple(name for name, info in options().items() if info.panel == "chat")

# The buttons below the columns and in the status line. Copying needs no server; plain http has no clipboard of its own.
SCRIPT = """
const copy = async (text) => {
  try { await navigator.clipboard.writeText(text); } catch {
    const area = document.createElement('textarea');
    area.value = text; document.body.append(area); area.select(); document.execCommand('copy'); area.remove();
  }
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-act]');
  if (!button || button.getAttribute('aria-disabled') === 'true') return;
  const { act, busy } = button.dataset;
  const before = button.textContent;
  if (busy) button.textContent = busy;
  if (act === 'copy') {
    copy(button.dataset.copy);
    setTimeout(() => { if (button.textContent === busy) button.textContent = before; }, 1500);
    return;
  }
  trigger({ stop: 'stop', retry: 'retry', clear: 'clear', unload: 'click' }[act], { act });
});
element.addEventListener('scroll', (event) => {
  const box = event.target;
  box.tbAway = box.scrollHeight - box.clientHeight - box.scrollTop > 40;
}, true);
watch('value', () => {
  for (const box of element.querySelectorAll('.tb-talk')) if (!box.tbAway) box.scrollTop = box.scrollHeight;
});
"""


class ChatTab:
    """Built once, inside its tab. `open_run` listens to buttons that say "Chat with it"."""

    def __init__(self, workspace: Workspace, top: bar.Top) -> None:
        self._workspace = workspace
        self._language = top.language
        self._top = top.inputs()
        with gr.Row(elem_id="chat-choose"):
            self.whom = gr.Dropdown(
                choices(workspace.jobs, "en")[:1], value=TOP, label=say("chat.run.label"), info=say("chat.run.help"),
                elem_id="say-chat-run", interactive=True, scale=3, min_width=240,
            )  # fmt: skip
            self.mode = gr.Radio(
                [(say(f"chat.mode.{mode}"), mode) for mode in ("base", "tuned", "compare")], value="base",
                label=say("chat.mode.label"), elem_id="say-chat-mode", interactive=True, scale=3, min_width=240,
            )  # fmt: skip
            self._load = gr.Button(
                say("chat.load"), variant="primary", elem_id="say-chat-load", scale=0, min_width=110
            )
        self.status = gr.HTML(elem_id="chat-status", apply_default_css=False, js_on_load=SCRIPT)
        self.talk = gr.State(Talk())
        self.columns = gr.HTML(elem_id="chat-columns", apply_default_css=False, js_on_load=SCRIPT)
        with gr.Row(elem_id="chat-write"):
            self.message = gr.Textbox(
                label=say("chat.message.label"), placeholder=say("chat.message.placeholder"), elem_id="say-chat-message",
                lines=1, max_lines=8, show_label=False, container=False, interactive=True, scale=8, autofocus=False,
            )  # fmt: skip
            self._send = gr.Button(
                say("chat.send"), variant="primary", elem_id="say-chat-send", scale=0, min_width=90
            )
        with (
            gr.Accordion(say("chat.settings"), open=False, elem_id="say-chat-settings"),
            gr.Row(elem_classes="fields"),
        ):
            self._settings = [controls.make(options()[name]) for name in SETTINGS]
            self._seed = controls.make(
                options()["seed"], "", label=say("chat.seed.label"), info=say("chat.seed.help"),
                elem_id="say-chat-seed",
            )  # fmt: skip
        self._listen()

    def attach(self, loaded: Callable[..., Any], shown: Callable[..., Any]) -> None:
        """Draws the tab when the page is loaded and whenever the tab is opened."""
        for event in (loaded, shown, self._language.change):
            event(self._refresh, [self.talk, self._language], [self.whom, self.status, self.columns], **QUIET)

    def open_run(self, event: Callable[..., Any], tabs: gr.Tabs) -> None:
        """Whenever `event` names a run, opens this tab and loads that run, tuned beside base."""
        outputs = [self.whom, self.mode, self.status, self.talk, self.columns]
        event(lambda: gr.Tabs(selected="chat"), None, tabs, **QUIET)
        event(self._open_run, [self._language, *self._top], outputs, **QUIET)

    def _listen(self) -> None:
        asked = [self.talk, self._language, *self._settings, self._seed]
        answered = [self.talk, self.columns, self.message, self.status]
        loads = [self.whom, self.mode, self.talk, self._language, *self._top]
        self._load.click(self._do_load, loads, [self.status, self.talk, self.columns], **QUIET)
        self.status.click(self._unload, [self.talk, self._language], [self.status, self.columns], **QUIET)
        self.whom.focus(self._choices, [self._language], [self.whom], **QUIET)
        self.whom.input(self._suit, [self.whom, self.mode], [self.mode], **QUIET)
        gr.on([self.message.submit, self._send.click], self._ask, [self.message, *asked], answered, **QUIET)
        self.columns.retry(self._retry, asked, answered, **QUIET)
        self.columns.stop(self._stop, None, None, **QUIET)
        self.columns.clear(self._clear, [self._language], [self.talk, self.columns], **QUIET)

    # What is shown

    def _refresh(self, talk: Talk, lang: str) -> list[Any]:
        return [self._choices(lang), self._status(lang), self._drawn(talk, lang)]

    def _choices(self, lang: str) -> Any:
        return gr.update(choices=choices(self._workspace.jobs, lang))

    def _sides(self) -> dict[str, str]:
        loaded = self._workspace.chat.loaded
        if loaded is None:
            return {}
        tuned = " + ".join(_short(each) for each in loaded.checkpoints) or loaded.model
        return {side: tuned if side == "tuned" else loaded.model for side in loaded.sides}

    def _drawn(self, talk: Talk, lang: str, *, busy: bool = False) -> str:
        # A drawing after a press must differ from the one before it, or the page would not put its buttons right.
        return talk_html(talk, self._sides(), lang, busy=busy, acts=time.monotonic_ns() // 1_000_000)

    def _status(self, lang: str, **more: Any) -> str:
        chat = self._workspace.chat
        on = self._workspace.jobs.current() is not None
        return status_html(Status(chat.state, chat.loaded, on, taken_mb(), **more), lang)

    # Loading

    def _suit(self, whom: str, mode: str) -> Any:
        """A run is compared with its base unless the person has said otherwise."""
        return "compare" if whom != TOP and mode == "base" else gr.skip()

    def _open_run(self, event: gr.EventData, lang: str, *top: Any) -> Iterator[list[Any]]:
        run = chosen_run(self._workspace.jobs, event)
        try:
            whom = value_of(self._workspace.jobs.get(run))
        except UserError as error:
            yield [
                gr.skip(),
                gr.skip(),
                self._status(lang, problem=error),
                gr.skip(),
                gr.skip(),
            ]
            return
        menu = gr.update(choices=choices(self._workspace.jobs, lang), value=whom)
        first = [menu, "compare"]
        for status, talk, columns in self._do_load(whom, "compare", Talk(), lang, *top):
            yield [*first, status, talk, columns]
            first = [gr.skip(), gr.skip()]

    def _do_load(self, whom: str, mode: str, talk: Talk, lang: str, *top: Any) -> Iterator[list[Any]]:
        chat = self._workspace.chat
        try:
            wanted: Partner = partner(self._workspace.jobs, whom, Top(*top))
            yield [self._status(lang, loading=wanted.name), gr.skip(), gr.skip()]
            chat.load(
                wanted.model, wanted.checkpoints if mode != "base" else (), _mode(mode), template=wanted.template,
                hub=wanted.hub, trust_remote_code=self._workspace.trust_remote_code,
            )  # fmt: skip
        except UserError as error:
            yield [self._status(lang, problem=error), gr.skip(), self._drawn(talk, lang)]
            return
        yield [self._status(lang), Talk(), self._drawn(Talk(), lang)]

    def _unload(self, talk: Talk, lang: str) -> list[Any]:
        before = taken_mb()
        try:
            self._workspace.chat.unload()
        except UserError as error:
            return [self._status(lang, problem=error), gr.skip()]
        return [self._status(lang, freed_mb=max(0.0, before - taken_mb())), self._drawn(talk, lang)]

    # Talking

    def _ask(
        self, page: gr.Request, question: str, talk: Talk, lang: str, *settings: Any
    ) -> Iterator[list[Any]]:
        before = talk
        try:
            asked = _request(question, talk, settings, str(page.session_hash))
            talk = talk.asked(question, list(self._sides()))
            # The question is on the page at once: the answer may have to wait for another page's.
            yield [talk, self._drawn(talk, lang, busy=True), "", gr.skip()]
            drawn_at = time.monotonic()
            for chunk in self._workspace.chat.stream(asked):
                talk = talk.heard(chunk)
                if time.monotonic() - drawn_at >= DRAW_S:
                    drawn_at = time.monotonic()
                    yield [talk, self._drawn(talk, lang, busy=True), gr.skip(), gr.skip()]
        except UserError as error:
            silent = not any(answers and answers[-1].tokens for answers in talk.said.values())
            kept, text = (before, question) if silent else (talk, gr.skip())
            yield [kept, self._drawn(kept, lang), text, self._status(lang, problem=error)]
            return
        yield [talk, self._drawn(talk, lang), gr.skip(), self._status(lang)]

    def _retry(self, page: gr.Request, talk: Talk, lang: str, *settings: Any) -> Iterator[list[Any]]:
        if talk.questions:
            yield from self._ask(page, talk.questions[-1], talk.without_last(), lang, *settings)

    def _stop(self, page: gr.Request) -> None:
        self._workspace.chat.stop(str(page.session_hash))

    def _clear(self, lang: str) -> list[Any]:
        return [Talk(), self._drawn(Talk(), lang)]


def _short(path: str) -> str:
    """The last part of a run's folder; of a checkpoint the run's name, too."""
    parts = path.rstrip("/").split("/")
    return "/".join(parts[-2:]) if parts[-1].startswith("checkpoint-") else parts[-1]


def _mode(mode: str) -> Any:
    return mode if mode in ("base", "tuned", "compare") else "base"


def _request(question: str, talk: Talk, settings: Sequence[Any], owner: str) -> Request:
    """The request for a message. Raises UserError when it is empty or a setting cannot be used."""
    if not question.strip():
        raise UserError("chat_no_question")
    *values, seed = settings
    read = {name: checked(options()[name], value) for name, value in zip(SETTINGS, values, strict=True)}
    number = None if seed in (None, "") else checked(options()["seed"], seed)
    return Request(question=question, histories=talk.histories(), seed=number, owner=owner, **read)
