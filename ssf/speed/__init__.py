"""What is timed, against what: the reference, deployed networks, the race and the benchmark.

`reference` is the published implementation and SpikingJelly's, `deploy` a network compiled for
inference; `race` times them call by call, and `bench` makes the table that chapter 6 reads.
"""
