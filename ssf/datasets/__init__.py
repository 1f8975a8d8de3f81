"""Data sets by name, and batches of them: `sets.load(name)`, then `batches.training_batches`.

static, neuromorphic: published sets from files, decoded once into the user's cache (cache).
clutter, camera: sets made of the embedded images, the same on every machine (draws).
augment: the recipes that change whole batches while a network trains.
"""
