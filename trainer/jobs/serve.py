"""Where the page is served: the flags of app.py, checked before anything heavy is loaded."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.dataset.ingest.archive import Limits
from trainer.errors import UserError
from trainer.jobs import launch

if TYPE_CHECKING:
    from trainer.evaluate.judge import Judge

PORT = 7860


@dataclass(frozen=True)
class Address:
    """What app.py was told; `auth` is a name and a password."""

    host: str
    port: int
    workspace: Path
    auth: tuple[str, str] | None
    trust_remote_code: bool
    limits: Limits = Limits()
    judge: Judge | None = None

    @property
    def url(self) -> str:
        """The page as seen from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def read_address(words: Sequence[str]) -> Address:
    """The address for the flags `words`. Raises UserError when it cannot or must not be served; SystemExit for wrong flags."""
    parser = argparse.ArgumentParser(
        prog="app.py", description="TuneBoard: fine-tune language models in the browser."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to serve (this machine only)")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to serve ({PORT})")
    parser.add_argument(
        "--workspace", type=Path, default=Path(), help="folder that holds saves/ (the working directory)"
    )
    parser.add_argument(
        "--auth", default="", metavar="USER:PASSWORD", help="login, needed on any other address"
    )
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run Python code that comes with models"
    )
    _add_limits(parser)
    _add_judge(parser)
    given = parser.parse_args(words)
    limits = Limits(int(given.max_upload_gb * (1 << 30)), given.max_media_files, given.max_megapixels)
    address = Address(
        given.host, given.port, given.workspace, _login(given.auth), given.trust_remote_code, limits,
        launch.read_judge(given.judge_url, given.judge_model),
    )  # fmt: skip
    if not address.auth and not is_loopback(address.host):
        raise UserError("host_needs_login", host=address.host, port=address.port)
    check_port(address.host, address.port)
    return address


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """What may be uploaded; pictures of more megapixels than the default are not read in training either."""
    least = Limits()

    def number(most: float) -> Callable[[str], float]:
        def read(text: str) -> float:
            value = float(text)
            if not 0 < value <= most:
                raise argparse.ArgumentTypeError(f"it takes a number above 0, at most {most:g}")
            return value

        return read

    parser.add_argument(
        "--max-upload-gb", type=number(1024), default=least.file_bytes / (1 << 30), metavar="GIB",
        help="size of an uploaded file in GiB (2)",
    )  # fmt: skip
    parser.add_argument(
        "--max-media-files", type=lambda text: int(number(10_000_000)(text)), default=least.media_files, metavar="N",
        help="pictures and videos of an uploaded zip (20000)",
    )  # fmt: skip
    parser.add_argument(
        "--max-megapixels", type=number(least.megapixels), default=least.megapixels, metavar="N",
        help="size of an uploaded picture, at most and by default 50",
    )  # fmt: skip


def _add_judge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--judge-url", default="", metavar="URL",
        help=f"OpenAI-compatible service that evaluations may ask, ending with /v1 (its key: {launch.JUDGE_KEY})",
    )  # fmt: skip
    parser.add_argument("--judge-model", default="", metavar="NAME", help="the model that it is asked for")


def _login(text: str) -> tuple[str, str] | None:
    name, _, password = text.partition(":")
    if text and not (name and password):
        raise UserError("auth_form")
    return (name, password) if text else None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_port(host: str, port: int) -> None:
    """Raises UserError with the next free port when this one cannot be listened on."""
    # The resolver takes a number that is too large modulo 65536.
    if not 0 < port < 65536:
        raise UserError("port_refused", port=port, reason="ports go from 1 to 65535", free=PORT)
    try:
        _listen(host, port)
    except (socket.gaierror, UnicodeError) as error:
        raise UserError(
            "host_unknown", host=host, reason=getattr(error, "strerror", None) or str(error)
        ) from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError("host_unknown", host=host, reason=error.strerror or str(error)) from None
        code = "port_taken" if error.errno == errno.EADDRINUSE else "port_refused"
        reason = error.strerror or str(error)
        raise UserError(code, port=port, reason=reason, free=_next_free(host, max(port + 1, 1024))) from None


def _listen(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as trial:
        # As the server does: a port whose last connections are still fading away can be used.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)


def _next_free(host: str, first: int) -> int:
    for port in range(first, 65536):
        try:
            _listen(host, port)
        except OSError:
            continue
        return port
    return PORT


def is_served(url: str) -> bool:
    """Whether the page answers; a login form is an answer, too."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
