"""Metrics of the suite: coherence, Fréchet distances, and the classifiers that judge for them."""
