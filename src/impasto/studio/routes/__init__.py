"""The routes of the API, one file a tab. A route reads its request, calls a function and answers."""
