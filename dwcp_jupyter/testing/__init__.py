"""Contract suites that every back end passes, shipped so that others can test theirs.

A back end's test file subclasses a suite and says how to open an empty one; that is all it holds.
"""
