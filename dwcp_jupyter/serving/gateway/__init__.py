"""The process that answers HTTP: authenticate, route, batch, log.

HTTP/1.1 on uvloop and httptools, on the socket that the supervisor bound. It knows the state file, the
artifacts and the prediction log; never the metadata, and no Jupyter. Compiled models run in this process; all others
in replicas of their own.
"""
