"""mmbench: multi-modal generative models on equal terms. See `mmbench.model` for the contract of a model."""
