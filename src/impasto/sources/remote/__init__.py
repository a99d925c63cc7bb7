"""Sources at addresses, which are read without a local copy: `s3://`, `gs://`, `hf://`, `https://` and
`memory://`.

A `RemotePath` takes the place of a `Path`: archives, parquet and NumPy files are opened by it and read
in blocks. A `RemoteFolder` is the tree of the files below one. Both use a `Store`: that of `http.py` for
web servers, that of `filesystems.py` for fsspec.

Failed reads are retried for some time. Messages show addresses without user, password and query; a query
may be a signature.
"""
