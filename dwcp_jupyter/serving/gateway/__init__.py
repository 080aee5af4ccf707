"""The process that answers HTTP: authenticate, route, batch, log.

A bare ASGI app under uvicorn (uvloop, httptools) on the socket that the supervisor bound. It knows the state file, the
artifacts and the prediction log; never the metadata, and no Jupyter. Compiled models run in this process; all others
in replicas of their own.
"""
