"""Where `impasto` begins: nothing is imported before an interrupt is one line, not a traceback."""

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

        # What is left is Python's own end, of which Ctrl-C would make a traceback: it ends at once.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
