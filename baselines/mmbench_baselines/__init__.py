"""The multi-modal VAEs: experts -> vae -> one module per paper, with its objective and its configuration.

`mvae`, `mmvae` (and the original objective, `mmvae_dreg`), `mopoe`, `mvtcae`, `nexus`: each module's `objective` reads
like its paper's equation; everything that they share stands in `experts` and `vae`.
"""
