"""The paper, file by file: a Spikformer, tickets in it, and a selector of its tokens.

neuron: LIF. spikformer: the network. selector: which tokens stay, and its losses. tickets: the
whole search. training: fit and evaluate, by optimisers. cost: parameters and MACs. kernels: the
calls that compiled code answers, where there is any.
"""
