"""The command line: train, check, eval, export, chat, data, options, env, version."""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer import __version__
from trainer.config import RunConfig
from trainer.errors import UserError, problems_of
from trainer.flags import read_flags
from trainer.jobs import launch
from trainer.jobs.work import Run, run_stage
from trainer.terminal import DONE, STOPPED, WRONG, perform

USAGE = """TuneBoard: fine-tune language models.

python -m trainer train FILE.yaml [name=value ...]     train; values go before those of the file
python -m trainer train --name value ...               the same without a file
python -m trainer fit FILE.yaml [name=value ...] [--json]    the memory that this training would need, and what is free
python -m trainer check FILE.yaml [name=value ...] [--json]   what a file comes to, what is renamed, harmless or refused; trains nothing
python -m trainer eval FILE.yaml [name=value ...] [--json]   answers the rows of eval_dataset, base beside tuned, and scores them
                       [--judge-url URL --judge-model M]   another model says, too, which answer is better (key: TUNEBOARD_JUDGE_KEY)
python -m trainer export FILE.yaml|--model_name_or_path M --adapter_name_or_path A [name=value ...] [--json]
                       writes export_format=adapter,merged,gguf,ollama,quantized and proves what it has written
python -m trainer chat --model_name_or_path M [--adapter_name_or_path A] [--compare] [--prompt TEXT]... [--json]
                       [--image FILE]... [--video FILE]...   shown with each prompt, or with the first question
python -m trainer data list [--json]                   the datasets of the data folder (--dataset_dir DIR: of another one)
python -m trainer data check NAME|FILE [--json]        every row looked at; what is wrong with which row
python -m trainer data preview NAME [name=value ...]   rows as a model sees them, trained text marked (--rows N, --page N)
python -m trainer data register FILE --name N [--map column=role]... [--tag tag=word]... [--table T]... [--repair R|all]...
python -m trainer data remove NAME
python -m trainer score FILE.jsonl [--kind K] [--json] predictions made elsewhere: fields predict and label, base if there is one
python -m trainer options [NAME]                       every option, or one explained (--markdown: as a document)
python -m trainer env                                  versions, device, memory
python -m trainer version
python app.py                                          the page, at http://127.0.0.1:7860

Exit status: 0 done, 1 the run failed, or a row or a setting is defective, 2 wrong arguments, 130 stopped.
"""


def main(words: Sequence[str], run: Run = run_stage) -> int:
    """Runs one command and returns its exit status. `run` trains (tests put a quick one in its place)."""
    launch.settle_environment()
    command, rest = (words[0], list(words[1:])) if words else ("", [])
    commands: dict[str, Callable[[], int]] = {
        "train": lambda: train(rest, run),
        "fit": lambda: fit(rest),
        "check": lambda: check(rest),
        "eval": lambda: evaluate(rest, run),
        "export": lambda: export(rest, run),
        "chat": lambda: chat(rest),
        "data": lambda: data(rest),
        "score": lambda: score(rest),
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
    if config.task == "export":
        raise UserError("train_is_export", words=shlex.join(words))
    return perform(config, run)


def fit(words: Sequence[str]) -> int:
    """Whether a training fits into this machine's memory. Raises UserError for settings that cannot be used."""
    from trainer.fit_command import run_fit

    return run_fit(words)


def check(words: Sequence[str]) -> int:
    """What a file of settings comes to. Raises UserError for wrong arguments."""
    from trainer.check_command import run_check

    return run_check(words)


def evaluate(words: Sequence[str], run: Run = run_stage) -> int:
    """One evaluation in this process, and its table. Raises UserError as `train` does."""
    from trainer.eval_command import run_eval_command

    return run_eval_command(words, run)


def export(words: Sequence[str], run: Run = run_stage) -> int:
    """One export in this process, and its receipt. Raises UserError as `train` does."""
    from trainer.export_command import run_export_command

    return run_export_command(words, run)


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
    from trainer.chat.exports import with_base

    config = with_base(RunConfig.from_flat({"hub": launch.default_hub(), **read_flags(others)}))
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


def score(words: Sequence[str]) -> int:
    """Predictions of a file scored. Raises UserError for wrong arguments and for a file that cannot be read."""
    from trainer.score_command import run_score

    return run_score(words)


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
