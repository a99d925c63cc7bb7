"""Sources at addresses, which are read without a local copy: `s3://`, `gs://`, `hf://`, `https://`,
and `memory://`.

A `RemotePath` replaces a `Path`: archives, parquet and NumPy files are opened through it and read
in blocks. A `RemoteFolder` is the tree of files below one. Both use a `Store`: `http.py` for web
servers, `filesystems.py` for fsspec.

Failed reads are retried for some time. Messages show addresses without user, password and query,
which may be a signature.
"""
