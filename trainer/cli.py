"""The command line: train, chat, options, env, version."""

from __future__ import annotations

import difflib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from trainer import __version__
from trainer.config import RunConfig
from trainer.errors import UserError, problems_of
from trainer.events import Event, EventLog, Failed, Finished, Note, Step
from trainer.flags import read_flags
from trainer.jobs import launch
from trainer.jobs.lines import line
from trainer.jobs.owner import claim, release
from trainer.jobs.place import (
    make_new,
    model_folder,
    open_folder,
    ready,
    require_usable,
    run_name,
    write_settings,
)
from trainer.jobs.work import Emit, Run, run_stage, work
from trainer.paths import RunFolder

DONE, FAILED, WRONG, STOPPED = 0, 1, 2, 130
# A run that logs every 500 steps still shows that it lives.
QUIET_S = 10.0

USAGE = """TuneBoard: fine-tune language models.

python -m trainer train FILE.yaml [name=value ...]     train; values go before those of the file
python -m trainer train --name value ...               the same without a file
python -m trainer chat --model_name_or_path M [--adapter_name_or_path A] [--compare] [--prompt TEXT]... [--json]
                       [--image FILE]... [--video FILE]...   shown with each prompt, or with the first question
python -m trainer data list [--json]                   the datasets of the data folder (--dataset_dir DIR: of another one)
python -m trainer data check NAME|FILE [--json]        every row looked at; what is wrong with which row
python -m trainer data preview NAME [name=value ...]   rows as a model sees them, trained text marked (--rows N, --page N)
python -m trainer data register FILE --name N [--map column=role]... [--tag tag=word]... [--table T]... [--repair R|all]...
python -m trainer data remove NAME
python -m trainer options [NAME]                       every option, or one explained (--markdown: as a document)
python -m trainer env                                  versions, device, memory
python -m trainer version
python app.py                                          the page, at http://127.0.0.1:7860

Exit status: 0 done, 1 the run failed or a row is defective, 2 wrong arguments, 130 stopped.
"""


def main(words: Sequence[str], run: Run = run_stage) -> int:
    """Runs one command and returns its exit status. `run` trains (tests put a quick one in its place)."""
    launch.settle_environment()
    command, rest = (words[0], list(words[1:])) if words else ("", [])
    commands: dict[str, Callable[[], int]] = {
        "train": lambda: train(rest, run),
        "chat": lambda: chat(rest),
        "data": lambda: data(rest),
        "options": lambda: show_options(rest),
        "env": show_machine,
        "version": show_version,
    }
    if command in ("", "help", "-h", "--help"):
        (sys.stdout if command else sys.stderr).write(USAGE)
        return DONE if command else WRONG
    if command == "--version":
        return show_version()
    if {"-h", "--help"} & set(rest) and command in commands:
        sys.stdout.write(USAGE)
        return DONE
    try:
        if command not in commands:
            near = difflib.get_close_matches(command, commands, n=1, cutoff=0.0)
            raise UserError("command_unknown", command=command, nearest=near[0])
        return commands[command]()
    except UserError as error:
        complain(error)
        return WRONG
    except KeyboardInterrupt:
        return STOPPED


def complain(error: UserError) -> None:
    """Every problem with its hint on stderr."""
    for problem in problems_of(error):
        print(f"error: {problem}", file=sys.stderr)


def train(words: Sequence[str], run: Run = run_stage) -> int:
    """One run in this process. Raises UserError for settings and folders that cannot be used."""
    if not words:
        raise UserError("train_what")
    config = RunConfig.from_flat({"hub": launch.default_hub(), **read_flags(words)})
    require_usable(config, Path.cwd())
    folder = _folder(config)
    claim(folder)
    try:
        settled = ready(config, folder, Path.cwd())
        write_settings(folder, config)
        print(f"run: {folder.path}", flush=True)
        for note in config.notes:
            _print(note)
        with _stop_on_signals(folder):
            ending = work(
                lambda emit, stop: run(settled, _told(emit), stop),
                EventLog(folder.events),
                folder.stop.exists,
            )
    finally:
        release(folder)
    if isinstance(ending, Failed):
        print(line(ending), file=sys.stderr)
        return FAILED
    _print(ending)
    return DONE if isinstance(ending, Finished) else STOPPED


def _folder(config: RunConfig) -> RunFolder:
    """The run's folder: as given, seen from the working directory, or a new one below saves/."""
    if config.train.output_dir.strip():
        return open_folder(Path(config.train.output_dir).expanduser().absolute(), config)
    parent = (
        Path.cwd() / "saves" / model_folder(config.model.model_name_or_path) / config.method.finetuning_type
    )
    return RunFolder(make_new(parent, run_name()))


def _told(emit: Emit) -> Emit:
    """`emit` that also prints: every event but the steps without news."""
    printed_at = 0.0

    def both(event: Event) -> None:
        nonlocal printed_at
        emit(event)
        quiet = isinstance(event, Step) and event.loss is None and time.monotonic() - printed_at < QUIET_S
        if not quiet:
            _print(event)
            printed_at = time.monotonic()

    return both


def _print(event: Event) -> None:
    warning = "warning: " if isinstance(event, Note) and event.level != "info" else ""
    print(f"{warning}{line(event)}", flush=True)


@contextmanager
def _stop_on_signals(folder: RunFolder) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks the run to end after its step, the second ends this process at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(STOPPED)
        asked = True
        folder.stop.touch()
        # print() must not be entered again from a handler that interrupted it.
        os.write(2, b"stopping after this step; once more ends at once\n")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def chat(words: Sequence[str]) -> int:
    """Answers prompts, or talks at the terminal. Raises UserError for what cannot be used."""
    prompts: list[str] = []
    shown: list[tuple[str, str]] = []
    switches: set[str] = set()
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in ("--prompt", "--image", "--video"):
            if not equals and not rest:
                raise UserError("prompt_missing" if name == "--prompt" else "chat_file_missing", flag=name)
            value = value if equals else rest.pop(0)
            if name == "--prompt":
                prompts.append(value)
            else:
                shown.append((name, value))
        elif word in ("--compare", "--json"):
            switches.add(word)
        else:
            others.append(word)
    config = RunConfig.from_flat({"hub": launch.default_hub(), **read_flags(others)})
    if not config.model.model_name_or_path:
        raise UserError("no_model", field="model_name_or_path")
    from trainer.chat.attached import attach
    from trainer.chat.terminal import run_chat

    media = [
        attach(Path(file).expanduser(), "video" if name == "--video" else "image") for name, file in shown
    ]
    return run_chat(
        config, prompts, media=media, compare="--compare" in switches, as_json="--json" in switches
    )


def data(words: Sequence[str]) -> int:
    """Datasets listed, checked, shown, registered, removed. Raises UserError for what cannot be done."""
    from trainer.data_command import run_data

    return run_data(words)


def show_options(words: Sequence[str]) -> int:
    """The options as a table, as a document, or those named, explained."""
    from trainer import manual

    if list(words) == ["--markdown"]:
        sys.stdout.write(manual.markdown())
    elif words:
        sys.stdout.write("\n".join(manual.explain(word) for word in words))
    else:
        sys.stdout.write(manual.table())
    return DONE


def show_machine() -> int:
    """What a report of a defect should say."""
    from trainer import machine

    sys.stdout.write(machine.report())
    return DONE


def show_version() -> int:
    """The version of this program."""
    print(__version__)
    return DONE
