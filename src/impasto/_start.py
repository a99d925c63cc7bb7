"""The entry point: it handles Ctrl-C before importing anything else."""

import sys


def _leave_others(code: object) -> None:
    """End at once if other processes still train the run: torch would wait for them, or abort."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        import os

        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def main() -> None:
    """Run the command line; Ctrl-C, even while it is being imported, is one line and code 130."""
    try:
        from impasto import cli

        cli.main()
    except KeyboardInterrupt:
        print("impasto: interrupted", file=sys.stderr)
        sys.exit(130)
    except SystemExit as stop:
        _leave_others(stop.code)
        raise
    finally:
        import signal

        # Exit at once, since Ctrl-C during Python's shutdown would print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
