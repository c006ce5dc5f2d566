"""The models of multivae (Senellart et al.), each as a model of this suite: `multivae:MMVAEPlus` and so on.

Their objectives and their inference are multivae's own code, called as it is. Encoders and decoders, data, seeds,
precision, the training loop and the metrics are the suite's. What is not multivae's, model by model:

| model | here | why |
|---|---|---|
| all | -log p(x|z) is the suite's (the same number for images), weighted by `Modality.weight` | texts |
| all | a loss that is the batch's sum is divided by the batch | one learning rate for all |
| JMVAE, JNF, TELBO | the joint encoder: multivae's default without its parts' unused log-variances | dead parameters |
| JNF, TELBO | two stages, half of the schedule each | multivae: two phases of epochs |
| JMVAE, MVAE, Nexus | the KL terms' warm-up as a share of the training | multivae: epochs |
| MMVAE, MMVAEPlus, CMVAE | the given modality that z comes from: each sample has its own | multivae: one a batch |
| JNF | where a Monte Carlo chain starts: each sample draws its expert | multivae: by groups of the batch |
| MHVAE | a sample of the prior goes down the hierarchy | multivae decodes one of the shallowest latent from N(0, I) |
| TELBO | given some of three or more modalities: the product of their experts and the prior | multivae refuses |
"""
