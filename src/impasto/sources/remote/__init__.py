"""Sources that lie elsewhere and are read there: `s3://`, `gs://`, `hf://`, `https://`, and `memory://`.

A `RemotePath` takes the place of a `Path`: archives, parquet and NumPy's files are opened by it as they
are on disk, in blocks, and a `RemoteFolder` is the tree of what lies below one. Both stand on a `Store`:
`http.py` for web servers, `filesystems.py` for whatever fsspec has.

Each read is tried again for some time where that may help. Addresses are shown without user, password
and query, which may be a signature; what a server or a library says is cleaned of them too.
"""
