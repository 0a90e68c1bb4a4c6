// One WebSocket to the server, opened again for as long as the page lives.

import { decodeFrame, decodeMessage, type Frame, type Message } from "./wire";

export type LinkState = "connecting" | "live" | "waiting";

export interface Listener {
  frame(f: Frame): void;
  message(m: Message): void;
  link(state: LinkState, detail: string): void;
  roundTrip(ms: number): void;
}

const firstRetry = 500; // ms, doubled up to
const lastRetry = 8000;
const pingEvery = 2000;

export class Connection {
  private socket: WebSocket | null = null;
  private retry = firstRetry;
  private pings = new Map<number, number>();
  private nextPing = 1;
  private malformed = 0;

  constructor(
    private readonly url: string,
    private readonly listener: Listener,
  ) {
    this.open();
    setInterval(() => this.ping(), pingEvery);
    document.addEventListener("visibilitychange", () => this.subscribe());
  }

  private open(): void {
    this.listener.link("connecting", "");
    const s = new WebSocket(this.url, "neurostream.v1");
    s.binaryType = "arraybuffer";
    this.socket = s;
    s.onopen = () => {
      this.retry = firstRetry;
      this.malformed = 0;
      this.listener.link("live", "");
      this.subscribe();
      this.ping();
    };
    s.onmessage = (e: MessageEvent<ArrayBuffer | string>) => this.receive(e.data);
    s.onclose = (e) => {
      this.socket = null;
      this.pings.clear();
      const wait = this.retry;
      this.retry = Math.min(2 * wait, lastRetry);
      this.listener.link("waiting", e.reason || `next try in ${(wait / 1000).toFixed(1)} s`);
      setTimeout(() => this.open(), wait);
    };
  }

  private receive(data: ArrayBuffer | string): void {
    if (typeof data === "string") {
      const m = decodeMessage(data);
      if (!m) return this.refuse();
      if (m.type === "pong") {
        const sent = this.pings.get(m.id);
        this.pings.delete(m.id);
        if (sent !== undefined) this.listener.roundTrip(performance.now() - sent);
        return;
      }
      this.listener.message(m);
      return;
    }
    const f = decodeFrame(data);
    if (!f) return this.refuse();
    this.listener.frame(f);
  }

  // A peer that keeps sending what cannot be read is not our server.
  private refuse(): void {
    if (++this.malformed > 3) this.socket?.close(4000, "unreadable messages");
  }

  private send(v: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(v));
  }

  private ping(): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (this.pings.size > 4) this.pings.clear();
    this.pings.set(this.nextPing, performance.now());
    this.send({ type: "ping", id: this.nextPing++ });
  }

  // A hidden page draws nothing, so it need not be sent the fast signals.
  private subscribe(): void {
    this.send({ type: "subscribe", signals: !document.hidden, decisions: true, power: !document.hidden });
  }
}
