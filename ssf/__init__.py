"""ssf: the thin library behind the SparseSpikformer reproducibility book."""
