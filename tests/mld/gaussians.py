"""A correlated Gaussian diffused by the SDE, and the exact law of samplers that know its score: independent truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

ROOT = np.array([[1.0, 0.0, 0.0], [0.5, 0.6, 0.0], [0.2, -0.3, 0.3]])
MEAN, COVARIANCE = np.array([0.8, -0.5, 2.0]), ROOT @ ROOT.T
"""Of z = (a, b) with two and one latents; the eigenvalues of the covariance are 1.40, 0.38 and 0.06."""


def kernel(t):
    """m(t) and sigma(t)^2."""
    return np.exp(-0.05 * t - 19.9 * t**2 / 4), -np.expm1(-0.1 * t - 19.9 * t**2 / 2)


def score_of(mean, covariance):
    """The score of the diffused Gaussian, (x (B, d) float64, t) -> (B, d); `mean` is (d,) or (B, d)."""
    values, vectors = np.linalg.eigh(covariance)

    def score(x, t):
        m, s2 = kernel(float(t))
        centred = (x.double().numpy() - m * mean) @ vectors
        return torch.from_numpy(-(centred / (m**2 * values + s2)) @ vectors.T)

    return score


def conditional(mean, covariance, given):
    """Mean (B, 2) and covariance of the first two latents where the third is `given` (B,)."""
    gain = covariance[:2, 2] / covariance[2, 2]
    return mean[:2] + np.outer(given - mean[2], gain), covariance[:2, :2] - np.outer(gain, covariance[2, :2])


def exact_law(times, mean, covariance, *, noisy):
    """Mean and covariance after a walk over `times` that makes no error, from N(0, I): up by q(r_t | r_s), down along
    the reverse SDE (`noisy`) or the probability-flow ODE, to 0 by the denoiser.

    For each eigenvalue v, with V(t) = m^2 v + sigma^2: the ODE takes x - m mu times sqrt(V(b) / V(a)); the SDE is the
    posterior of r_b given r_a, gain m(a) / m(b) V(b) / V(a); the denoiser's gain is m v / V.
    """
    values, vectors = np.linalg.eigh(covariance)
    centre, variance = vectors.T @ mean, np.ones(len(mean))
    offset = -kernel(times[0])[0] * centre
    for a, b in pairwise(times):
        (m, s2), (n, r2) = kernel(a), kernel(b)
        here, there = m**2 * values + s2, n**2 * values + r2
        if b > a:
            gain = n / m
            variance, offset = gain**2 * variance + 1 - gain**2, gain * offset
        elif b == 0:
            gain = m * values / here
            variance, offset = gain**2 * variance, gain * offset
        else:
            gain = m / n * there / here if noisy else np.sqrt(there / here)
            variance, offset = gain**2 * variance + noisy * (there - gain**2 * here), gain * offset
    return vectors @ (centre + offset), (vectors * variance) @ vectors.T


def law(made, noise, *more):
    """Mean, covariance and coefficients of an affine sampler, exact but for rounding: no Monte Carlo error.

    Samples (n, d) are affine in the noise (draws, n, D) that they were made from, and in the columns `more` (n,): least
    squares finds the coefficients. The noise is N(0, I); the mean is that where `more` is 0.
    """
    n = len(made)
    columns = (noise.transpose(1, 0, 2).reshape(n, -1), np.column_stack((np.ones(n), *more)))
    design, k = np.concatenate(columns, axis=1), 1 + len(more)
    answer, _, rank, _ = np.linalg.lstsq(design, made, rcond=None)
    assert rank == design.shape[1] < n
    assert np.abs(design @ answer - made).max() < 1e-5, "samples are affine in the noise"
    return answer[-k], answer[:-k].T @ answer[:-k], answer[len(answer) - k + 1 :]
