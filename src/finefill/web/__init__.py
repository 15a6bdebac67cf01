"""The HTTP server: ``finefill serve`` (extra ``web``); see docs/server.md.

``work`` runs in the worker processes and imports the engine; everything else runs in the server's
own process, which never opens an image.
"""
