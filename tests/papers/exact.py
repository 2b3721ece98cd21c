"""The scalars of bias correction and rectification in 50-digit arithmetic (mpmath).

The decay is taken as the binary number it is: pass `float(np.float32(b))` to ask for
what a float32 decay means. Results are `mpf`; `float(...)` rounds them once.
"""

import mpmath

DIGITS = 50


def one_minus_power(b: float, t: int) -> mpmath.mpf:
    """1 - b^t, the weight that an average of decay b has given to t gradients."""
    with mpmath.workdps(DIGITS):
        return 1 - mpmath.mpf(b) ** t


def log(b: float) -> mpmath.mpf:
    """log b, which `1 - b^t = -expm1(t log b)` needs to full precision."""
    with mpmath.workdps(DIGITS):
        return mpmath.log(mpmath.mpf(b))


def one_minus_product(decays) -> mpmath.mpf:
    """1 - Π b_i, the same weight for a decay that changes."""
    with mpmath.workdps(DIGITS):
        product = mpmath.mpf(1)
        for b in decays:
            product *= mpmath.mpf(b)
        return 1 - product


def rho_inf(b2: float) -> mpmath.mpf:
    """ρ_∞ = 2 / (1 - β2) - 1, the longest approximated simple moving average."""
    with mpmath.workdps(DIGITS):
        return 2 / (1 - mpmath.mpf(b2)) - 1


def rho(t: int, b2: float) -> mpmath.mpf:
    """ρ_t = ρ_∞ - 2 t β2^t / (1 - β2^t), its length after t gradients; ρ_1 = 1."""
    with mpmath.workdps(DIGITS):
        power = mpmath.mpf(b2) ** t
        return rho_inf(b2) - 2 * t * power / (1 - power)


def rectifier(t: int, b2: float) -> mpmath.mpf:
    """r_t = sqrt((ρ_t-4)(ρ_t-2) ρ_∞ / ((ρ_∞-4)(ρ_∞-2) ρ_t)); needs ρ_t > 4."""
    with mpmath.workdps(DIGITS):
        r, r_inf = rho(t, b2), rho_inf(b2)
        if not r > 4:
            raise ValueError(f"rectifier: ρ_t must exceed 4, got {r} at t={t}.")
        return mpmath.sqrt((r - 4) * (r - 2) * r_inf / ((r_inf - 4) * (r_inf - 2) * r))
