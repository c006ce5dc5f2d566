"""Multi-modal Latent Diffusion: autoencoders -> latents -> schedule -> score, diffusion ->
sampler (the paper's), moves -> solvers (of few calls) -> model.

Reference: Bounoua, Franzese and Michiardi, "Masked Multi-time Diffusion for Multi-modal Generative Modeling".
"""
