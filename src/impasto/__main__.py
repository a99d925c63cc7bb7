"""`python -m impasto` is the same as `impasto`."""

from impasto._start import main

if __name__ == "__main__":
    main()
