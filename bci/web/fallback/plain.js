// The plain page's few lines: numbers from the server's status messages.
const get = (id) => document.getElementById(id);
const us = (s) => (s && s.n ? s.p99.toFixed(1) + " µs (p50 " + s.p50.toFixed(1) + ")" : "–");

function show({ status: s, tally: t, server }) {
  get("line").textContent = [s.state || "no engine", s.pipeline, s.source].filter(Boolean).join(" · ");
  const dropped = (s.rings || []).reduce((a, r) => a + r.dropped, 0);
  const pairs = {
    "engine latency p99": us(s.engine_us),
    "age of data p99": us(s.age_us),
    "algorithmic delay": (1000 * s.delay_s).toFixed(1) + " ms",
    "real-time factor": "× " + s.realtime.toFixed(2),
    "data": s.data_s.toFixed(1) + " s, " + s.columns + " columns of " + s.rows + " channels",
    "chunks": s.chunks,
    "decisions": s.decisions,
    "commands": t.hits + " right, " + t.wrong + " wrong, " + t.missed + " trials without, " + t.false + " while idle",
    "dropped": dropped + " columns",
    "events": (s.events || []).map((e) => e.kind + " " + e.n).join(", ") || "none",
    "pages": server.clients,
    "digest": s.digest,
  };
  get("figures").replaceChildren(
    ...Object.entries(pairs).flatMap(([k, v]) => {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = k;
      dd.textContent = v;
      return [dt, dd];
    }),
  );
  get("latency").replaceChildren(
    ...(s.stages || []).map((g) => {
      const tr = document.createElement("tr");
      const cells = [g.name, ...[g.work_us.p50, g.work_us.p99, g.work_us.p999, g.work_us.max].map((v) => v.toFixed(1))];
      for (const c of cells) tr.insertCell().textContent = c;
      return tr;
    }),
  );
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(scheme + "://" + location.host + "/ws", "neurostream.v1");
  socket.onopen = () => socket.send(JSON.stringify({ type: "subscribe" })); // numbers only
  socket.onmessage = (e) => {
    if (typeof e.data !== "string") return;
    const m = JSON.parse(e.data);
    if (m.type === "status") show(m);
  };
  socket.onclose = () => {
    get("line").textContent = "disconnected, trying again";
    setTimeout(connect, 1000);
  };
}
connect();
