# Makes *.nir and expected.json.  python3 make.py     (nir 1.0.8, h5py 3, numpy 2)
# The expected read-outs are those of a plain forward Euler simulation of NIR's equations, below.
import json
import nir
import numpy as np

r = np.random.default_rng(3)
dt, steps = 1e-4, 40


def lif(n, reset=0.0):
    th = r.uniform(0.5, 2, n)
    return nir.LIF(tau=r.uniform(5e-4, 4e-3, n), r=r.uniform(0.5, 2, n), v_leak=r.uniform(-0.2, 0.2, n), v_threshold=th, v_reset=reset * th)


def li(n):
    return nir.LI(tau=r.uniform(1e-3, 5e-3, n), r=r.uniform(0.5, 2, n), v_leak=r.uniform(-0.2, 0.2, n))


def affine(o, i, scale=3.0):
    return nir.Affine(weight=scale * r.standard_normal((o, i)), bias=r.standard_normal(o))


def euler(layers, x):
    v = [None] * len(layers)
    z = [None] * len(layers)
    out = []
    for row in x:
        y = row
        for k, (node, rec) in enumerate(layers):
            if isinstance(node, (nir.Affine, nir.Linear)):
                y = node.weight @ y + (node.bias if isinstance(node, nir.Affine) else 0)
            elif isinstance(node, nir.Scale):
                y = node.scale * y
            elif isinstance(node, (nir.LIF, nir.LI)):
                if v[k] is None:
                    v[k] = node.v_reset.copy() if isinstance(node, nir.LIF) else np.zeros_like(node.tau)
                    z[k] = np.zeros_like(node.tau)
                if rec is not None:
                    y = y + rec.weight @ z[k] + (rec.bias if isinstance(rec, nir.Affine) else 0)
                v[k] = v[k] + dt / node.tau * (node.v_leak - v[k] + node.r * y)
                y = v[k]
                if isinstance(node, nir.LIF):
                    z[k] = y = (v[k] >= node.v_threshold).astype(float)
                    v[k] = np.where(z[k] > 0, node.v_reset, v[k])
        out.append(np.array(y).tolist())
    return out


expected = {}


def save(name, graph, layers, inputs, power=3):
    nir.write(name + ".nir", graph)
    x = power * r.standard_normal((steps, inputs))
    expected[name] = {"dt": dt, "input": x.tolist(), "output": euler(layers, x)}


a, l1, b, l2, c, o = affine(6, 4), lif(6, -0.3), affine(5, 6), lif(5), affine(2, 5), li(2)
save("feedforward", nir.NIRGraph.from_list(a, l1, b, l2, c, o), [(n, None) for n in (a, l1, b, l2, c, o)], 4)

# a LIF straight behind the input, a Scale, Linear in float32, no read-out neuron
l1, s, c = lif(3), nir.Scale(scale=np.array([1.0, -2.0, 0.5])), nir.Linear(weight=r.standard_normal((2, 3)).astype("f4"))
save("plain", nir.NIRGraph.from_list(l1, s, c), [(l1, None), (s, None), (c, None)], 3, 30)

# recurrent, flat and as a nested graph
for name in ("recurrent", "nested"):
    a, l1, w, c, o = affine(6, 4), lif(6), affine(6, 6, 1.5), affine(2, 6), li(2)
    ends = {"input": nir.Input(input_type={"input": np.array([4])}), "output": nir.Output(output_type={"output": np.array([2])})}
    nodes = {**ends, "a": a, "c": c, "o": o}
    edges = [("input", "a"), ("c", "o"), ("o", "output")]
    if name == "recurrent":
        nodes.update(l=l1, w=w)
        edges += [("a", "l"), ("l", "w"), ("w", "l"), ("l", "c")]
    else:
        inner = {"input": nir.Input(input_type={"input": np.array([6])}), "output": nir.Output(output_type={"output": np.array([6])}), "lif": l1, "w_rec": w}
        nodes["l"] = nir.NIRGraph(nodes=inner, edges=[("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")])
        edges += [("a", "l"), ("l", "c")]
    save(name, nir.NIRGraph(nodes=nodes, edges=edges), [(a, None), (l1, w), (c, None), (o, None)], 4)

# refused: a branch, and another neuron
a, b, c = affine(3, 3), affine(3, 3), lif(3)
ends = {"input": nir.Input(input_type={"input": np.array([3])}), "output": nir.Output(output_type={"output": np.array([3])})}
nir.write("branch.nir", nir.NIRGraph(nodes={**ends, "a": a, "b": b, "c": c}, edges=[("input", "a"), ("input", "b"), ("a", "c"), ("b", "c"), ("c", "output")]))
nir.write("cuba.nir", nir.NIRGraph.from_list(affine(3, 3), nir.CubaLIF(tau_syn=np.full(3, 2e-3), tau_mem=np.full(3, 2e-3), r=np.ones(3), v_leak=np.zeros(3), v_threshold=np.ones(3))))
with open("expected.json", "w") as f:
    json.dump(expected, f)
