"""The gradient of an expectation without differentiating through its samples: the score-function estimator."""

from jaxtyping import Float
from torch import Tensor

from epslab.errors import UserError


def score_function(
    values: Float[Tensor, "samples n"], log_q: Float[Tensor, "samples n"], leave_one_out: bool = False
) -> Float[Tensor, " n"]:
    """A surrogate whose value is the mean of f(z_k) and whose gradient is an unbiased estimate of ∇ E_q[f(z)].

    Williams (1992): ∇ E_q[f] = E_q[f ∇ log q + ∇ f]. It needs no gradient through z, so z may be discrete and f a black
    box, but its variance is far larger than that of the reparameterised gradient, z = mu + sigma·eps.

    >>> mu = torch.zeros((), requires_grad=True)
    >>> z = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))  # from q = N(mu, 1)
    >>> log_q = -0.5 * (z - mu) ** 2  # up to a constant
    >>> score_function(z, log_q).sum().backward()
    >>> round(mu.grad.item())  # the gradient of E[z] = mu
    1

    Args:
        values: f(z_k), k = 1..samples, for each example; if f has parameters, they get their gradient.
        log_q: log q(z_k), differentiable in the parameters of q, with z_k itself **detached** from them.
        leave_one_out: Subtract from each f(z_k) the mean of the others, which lowers the variance and keeps the
            expectation; Mnih & Rezende (2016). Needs two samples.

    Raises:
        UserError: ``leave_one_out`` with fewer than two samples.
    """
    f = values.detach()
    if leave_one_out:
        samples = len(f)
        if samples < 2:
            raise UserError(f"The leave-one-out baseline was asked for with {samples} sample, but needs at least 2.")
        f = f - (f.sum(0) - f) / (samples - 1)
    # log q − log q has value 0 and the gradient of log q.
    return (f * (log_q - log_q.detach()) + values).mean(0)
