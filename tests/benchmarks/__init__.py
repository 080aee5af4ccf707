"""Benchmarks of the platform beside its peers: `python -m tests.benchmarks NAME` prints a Markdown table.

Absolute figures of one machine do not carry over to another, so each benchmark measures us and the peers in one
run, alternating, and prints medians and the ratio. `--reduced` is a short form that the tests run to see that the
harness works and that nothing is lost; it says nothing about speed.
"""
