"""SciPy, NumPy and MNE doing the per-hop work of the signal section, one thread."""

import numpy as np
import scipy.fft
import scipy.signal
from harness import serve, timed


def signal(channels, samples):
    """The input of both sides: no two channels alike."""
    n, c = np.arange(samples, dtype=float)[None, :], np.arange(channels, dtype=float)[:, None]
    return np.sin(n * (0.05 + 0.0013 * c)) + 0.5 * np.cos(n * n * 0.0007 + c)


def answer(step, repeats, check):
    if check:
        return {"values": np.asarray(step(), dtype=float).ravel().tolist()}
    step()
    return {"seconds": timed(step, repeats)}


def iir(channels, rate, hop, repeats, check=False, **_):
    sos = scipy.signal.butter(4, [8, 30], "bandpass", fs=rate, output="sos")
    x = signal(channels, hop)
    zi = np.zeros((sos.shape[0], channels, 2))
    if check:  # the steady state of the first sample, as ours starts
        zi = scipy.signal.sosfilt_zi(sos)[:, None, :] * x[:, 0][None, :, None]
        return {"values": scipy.signal.sosfilt(sos, x, axis=-1, zi=zi)[0].T.ravel().tolist()}
    state = [zi]

    def step():
        y, state[0] = scipy.signal.sosfilt(sos, x, axis=-1, zi=state[0])
        return y

    return answer(step, repeats, check)


def welch(channels, rate, length, segment, stride, repeats, check=False, mne=False, **_):
    x = signal(channels, length)
    if mne:
        from mne.time_frequency import psd_array_welch

        def step():
            return psd_array_welch(x, rate, n_fft=segment, n_per_seg=segment, n_overlap=segment - stride, window="hann", verbose="ERROR")[0]
    else:

        def step():
            return scipy.signal.welch(x, rate, nperseg=segment, noverlap=segment - stride, axis=-1)[1]

    return answer(step, repeats, check)


def spectra(x, window, segment, stride):
    """Transforms of all segments: [segment, channel, bin]."""
    parts = np.lib.stride_tricks.sliding_window_view(x, segment, axis=-1)[:, ::stride]
    parts = (parts - parts.mean(-1, keepdims=True)) * window
    return scipy.fft.rfft(parts, axis=-1).transpose(1, 0, 2)


def pairs(z, lo, hi):
    """Band means of coherence and phase locking of all pairs, by matrix products."""
    z = np.ascontiguousarray(z[:, :, lo:hi].transpose(2, 1, 0))  # bin, channel, segment
    k = z.shape[2]
    s = z.conj() @ z.transpose(0, 2, 1)
    power = np.einsum("bii->bi", s).real
    coherence = (np.abs(s) / np.sqrt(power[:, :, None] * power[:, None, :])).mean(0)
    u = z / np.abs(z)
    plv = (np.abs(u.conj() @ u.transpose(0, 2, 1)) / k).mean(0)
    return coherence, plv


def connectivity(channels, rate, length, segment, stride, lo, hi, repeats, check=False, psd=False, **_):
    x = signal(channels, length)
    window = scipy.signal.get_window("hann", segment)
    upper = np.triu_indices(channels, 1)
    scale = 2 / (rate * (window**2).sum())

    def step():
        z = spectra(x, window, segment, stride)
        coherence, plv = pairs(z, lo, hi)
        if psd:
            p = (z.real**2 + z.imag**2).mean(0) * scale
            p[:, 0] /= 2
            if segment % 2 == 0:
                p[:, -1] /= 2
            return np.concatenate([p.ravel(), coherence[upper], plv[upper]])
        return np.concatenate([coherence[upper], plv[upper]])

    return answer(step, repeats, check)


def fft(rows, points, repeats, check=False, **_):
    x = signal(rows, points)
    z = lambda: scipy.fft.rfft(x, axis=-1, workers=1)
    if check:
        return {"values": np.stack([z().real, z().imag], -1).ravel().tolist()}
    return answer(z, repeats, check)


def bank(channels, rate, hop, repeats, check=False, **_):
    bands = [[300 + 600 * b, 800 + 600 * b] for b in range(8)]
    sos = [scipy.signal.butter(4, b, "bandpass", fs=rate, output="sos") for b in bands]
    x = signal(channels, hop)
    state = [np.zeros((4, channels, 2)) for _ in sos]

    def step():
        for b, s in enumerate(sos):
            _, state[b] = scipy.signal.sosfilt(s, x, axis=-1, zi=state[b])

    return answer(step, repeats, check)


def features(channels, rate, length, repeats, check=False, **_):
    """22 features of every channel, each in the vectorised way of its documentation."""
    import scipy.stats

    x = signal(channels, length)
    bands = [(1, 4), (4, 8), (8, 13), (13, 30), (30, 45)]

    def step():
        f, p = scipy.signal.welch(x, rate, nperseg=rate, noverlap=rate // 2, axis=-1)
        total = p[:, (f >= 1) & (f < 45)].sum(-1)
        power = np.array([p[:, (f >= a) & (f < b)].sum(-1) for a, b in bands])
        q = p[:, (f >= 1) & (f <= 45)]
        q = q / q.sum(-1, keepdims=True)
        entropy = -(q * np.log2(q)).sum(-1) / np.log2(q.shape[1])
        d = np.diff(x, axis=-1)
        v0, v1, v2 = x.var(-1), d.var(-1), np.diff(d, axis=-1).var(-1)
        mobility = np.sqrt(v1 / v0)
        c = x - x.mean(-1, keepdims=True)
        return np.stack([
            *np.log(power), *(power / total), entropy, v0, mobility, np.sqrt(v2 / v1) / mobility,
            x.mean(-1), x.var(-1), np.sqrt((x * x).mean(-1)), np.ptp(x, axis=-1), np.abs(d).sum(-1),
            (np.diff(np.signbit(c), axis=-1) != 0).sum(-1), scipy.stats.skew(x, axis=-1), scipy.stats.kurtosis(x, axis=-1),
        ])

    return answer(step, repeats, check)


serve({"iir": iir, "welch": welch, "connectivity": connectivity, "fft": fft, "bank": bank, "features": features})
