"""What is timed, against what: the reference, deployed networks, the race and the benchmark."""
