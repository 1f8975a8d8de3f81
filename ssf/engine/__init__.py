"""Runs found by their config or trained, their files and records, sweeps of notebooks on Dask.

`runs` finds or trains the network of a config after those that it builds on (see model/tickets);
`files` and `records` keep what came out; `code` tells which code made it; `observe` looks at what
a network does; `published` reads the authors' checkpoints.
Nothing here changes a number of the paper: the model's room trains, this room remembers.
"""
