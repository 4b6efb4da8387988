"""The Chat tab: load base, a checkpoint, or both; one message, answered side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from trainer.errors import UserError
from trainer.jobs.workspace import Workspace
from trainer.options import options
from webui import controls, exported
from webui.chat_request import SETTINGS, request, sides_of
from webui.chat_status import Standing, Status, status_html, taken_mb
from webui.evaluate_sent import sent_row
from webui.held import Held
from webui.i18n import say
from webui.live import ALONE, QUIET, act_of, chosen_run
from webui.partner import TOP, Top, choices, short_name, value_of
from webui.pictures import Tray, Uploads, receive, recounted, refused, tray_html
from webui.tabs import top as bar
from webui.talk import Talk, talk_html
from webui.theme import HERE

# An answer is drawn at most this often, whatever the model's speed.
DRAW_S = 0.1
# What stands after the last press; drawing the tab anew must not take it away.
Told = Held[Standing]
SCRIPT = (HERE / "chat.js").read_text(encoding="utf-8")
TRAY = (HERE / "chat_tray.js").read_text(encoding="utf-8")


class ChatTab:
    """Built once, inside its tab. `open_run` listens to buttons that say "Chat with it"."""

    def __init__(self, workspace: Workspace, top: bar.Top) -> None:
        self._workspace = workspace
        self._uploads = Uploads()
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
            self.path = gr.Textbox(
                "", label=say("chat.path.label"), info=say("chat.path.help"), placeholder=say("chat.path.placeholder"),
                elem_id="say-chat-path", max_lines=1, visible=False, interactive=True,
            )  # fmt: skip
        self.status = gr.HTML(elem_id="chat-status", apply_default_css=False, js_on_load=SCRIPT)
        # A page that has been closed for an hour takes its pictures along.
        self.talk = gr.State(Talk(), delete_callback=lambda talk: self._uploads.drop(talk.pictures))
        self.tray = gr.State(Tray(), delete_callback=lambda tray: self._uploads.drop(tray.pictures))
        self._told = gr.State(Held(Standing()))
        self.columns = gr.HTML(elem_id="chat-columns", apply_default_css=False, js_on_load=SCRIPT)
        self.pictures = gr.HTML(elem_id="chat-tray", apply_default_css=False, js_on_load=TRAY)
        self._dropped = gr.File(visible=False, file_count="multiple")
        with gr.Row(elem_id="chat-write"):
            self.message = gr.Textbox(
                "", label=say("chat.message.label"), placeholder=say("chat.message.placeholder"), elem_id="say-chat-message",
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
        drawn = [self.whom, self.status, self.columns, self.pictures]
        for event in (loaded, shown, self._language.change):
            event(self._refresh, self._kept, drawn, **QUIET)

    def open_run(self, event: Callable[..., Any], tabs: gr.Tabs) -> None:
        """Whenever `event` names a run, opens this tab and loads that run, tuned beside base."""
        outputs = [self.whom, self.mode, *self._loaded]
        event(lambda: gr.Tabs(selected="chat"), None, tabs, **QUIET)
        event(self._opener(self._run_of), [*self._kept, *self._top], outputs, **QUIET)

    def open_export(self, event: Callable[..., Any], tabs: gr.Tabs) -> None:
        """Whenever `event` says "chat" of a format of an export, opens this tab and loads it beside its base."""
        outputs = [self.whom, self.mode, *self._loaded]
        event(_to_chat, None, tabs, **QUIET)
        event(self._opener(self._export_of), [*self._kept, *self._top], outputs, **QUIET)

    def open_row(self, event: Callable[..., Any], held: gr.State, tabs: gr.Tabs) -> None:
        """Whenever `event` names a row of an evaluation, loads what was tested and puts the row's question into the box."""
        outputs = [self.whom, self.mode, *self._loaded, self.message]
        event(lambda: gr.Tabs(selected="chat"), None, tabs, **QUIET)
        event(self._open_row, [held, *self._kept, *self._top], outputs, **QUIET)

    @property
    def _kept(self) -> list[Any]:
        """What the page remembers, and its language: every handler takes them."""
        return [self.talk, self.tray, self._told, self._language]

    @property
    def _loaded(self) -> list[Any]:
        return [self.status, self.talk, self.columns, self.tray, self.pictures]

    def _listen(self) -> None:
        kept = self._kept
        asked = [*kept, *self._settings, self._seed]
        answered = [self.talk, self.columns, self.message, self.status, self.tray, self.pictures]
        loads = [self.whom, self.path, self.mode, *kept, *self._top]
        self._load.click(self._do_load, loads, self._loaded, **QUIET)
        drawn = [self.status, self.columns, self.pictures]
        self.status.click(self._unload, kept, drawn, **QUIET)
        self.status.load(self._again, kept, drawn, **ALONE)
        self.pictures.upload(
            self._receive, [self._dropped, *kept], [self.tray, self.pictures],
            js="(_, ...given) => [window.tuneboardTray.taken(), ...given]", **QUIET,
        )  # fmt: skip
        self.pictures.click(self._press, kept, [self.tray, self.pictures], **QUIET)
        self.whom.focus(self._choices, [self._language], [self.whom], trigger_mode="always_last", **QUIET)
        self.whom.input(None, [self.whom, self.mode], self.mode, js=exported.SUITED, trigger_mode="multiple")
        self.whom.input(_is_typed, self.whom, self.path, trigger_mode="always_last", **QUIET)
        self.path.submit(self._do_load, loads, self._loaded, **QUIET)
        gr.on([self.message.submit, self._send.click], self._ask, [self.message, *asked], answered, **QUIET)
        self.columns.retry(self._retry, asked, answered, **QUIET)
        self.columns.stop(self._stop, None, None, **QUIET)
        self.columns.clear(self._clear, kept, [self.talk, self.columns, self.pictures], **QUIET)

    # What is shown

    def _refresh(self, talk: Talk, tray: Tray, told: Told, lang: str) -> list[Any]:
        """The tab as it is. It is no press: a problem that stands beside it goes on standing."""
        with told.turn:
            return [self._choices(lang), *self._again(talk, tray, told, lang)]

    def _again(self, talk: Talk, tray: Tray, told: Told, lang: str) -> list[Any]:
        with told.turn:
            if self._workspace.chat.state != "loading":
                told.value = Standing(told.value.problem)
            return [self._line(told, lang), self._drawn(talk, lang), self._drawn_tray(tray, talk, lang)]

    def _choices(self, lang: str) -> Any:
        return gr.update(choices=self._menu(lang))

    def _menu(self, lang: str) -> list[tuple[str, str]]:
        return [*choices(self._workspace.jobs, lang), *exported.choices(self._workspace.exports, lang)]

    def _sides(self) -> dict[str, str]:
        loaded = self._workspace.chat.loaded
        if loaded is None:
            return {}
        tuned = " + ".join(short_name(each) for each in loaded.checkpoints) or short_name(loaded.model)
        return {side: tuned if side == "tuned" else short_name(loaded.model) for side in loaded.sides}

    def _drawn(self, talk: Talk, lang: str, *, busy: bool = False) -> str:
        # A drawing after a press must differ from the one before it, or the page would not put its buttons right.
        return talk_html(talk, self._sides(), lang, busy=busy, acts=time.monotonic_ns() // 1_000_000)

    def _drawn_tray(self, tray: Tray, talk: Talk, lang: str) -> str:
        loaded = self._workspace.chat.loaded
        limit, acts = self._workspace.shelf.limits.file_bytes, time.monotonic_ns() // 1_000_000
        return tray_html(
            tray, talk.pictures, loaded.sees if loaded else None, lang, limit=limit, acts=acts
        )  # fmt: skip

    def _status(
        self, told: Told, lang: str, problem: UserError | None = None, loading: str = "", **more: Any
    ) -> str:
        """The line after a press; what it says of a problem stands until the next one."""
        with told.turn:
            told.value = Standing(problem, loading)
            return self._line(told, lang, **more)

    def _line(self, told: Told, lang: str, **more: Any) -> str:
        chat, standing = self._workspace.chat, told.value
        on = self._workspace.jobs.current() is not None
        return status_html(Status(chat.state, chat.loaded, on, taken_mb(), standing, **more), lang)

    # Loading

    def _opener(self, find: Callable[[gr.EventData], str | None]) -> Callable[..., Iterator[list[Any]]]:
        """A handler that loads what an event names: `find` gives the value of the menu, None when it names nothing."""
        still = [gr.skip()] * 4

        def opened(
            event: gr.EventData, talk: Talk, tray: Tray, told: Told, lang: str, *top: Any
        ) -> Iterator[list[Any]]:
            try:
                whom = find(event)
            except UserError as error:
                yield [gr.skip(), gr.skip(), self._status(told, lang, problem=error), *still]
                return
            if whom is not None:
                yield from self._load_chosen(whom, talk, tray, told, lang, *top)
            else:  # a generator that yields nothing would empty what it could have filled
                yield [gr.skip()] * 7

        return opened

    def _run_of(self, event: gr.EventData) -> str:
        return value_of(self._workspace.jobs.get(chosen_run(self._workspace.jobs, event)))

    def _export_of(self, event: gr.EventData) -> str | None:
        chosen = exported.chosen(event._data)
        return None if chosen is None else exported.value_of(self._workspace.exports, *chosen)

    def _load_chosen(
        self, whom: str, talk: Talk, tray: Tray, told: Told, lang: str, *top: Any
    ) -> Iterator[list[Any]]:
        """Loads a value of the menu beside its base, and shows it in the menu."""
        first = [gr.update(choices=self._menu(lang), value=whom), "compare"]
        for drawn in self._do_load(whom, "", "compare", talk, tray, told, lang, *top):
            yield [*first, *drawn]
            first = [gr.skip(), gr.skip()]

    def _open_row(
        self, page: gr.Request, event: gr.EventData, held: Any, talk: Talk, tray: Tray, told: Told, lang: str,
        *top: Any,
    ) -> Iterator[list[Any]]:  # fmt: skip
        try:
            sent = sent_row(self._workspace, held.value.browse.run, act_of(event)[1])
            whom, mode = sent.whom, "compare" if sent.whom != TOP else "base"
            tray = receive(tray, self._uploads, self._workspace.chat, str(page.session_hash), sent.copies)
        except UserError as error:
            yield [gr.skip(), gr.skip(), self._status(told, lang, problem=error), *[gr.skip()] * 5]
            return
        first = [gr.update(choices=self._menu(lang), value=whom), mode]
        for drawn in self._do_load(whom, "", mode, talk, tray, told, lang, *top):
            yield [*first, *drawn, sent.question]
            first = [gr.skip(), gr.skip()]

    def _do_load(
        self, whom: str, path: str, mode: str, talk: Talk, tray: Tray, told: Told, lang: str, *top: Any
    ) -> Iterator[list[Any]]:
        chat = self._workspace.chat
        try:
            wanted = exported.anyone(self._workspace, whom, path, Top(*top))
            yield [self._status(told, lang, loading=wanted.name), *[gr.skip()] * 4]
            chat.load(
                wanted.model, wanted.checkpoints if mode != "base" else (), sides_of(mode), template=wanted.template,
                hub=wanted.hub, trust_remote_code=self._workspace.trust_remote_code, data=wanted.data,
            )  # fmt: skip
        except UserError as error:
            drawn = self._drawn_tray(tray, talk, lang)
            yield [
                self._status(told, lang, problem=error),
                gr.skip(),
                self._drawn(talk, lang),
                gr.skip(),
                drawn,
            ]
            return
        self._uploads.drop(talk.pictures)
        talk, tray = Talk(), recounted(chat, tray)
        drawn = self._drawn_tray(tray, talk, lang)
        yield [self._status(told, lang), talk, self._drawn(talk, lang), tray, drawn]

    def _unload(self, talk: Talk, tray: Tray, told: Told, lang: str) -> list[Any]:
        before = taken_mb()
        try:
            self._workspace.chat.unload()
        except UserError as error:
            return [self._status(told, lang, problem=error), gr.skip(), gr.skip()]
        status = self._status(told, lang, freed_mb=max(0.0, before - taken_mb()))
        return [status, self._drawn(talk, lang), self._drawn_tray(tray, talk, lang)]

    # Pictures

    def _receive(
        self, page: gr.Request, paths: list[str] | None, talk: Talk, tray: Tray, told: Told, lang: str
    ) -> list[Any]:
        files = [Path(path) for path in paths or ()]
        tray = receive(tray, self._uploads, self._workspace.chat, str(page.session_hash), files)
        return [tray, self._drawn_tray(tray, talk, lang)]

    def _press(self, event: gr.EventData, talk: Talk, tray: Tray, told: Told, lang: str) -> list[Any]:
        data = event._data if isinstance(event._data, dict) else {}
        if data.get("act") == "blind":
            tray = refused(tray)
        else:
            kept = tray.without(str(data.get("id")))
            self._uploads.drop(each for each in tray.pictures if each not in kept.pictures)
            tray = kept
        return [tray, self._drawn_tray(tray, talk, lang)]

    # Talking

    def _ask(
        self, page: gr.Request, question: str, talk: Talk, tray: Tray, told: Told, lang: str, *settings: Any
    ) -> Iterator[list[Any]]:
        before, pictures = talk, tray.pictures
        still = [gr.skip(), gr.skip()]
        try:
            asked = request(question, tray, talk, settings, str(page.session_hash))
            talk = talk.asked(question, list(self._sides()), pictures)
            # The question is on the page at once: the answer may have to wait for another page's.
            empty = [Tray(), self._drawn_tray(Tray(), talk, lang)]
            yield [talk, self._drawn(talk, lang, busy=True), "", gr.skip(), *empty]
            drawn_at = time.monotonic()
            for chunk in self._workspace.chat.stream(asked):
                talk = talk.heard(chunk)
                if time.monotonic() - drawn_at >= DRAW_S:
                    drawn_at = time.monotonic()
                    yield [talk, self._drawn(talk, lang, busy=True), gr.skip(), gr.skip(), *still]
        except UserError as error:
            silent = not any(answers and answers[-1].tokens for answers in talk.said.values())
            kept, text = (before, question) if silent else (talk, gr.skip())
            back = [tray, self._drawn_tray(tray, before, lang)] if silent else still
            yield [kept, self._drawn(kept, lang), text, self._status(told, lang, problem=error), *back]
            return
        yield [talk, self._drawn(talk, lang), gr.skip(), self._status(told, lang), *still]

    def _retry(
        self, page: gr.Request, talk: Talk, tray: Tray, told: Told, lang: str, *settings: Any
    ) -> Iterator[list[Any]]:
        if not talk.questions:
            return
        again, waits = Tray(talk.shown[-1]), len(tray.pictures) > 0
        for drawn in self._ask(page, talk.questions[-1], talk.without_last(), again, told, lang, *settings):
            # What waits to be sent with the next message stays.
            yield [*drawn[:4], gr.skip(), gr.skip()] if waits else drawn

    def _stop(self, page: gr.Request) -> None:
        self._workspace.chat.stop(str(page.session_hash))

    def _clear(self, talk: Talk, tray: Tray, told: Told, lang: str) -> list[Any]:
        self._uploads.drop(talk.pictures)
        return [Talk(), self._drawn(Talk(), lang), self._drawn_tray(tray, Talk(), lang)]


def _is_typed(whom: str) -> Any:
    return gr.update(visible=whom == exported.TYPED)


def _to_chat(event: gr.EventData) -> Any:
    return gr.Tabs(selected="chat") if exported.chosen(event._data) else gr.skip()
