"""The study: which networks answer which question, and what their rows say.

experiments: a function of the seed for each, that names its networks. results: trains them and
keeps their rows. statistics: an estimate over seeds, its interval and tests. ledger: the paper's
claims and their verdicts, by the protocol's rules. findings: other comparisons, which have no say
in a verdict.
"""
