"""Start the page: python app.py [--host H] [--port P] [--workspace DIR] [--auth USER:PASSWORD] ... (--help: all flags)"""

import signal
import sys

from trainer.errors import UserError
from trainer.jobs import launch
from trainer.jobs.serve import is_served, read_address


def main() -> int:
    """Serves the page until Ctrl-C or SIGTERM; a run that is on then keeps its checkpoint."""
    launch.settle_environment()
    try:
        address = read_address(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    import webui
    from trainer.jobs.workspace import Workspace

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    trust, limits = address.trust_remote_code, address.limits
    workspace = Workspace(address.workspace, trust_remote_code=trust, limits=limits, judge=address.judge)
    launch.warm_up_after(lambda: is_served(address.url), f"TuneBoard is at {address.url}")
    try:
        webui.launch(workspace, address.host, address.port, address.auth, launch.default_hub())
    except KeyboardInterrupt:
        pass
    finally:
        workspace.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
