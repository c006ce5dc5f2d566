"""Multi-modal Latent Diffusion: autoencoders -> latents -> schedule -> score, diffusion -> sampler -> model.

Reference: Bounoua, Franzese and Michiardi, "Masked Multi-time Diffusion for Multi-modal Generative Modeling".
"""
