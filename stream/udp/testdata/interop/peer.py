"""The other side of the interoperability tests: peer.py ROLE ARGUMENTS.

Prints one JSON object per line; "ready" first. Reads a line from standard input before it sends.
"""
import importlib.util
import json
import os
import struct
import sys
import threading
import time

import numpy as np


def say(**kw):
    print(json.dumps(kw, default=lambda b: b.decode()), flush=True)


def wait():
    sys.stdin.readline()


def brainflow_send(port):
    from brainflow.board_shim import BoardIds, BoardShim, BrainFlowInputParams

    BoardShim.disable_board_logger()
    board = BoardShim(BoardIds.SYNTHETIC_BOARD.value, BrainFlowInputParams())
    board.prepare_session()
    board.add_streamer("streaming_board://225.1.1.1:%d" % port)
    say(ready=True)
    wait()
    board.start_stream()
    time.sleep(2)
    board.stop_stream()
    d = board.get_board_data()
    board.release_session()
    say(eeg=d[1:17].T.tolist(), number=d[0].tolist(), stamp=d[30].tolist())


def brainflow_receive(port, columns):
    from brainflow.board_shim import BoardIds, BoardShim, BrainFlowInputParams

    BoardShim.disable_board_logger()
    p = BrainFlowInputParams()
    p.ip_address, p.ip_port, p.master_board = "225.1.1.1", port, BoardIds.CYTON_BOARD.value
    board = BoardShim(BoardIds.STREAMING_BOARD.value, p)
    board.prepare_session()
    board.start_stream()
    say(ready=True)
    for _ in range(100):
        time.sleep(0.05)
        if board.get_board_data_count() >= columns:
            break
    board.stop_stream()
    d = board.get_board_data()
    say(eeg=d[1:9].T.tolist(), number=d[0].tolist(), stamp=d[22].tolist())


def osc_send(port):
    from pythonosc import osc_bundle_builder, osc_message_builder
    from pythonosc.udp_client import SimpleUDPClient

    c = SimpleUDPClient("127.0.0.1", port)
    r = np.random.default_rng(1)
    say(ready=True)
    wait()
    sent = []
    for i in range(300):
        v = r.normal(0, 50, 4).astype(np.float32)
        sent.append(v.tolist())
        if i % 3:
            c.send_message("/muse/eeg", [float(x) for x in v])
        else:
            b = osc_bundle_builder.OscBundleBuilder(osc_bundle_builder.IMMEDIATELY)
            m = osc_message_builder.OscMessageBuilder("/muse/eeg")
            for x in v:
                m.add_arg(float(x))
            b.add_content(m.build())
            c.send(b.build())
        c.send_message("/muse/acc", [0.0, 0.0, 1.0])
        if i == 100:
            c.send_message("/muse/elements/blink", 1)
        if i % 20 == 0:
            time.sleep(0.005)
    say(sent=sent)


def osc_receive(columns):
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import BlockingOSCUDPServer

    got, marks, done = [], [], threading.Event()
    d = Dispatcher()

    def eeg(address, *args):
        got.append(list(args))
        if len(got) % 50 == 0:
            say(ready=True)
        if len(got) == columns:
            done.set()

    d.map("/bci", eeg)
    d.map("/marker", lambda address, *args: marks.append(args[0]))
    s = BlockingOSCUDPServer(("127.0.0.1", 0), d)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    say(ready=True, port=s.server_address[1])
    done.wait(10)
    say(got=got, marks=marks)


def openbci_send(port):
    """Sends what NetworkStreamOut.pde prescribes: Java's text of a float32 is its shortest one."""
    import socket

    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    r = np.random.default_rng(2)
    say(ready=True)
    wait()
    sent = []
    for _ in range(50):
        v = r.normal(0, 50, (8, 10)).astype(np.float32)
        sent += v.T.tolist()
        rows = ["[" + ",".join(str(x) for x in row) + "]" for row in v]
        s.sendto(('{"type":"timeSeriesRaw","data":[' + ",".join(rows) + "]}\r\n").encode("ascii"), ("127.0.0.1", port))
        time.sleep(0.002)
    say(sent=sent)


def fieldtrip():
    spec = importlib.util.find_spec("mne_realtime")  # the file alone: the package wants all of MNE
    path = os.path.join(list(spec.submodule_search_locations)[0], "externals", "FieldTrip.py")
    spec = importlib.util.spec_from_file_location("FieldTrip", path)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m


def fieldtrip_put(port):
    """That client's put… mix text and bytes, which Python 3 refuses: the bodies are made here."""
    ft = fieldtrip()
    c = ft.Client()
    c.connect("127.0.0.1", port)

    def put(command, body):
        c.sendRequest(command, body)
        status, _, _ = c.receiveResponse()
        assert status == ft.PUT_OK, status

    names = b"Fp1\0Fp2\0C3\0C4\0Oz\0"
    put(ft.PUT_HDR, struct.pack("<IIIfII", 5, 0, 0, 256.0, ft.DATATYPE_FLOAT64, 8 + len(names)) + struct.pack("<II", ft.CHUNK_CHANNEL_NAMES, len(names)) + names)
    say(ready=True)
    wait()
    r = np.random.default_rng(3)
    sent = []
    for k in range(20):
        v = r.normal(0, 50, (16, 5))
        put(ft.PUT_DAT, struct.pack("<IIII", 5, 16, ft.DATATYPE_FLOAT64, v.nbytes) + v.tobytes())
        sent += v.tolist()
        if k == 7:
            put(ft.PUT_EVT, struct.pack("<IIIIiiiI", 0, 8, 0, 4, 16 * k + 3, 0, 0, 12) + b"StimulusS  1")
    assert c.getData().tolist() == sent
    assert c.getHeader().nSamples == len(sent)
    say(sent=sent)
    wait()


def fieldtrip_get(port, columns):
    ft = fieldtrip()
    c = ft.Client()
    c.connect("127.0.0.1", port)
    say(ready=True)
    while True:
        n, _ = c.wait(columns - 1, 1 << 30, 5000)
        if n >= columns:
            break
    h = c.getHeader()
    d = c.getData([0, columns - 1])
    e = c.getEvents()
    say(rate=h.fSample, labels=h.labels, data=d.tolist(), events=[[x.type, x.value, int(x.sample)] for x in e])


def zmq_publish():
    """The ZeroMQ library's publisher, with messages as the ZMQ interface of Open Ephys describes them."""
    import zmq

    s = zmq.Context().socket(zmq.XPUB)
    s.setsockopt(zmq.SNDHWM, 0)
    port = s.bind_to_random_port("tcp://127.0.0.1")
    say(ready=True, port=port)
    assert s.recv() == b"\x01"  # the subscription to all
    r = np.random.default_rng(4)
    sent, number = [], 0
    for k in range(50):
        v = r.normal(0, 50, (40, 6)).astype(np.float32)
        sent += v.tolist()
        for c in range(6):
            number += 1
            content = {"stream": "A", "channel_num": c, "channel_name": "CH%d" % c, "num_samples": 40, "sample_num": 40 * k, "sample_rate": 1000.0}
            head = {"message_num": number, "type": "data", "content": content, "data_size": 160, "timestamp": int(time.time() * 1000)}
            s.send_multipart([b"DATA\0", json.dumps(head).encode(), v[:, c].tobytes()])
    say(sent=sent)
    wait()


def zmq_subscribe(port, messages):
    import zmq

    s = zmq.Context().socket(zmq.SUB)
    s.setsockopt(zmq.RCVHWM, 0)
    s.setsockopt(zmq.RCVTIMEO, 10000)
    s.subscribe(b"")
    s.connect("tcp://127.0.0.1:%d" % port)
    blocks = {}
    for _ in range(messages):
        topic, head, data = s.recv_multipart()
        h = json.loads(head)["content"]
        assert topic == b"DATA\0"
        blocks.setdefault(h["sample_num"], {})[h["channel_num"]] = np.frombuffer(data, np.float32)
    got = []
    for k in sorted(blocks):
        got += np.array([blocks[k][c] for c in sorted(blocks[k])]).T.tolist()
    say(got=got)


role, rest = sys.argv[1], [int(x) for x in sys.argv[2:]]
{f.__name__: f for f in (brainflow_send, brainflow_receive, osc_send, osc_receive, openbci_send, fieldtrip_put, fieldtrip_get, zmq_publish, zmq_subscribe)}[role](*rest)
