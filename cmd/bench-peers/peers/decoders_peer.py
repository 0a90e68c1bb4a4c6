"""NumPy and scikit-learn running the decoders of kinematics of the decoders section.

A model file of ours is loaded, and everything that a step needs is computed from it
before the clock starts: gains, transposed weights, squared norms, work arrays.
"""

import numpy as np
from harness import serve, timed

MODEL = {}
ROWS = {}


def load(model, rows):
    MODEL.clear()
    MODEL.update(model)
    ROWS["x"] = [np.array(r) for r in rows]
    return {}


def conditioned():
    """z-scores, clipped at three deviations."""
    mean, inverse = np.array(MODEL["mean"]), 1 / np.array(MODEL["scale"])

    def step(x):
        z = (x - mean) * inverse
        np.minimum(z, 3, out=z)
        np.maximum(z, -3, out=z)
        return z

    return step


def filtered(f):
    """Constant Q in its steady state: mu <- Gf f(x) + Gm mu; starts at f."""
    a, g, s, q = (np.array(MODEL[k]) for k in ("A", "gamma", "S", "Q"))
    d = len(a)
    w, v = np.linalg.eigh(q)
    q = v @ np.diag(np.maximum(w, 1e-4 * np.trace(s) / d)) @ v.T
    qi, si = np.linalg.inv(q), np.linalg.inv(s)
    extra = qi - si
    if np.linalg.eigvalsh(extra)[0] < -1e-10 * np.trace(qi) / d:
        extra = qi  # the robust step
    p = s.copy()
    for _ in range(10000):
        m = a @ p @ a.T + g
        p = np.linalg.inv(extra + np.linalg.inv(m))
    gf, gm = p @ qi, p @ np.linalg.inv(m) @ a
    cap, offset = MODEL["cap"], np.array(MODEL["offset"])
    z, mu = conditioned(), [None]

    def step(x):
        y = f(z(x))
        size = y @ y
        if size > cap * cap:
            y = y * (cap / np.sqrt(size))
        mu[0] = y if mu[0] is None else gf @ y + gm @ mu[0]
        return mu[0] + offset

    return step


def mlp():
    m = MODEL["mlp"]
    w1, b1, w2, b2 = (np.array(m[k]) for k in ("W1", "b1", "W2", "b2"))
    return filtered(lambda z: w2 @ np.tanh(w1 @ z + b1) + b2)


def gp():
    g = MODEL["gp"]
    x = np.array(g["x"])
    norms = (x * x).sum(1)
    outs = [(-0.5 / o["length_scale"] ** 2, o["signal_variance"] * np.array(o["alpha"])) for o in g["outputs"]]

    def f(z):
        d2 = np.maximum(norms - 2 * (x @ z) + z @ z, 0)
        return np.array([alpha @ np.exp(s * d2) for s, alpha in outs])

    return filtered(f)


def sklearn():
    """The same processes in scikit-learn: fixed hyper-parameters, our weights."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    g = MODEL["gp"]
    x = np.array(g["x"])
    processes = []
    for o in g["outputs"]:
        kernel = ConstantKernel(o["signal_variance"]) * RBF(o["length_scale"])
        r = GaussianProcessRegressor(kernel, alpha=max(o["noise_variance"], 1e-6), optimizer=None).fit(x, np.zeros(len(x)))
        r.alpha_ = np.array(o["alpha"])
        processes.append(r)
    return filtered(lambda z: np.array([r.predict(z[None])[0] for r in processes]))


def snn():
    layers = MODEL["snn"]["layers"]
    w, b = np.array(layers[0]["weights"]), np.array(layers[0]["bias"])
    beta, rec, theta = np.array(layers[1]["beta"]), np.array(layers[1]["recurrent"]), layers[1]["threshold"]
    wo, bo, bout = np.array(layers[2]["weights"]), np.array(layers[2]["bias"]), np.array(layers[3]["beta"])
    u, o = np.zeros(len(w)), np.zeros(len(wo))
    s = [np.zeros(len(w))]

    def f(z):
        nonlocal u, o
        u = beta * u + (w @ z + b + rec @ s[0]) - theta * s[0]
        s[0] = (u > theta).astype(float)
        o = bout * o + wo @ s[0] + bo
        return o.copy()

    return filtered(f)


PEERS = {"mlp": mlp, "gp": gp, "sklearn": sklearn, "snn": snn}


def outputs(peer):
    step = PEERS[peer]()
    return {"values": [step(x).tolist() for x in ROWS["x"]]}


def seconds(peer, repeats):
    step, rows, at = PEERS[peer](), ROWS["x"], [0]

    def one():
        at[0] = (at[0] + 1) % len(rows)
        step(rows[at[0]])

    for _ in range(50):
        one()
    return {"seconds": timed(one, repeats)}


serve({"load": load, "outputs": outputs, "seconds": seconds})
