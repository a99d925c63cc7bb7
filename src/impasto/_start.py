"""The entry point: it handles Ctrl-C before importing anything else."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C, even while it is being imported, is one line and code 130."""
    try:
        from impasto import cli

        cli.main()
    except KeyboardInterrupt:
        print("impasto: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        import signal

        # Exit at once, since Ctrl-C during Python's shutdown would print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
