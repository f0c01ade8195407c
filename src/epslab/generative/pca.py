"""PCA, probabilistic PCA and factor analysis: the linear models, fitted without gradients.

Pearson (1901) and Hotelling (1933) for PCA; Tipping & Bishop (1999), "Probabilistic principal component analysis";
Rubin & Thayer (1982), "EM algorithms for ML factor analysis". Fits are computed in float64 and kept in the images'
dtype.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from epslab.errors import UserError
from epslab.generative.linear_gaussian import UNFITTED, LinearGaussian, flatten, unflatten
from epslab.types import Latents

_RELATIVE_ZERO = 1e-12  #: a variance below this share of the largest one is 0, but for rounding in float64


class PCA(nn.Module):
    """The linear code with the least squared reconstruction error: z = Uᵀ (x − μ), x̂ = U z + μ, U orthonormal.

    It is the limit of probabilistic PCA as its noise goes to 0. Call ``fit`` first.

    >>> images = torch.rand(50, 1, 8, 8)
    >>> pca = PCA(components=10).fit(images)
    >>> pca.encode(images).shape, pca.reconstruct(images).shape
    (torch.Size([50, 10]), torch.Size([50, 1, 8, 8]))

    Args:
        components: D, the number of axes, at least 1.

    Attributes:
        axes: U [d D], columns by falling variance; each column's entry of largest magnitude is positive.
        mean: μ [d].
        explained_variance: Variance of the training images along each axis (divided by n), [D].
        total_variance: The variance over all directions; a scalar.

    Raises:
        UserError: components < 1.
    """

    axes: Float[Tensor, "pixels latents"]
    mean: Float[Tensor, " pixels"]
    explained_variance: Float[Tensor, " latents"]
    total_variance: Float[Tensor, ""]

    def __init__(self, components: int) -> None:
        super().__init__()
        self.components = _at_least_one(components)
        self.image_shape: tuple[int, ...] = UNFITTED
        self.register_buffer("axes", torch.empty(0, components))
        self.register_buffer("mean", torch.empty(0))
        self.register_buffer("explained_variance", torch.empty(components))
        self.register_buffer("total_variance", torch.empty(()))

    def fit(self, images: Float[Tensor, "n *shape"]) -> "PCA":
        """The principal axes of these images, by a singular value decomposition.

        Raises:
            UserError: There are fewer pixels, or fewer images, than components.
        """
        axes = _principal_axes(images, self.components)
        self.image_shape = tuple(images.shape[1:])
        self.axes = axes.vectors.to(images.dtype).contiguous()
        self.mean = axes.mean.to(images.dtype)
        self.explained_variance = axes.variances[: self.components].to(images.dtype)
        self.total_variance = axes.variances.sum().to(images.dtype)
        return self

    @property
    def explained_variance_ratio(self) -> Float[Tensor, " latents"]:
        """Each axis' share of the total variance, in [0, 1]."""
        return self.explained_variance / self.total_variance

    def encode(self, images: Float[Tensor, "n *shape"]) -> Latents:
        """The code z = Uᵀ (x − μ), [n D].

        Raises:
            UserError: The images are not of the shape fitted.
        """
        return (flatten(images, self.image_shape) - self.mean) @ self.axes

    def decode(self, z: Latents) -> Float[Tensor, "n *shape"]:
        """x̂ = U z + μ."""
        return unflatten(z @ self.axes.T + self.mean, self.image_shape)

    def reconstruct(self, images: Float[Tensor, "n *shape"]) -> Float[Tensor, "n *shape"]:
        """The nearest point of the principal subspace."""
        return self.decode(self.encode(images))

    def sample(self, n: int, generator: Generator | None = None) -> Float[Tensor, "n *shape"]:
        """Draw n Gaussian points of the principal subspace, with the training images' mean and variances there."""
        like = self.mean
        z = torch.randn(n, self.components, generator=generator, dtype=like.dtype, device=like.device)
        return self.decode(z * self.explained_variance.sqrt())


class ProbabilisticPCA(LinearGaussian):
    """The linear-Gaussian model with one noise variance σ² for all pixels (Tipping & Bishop 1999).

    Call ``fit`` first; a model with known parameters is a ``LinearGaussian``.

    >>> images = torch.rand(50, 1, 8, 8)
    >>> ProbabilisticPCA(components=10).fit(images).log_prob(images).shape
    torch.Size([50])

    Args:
        components: D, the number of latents, at least 1.

    Raises:
        UserError: components < 1.
    """

    def __init__(self, components: int) -> None:
        super().__init__(torch.empty(0, _at_least_one(components)), torch.empty(0), torch.empty(0))

    def fit(self, images: Float[Tensor, "n *shape"]) -> "ProbabilisticPCA":
        """Maximum likelihood: W = U (Λ − σ² I)^½ (eq. 7), σ² the mean of the discarded variances (eq. 8).

        Raises:
            UserError: There are too many components: no variance is left for the noise.
        """
        axes = _principal_axes(images, self.latent_dim)
        pixels = len(axes.mean)
        sigma2 = axes.variances[self.latent_dim :].sum() / max(pixels - self.latent_dim, 1)
        if not sigma2 > _RELATIVE_ZERO * axes.variances[0]:
            raise UserError(
                f"With {self.latent_dim} components no variance is left for the noise: these {len(images)} images of"
                f" {pixels} pixels span no more dimensions; take fewer components or more images."
            )
        weight = axes.vectors * (axes.variances[: self.latent_dim] - sigma2).clamp(min=0.0).sqrt()
        self._keep(images, weight, axes.mean, sigma2.expand(pixels))
        return self


class FactorAnalysis(LinearGaussian):
    """The linear-Gaussian model with a noise variance for each pixel, fitted by EM (Rubin & Thayer 1982).

    Call ``fit`` first; a model with known parameters is a ``LinearGaussian``.

    >>> images = torch.rand(50, 1, 4, 4)
    >>> FactorAnalysis(components=2).fit(images, iterations=10).variance.shape
    torch.Size([16])

    Args:
        components: D, the number of latents, at least 1.
        least_variance: No pixel's noise variance falls below it: the likelihood is unbounded on a pixel that never
            changes, as at the border of MNIST.

    Attributes:
        history: The training images' mean log p(x), in nats, before each iteration and after the last; it never falls.

    Raises:
        UserError: components < 1, or least_variance not positive.
    """

    def __init__(self, components: int, least_variance: float = 1e-6) -> None:
        if not least_variance > 0.0:
            raise UserError(f"least_variance must be positive, but is {least_variance}.")
        super().__init__(torch.empty(0, _at_least_one(components)), torch.empty(0), torch.empty(0))
        self.least_variance = least_variance
        self.history: list[float] = []

    def fit(
        self, images: Float[Tensor, "n *shape"], *, iterations: int = 1000, tolerance: float = 1e-6
    ) -> "FactorAnalysis":
        """EM from the principal axes, until an iteration gains less than ``tolerance`` nats per image.

        The latents are rotated at the end, which changes no density, so that the posterior covariance is diagonal.

        Args:
            images: Training images.
            iterations: The most iterations to make.
            tolerance: The least gain in mean log p(x), in nats, that is worth another iteration.

        Raises:
            UserError: There are fewer pixels, or fewer images, than components.
        """
        axes = _principal_axes(images, self.latent_dim)
        x = images.flatten(1).double() - axes.mean
        S = x.T @ x / len(x)
        W = axes.vectors * axes.variances[: self.latent_dim].sqrt()
        psi = S.diagonal().clamp(min=self.least_variance)
        self.history = [_mean_log_likelihood(S, W, psi)]
        for _ in range(iterations):
            W, psi = _em_step(S, W, psi, self.least_variance)
            self.history.append(_mean_log_likelihood(S, W, psi))
            if self.history[-1] - self.history[-2] < tolerance:
                break
        rotation = torch.linalg.eigh(W.T @ (W / psi[:, None])).eigenvectors.flip(1)
        self._keep(images, W @ rotation, axes.mean, psi)
        return self


def _em_step(
    S: Float[Tensor, "d d"], W: Float[Tensor, "d k"], psi: Float[Tensor, " d"], least_variance: float
) -> tuple[Float[Tensor, "d k"], Float[Tensor, " d"]]:
    """One EM iteration from the images' covariance S alone: beta = M⁻¹ Wᵀ Ψ⁻¹ gives E[z|x] = beta (x − μ)."""
    scaled = W / psi[:, None]
    covariance = torch.linalg.inv(torch.eye(W.shape[1], dtype=W.dtype, device=W.device) + W.T @ scaled)
    beta = covariance @ scaled.T
    S_beta = S @ beta.T
    W = torch.linalg.solve(covariance + beta @ S_beta, S_beta.T).T
    # Each ψ's part of the expected log-likelihood has one maximum: the bound keeps EM's step upward.
    return W, (S.diagonal() - (W * S_beta).sum(1)).clamp(min=least_variance)


def _mean_log_likelihood(S: Float[Tensor, "d d"], W: Float[Tensor, "d k"], psi: Float[Tensor, " d"]) -> float:
    """The mean of log p(x) over images of covariance S: −½ (log|2πC| + tr C⁻¹S)."""
    C = W @ W.T + psi.diag()
    factor = torch.linalg.cholesky(C)
    trace = torch.cholesky_solve(S, factor).diagonal().sum()
    log_determinant = 2.0 * factor.diagonal().log().sum()
    return -0.5 * (len(psi) * math.log(2.0 * math.pi) + float(log_determinant + trace))


class _Axes(NamedTuple):
    """Principal axes of some images, in float64."""

    mean: Float[Tensor, " d"]
    vectors: Float[Tensor, "d k"]  #: the leading axes, orthonormal columns
    variances: Float[Tensor, " all"]  #: along every axis the images span, falling


def _principal_axes(images: Float[Tensor, "n *shape"], components: int) -> _Axes:
    """The mean, the leading axes and the variances (divided by n) of the images, by SVD.

    Raises:
        UserError: There are fewer pixels, or fewer images, than components.
    """
    x = images.flatten(1).double()
    if components > min(x.shape):
        raise UserError(
            f"{components} components need as many images and as many pixels; given are {x.shape[0]} images of"
            f" {x.shape[1]} pixels."
        )
    mean = x.mean(0)
    # The triangle of a QR decomposition has the singular values and right vectors of x, and is small.
    triangle = torch.linalg.qr(x - mean, mode="r").R
    _, values, rows = torch.linalg.svd(triangle, full_matrices=False)
    vectors = rows[:components].T
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return _Axes(mean, vectors * largest.sign(), values**2 / len(x))


def _at_least_one(components: int) -> int:
    """The number of components, checked."""
    if components < 1:
        raise UserError(f"components must be at least 1, but is {components}.")
    return components
