# Model M3 of Burkhart et al. (Neural Computation 32:969, 2020) by another program: exact f and
# Q from sorted thresholds, the DKF (clip) and the robust DKF. Prints mean and standard deviation
# over draws of the errors of f alone, DKF and robust; TestSimulations compares with them.
#
#   python3 bernoulli_mixture.py [n] [draws]        (numpy 2; n = 1000 and 24 draws take 8 minutes)
import math, sys
import numpy as np

d, steps = 10, 10000
A = 0.95 * np.eye(d) - 0.05
G = np.eye(d) - A @ A.T
erf = np.vectorize(math.erf)


def moments(c):
    """Of a standard normal between sorted thresholds: mass, first and second moment."""
    cdf = np.concatenate([[0], 0.5 * (1 + erf(c / math.sqrt(2))), [1]])
    pdf = np.concatenate([[0], np.exp(-c * c / 2) / math.sqrt(2 * math.pi), [0]])
    edge = np.concatenate([[0], c, [0]]) * pdf
    return np.diff(cdf), pdf[:-1] - pdf[1:], np.diff(cdf) + edge[:-1] - edge[1:]


def draw(seed, n):
    r = np.random.default_rng(seed)
    watched, c = r.integers(0, d, n), r.standard_normal(n)
    z = np.zeros((steps, d))
    z[0] = r.standard_normal(d)
    L = np.linalg.cholesky(G)
    for t in range(1, steps):
        z[t] = A @ z[t - 1] + L @ r.standard_normal(d)
    flip = r.integers(0, 2, steps)
    p = np.where((z[:, watched] >= c) != (flip[:, None] == 1), 0.99, 0.01)
    x = r.random((steps, n)) < p
    logw, mean, var = np.zeros((steps, 2)), np.zeros((steps, 2, d)), np.zeros((steps, 2, d))
    for k in range(d):
        at = np.where(watched == k)[0]
        at = at[np.argsort(c[at])]
        p0, p1, p2 = moments(c[at])
        for label in range(2):
            y = x[:, at] == (label == 0)
            ll = np.concatenate([np.zeros((steps, 1)), np.cumsum(np.where(y, 1, -1) * math.log(99), 1)], 1)
            top = ll.max(1)
            w = np.exp(ll - top[:, None])
            e = w @ p0
            logw[:, label] += np.where(y, math.log(0.01), math.log(0.99)).sum(1) + top + np.log(e)
            mean[:, label, k] = w @ p1 / e
            var[:, label, k] = w @ p2 / e - mean[:, label, k] ** 2
    w0 = 1 / (1 + np.exp(np.clip(logw[:, 1] - logw[:, 0], -700, 700)))
    weights = np.stack([w0, 1 - w0], 1)
    f = np.einsum("tl,tlk->tk", weights, mean)
    Q = np.einsum("tl,tlj,tlk->tjk", weights, mean, mean) - np.einsum("tj,tk->tjk", f, f)
    Q[:, range(d), range(d)] += np.einsum("tl,tlk->tk", weights, var)
    lam, V = np.linalg.eigh(Q)  # S = I: clipping is of the eigenvalues of Q
    clipped = np.einsum("tij,tj,tkj->tik", V, 1 / np.minimum(lam, 1), V)
    plain = np.linalg.inv(Q)
    out = [math.sqrt(((f - z) ** 2).mean())]
    for precision, prior in ((clipped, np.eye(d)), (plain, np.zeros((d, d)))):
        m, P, s = f[0], Q[0], ((f[0] - z[0]) ** 2).sum()
        for t in range(1, steps):
            M = np.linalg.inv(A @ P @ A.T + G)
            P = np.linalg.inv(precision[t] + M - prior)
            m = P @ (precision[t] @ f[t] + M @ (A @ m))
            s += ((m - z[t]) ** 2).sum()
        out.append(math.sqrt(s / steps / d))
    return out


n, draws = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, int(sys.argv[2]) if len(sys.argv) > 2 else 24
v = np.array([draw(s, n) for s in range(draws)])
print(n, "mean", v.mean(0).round(5), "sd", v.std(0, ddof=1).round(5))
