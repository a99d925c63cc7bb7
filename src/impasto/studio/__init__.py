"""The studio: a server on this machine that shows collections, runs and models in a browser.

It keeps no state of its own: collections, runs and models are the folders that the command line makes,
jobs are processes that the command line runs. `app.py` puts it together; `routes/` has a file a tab.
"""
