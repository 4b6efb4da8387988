"""A server without a page, for a test to kill: it submits one run, and works until its standard input ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    from trainer.config import RunConfig
    from trainer.jobs import launch
    from trainer.jobs.jobs import Jobs

    launch.settle_environment()
    jobs = Jobs(Path(sys.argv[1]))
    jobs.submit(RunConfig.from_flat(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))))
    sys.stdin.read()
    jobs.close()


if __name__ == "__main__":
    main()
