# Makes types.h5, latest.h5 and types.json.  python3 make.py     (h5py 3, numpy 2)
import json
import h5py
import numpy as np

r = np.random.default_rng(1)
want = {}
with h5py.File("types.h5", "w") as f:
    def put(name, v, **how):
        f.create_dataset(name, data=v, **how)
        a = np.asarray(v)
        want[name] = {"shape": list(a.shape), "numbers": a.astype(float).ravel().tolist()}

    for kind in ("i1", "<i2", ">i4", "<i8", "u1", ">u2", "<u4", "<f4", ">f4", "<f8", ">f8"):
        put("types/" + kind.replace("<", "l").replace(">", "b"), (r.integers(-100, 100, 7) if kind[-2] != "u" else r.integers(0, 200, 7)).astype(kind))
    put("scalar", 2.5)
    put("plain", r.standard_normal((3, 4)))
    put("one/two/three", r.standard_normal((2, 2, 2)))
    put("chunked", r.standard_normal((7, 10)), chunks=(3, 4))
    put("packed", r.standard_normal((37, 11)).astype("<f4"), chunks=(5, 6), compression="gzip", shuffle=True, fletcher32=True)
    put("cube", r.integers(0, 9, (5, 4, 3)), chunks=(2, 3, 2), compression="gzip")
    put("grown", r.standard_normal(5), maxshape=(None,), chunks=(4,))
    put("many", np.arange(300.0), chunks=(2,))
    put("empty", np.zeros((0, 3)))
    f.create_dataset("unwritten", shape=(2, 2), dtype="f8")
    want["unwritten"] = {"shape": [2, 2], "numbers": [0, 0, 0, 0]}
    f.create_dataset("text", data="Größe", dtype=h5py.string_dtype())
    want["text"] = {"shape": [], "strings": ["Größe"]}
    words = [["a", "bb"], ["", "dddd"]]
    f.create_dataset("words", data=np.array(words, dtype=object), dtype=h5py.string_dtype())
    want["words"] = {"shape": [2, 2], "strings": ["a", "bb", "", "dddd"]}
    f.create_dataset("fixed", data=np.array([b"xy", b"z"], dtype="S4"))
    want["fixed"] = {"shape": [2], "strings": ["xy", "z"]}
    for i in range(40):
        f.create_dataset("group/%02d" % i, data=float(i))
        want["group/%02d" % i] = {"shape": [], "numbers": [float(i)]}
    f["plain"].attrs["unit"] = "uV"
with open("types.json", "w") as f:
    json.dump(want, f)
with h5py.File("latest.h5", "w", libver="latest") as f:
    f["x"] = 1.0
