// The event log: typed events as the data brought them, newest first, with counts by
// kind from the engine.

import { clock, count } from "./format";
import type { EventLine, Status } from "./wire";

const keep = 200;

// How an event's count reads.
const counts: Record<string, (n: number) => string> = {
  "clock-jump": (n) => `${(n / 1e6).toFixed(1)} ms`,
  "rate-change": (n) => `${(n / 1000).toFixed(2)} Hz`,
  stale: (n) => `${(n / 1e9).toFixed(1)} s`,
  gap: (n) => `${count(n)} columns`,
  drop: (n) => `${count(n)} columns`,
  bridge: (n) => `${count(n)} columns`,
  "bad-samples": (n) => `${count(n)} samples`,
};

const severe = new Set(["gap", "drop", "malformed", "stale", "clock-jump", "channel-bad"]);
const mild = new Set(["note", "model-swap", "bridge", "channel-good", "artifact", "fallback"]);

export class Events {
  private origin = 0;

  constructor(
    private readonly list: HTMLElement,
    private readonly kinds: HTMLElement,
    private readonly empty: HTMLElement,
  ) {}

  setOrigin(s: number): void {
    this.origin = s;
  }

  clear(): void {
    this.list.replaceChildren();
    this.empty.hidden = false;
  }

  add(events: EventLine[]): void {
    for (const e of events) {
      const li = document.createElement("li");
      li.dataset["kind"] = e.kind;
      const level = severe.has(e.kind) ? "severe" : mild.has(e.kind) ? "mild" : "fair";
      li.append(
        span("when", clock(e.time_s - this.origin)),
        span(`kind ${level}`, e.kind),
        span("what", [counts[e.kind]?.(e.count) ?? (e.count ? count(e.count) : ""), e.origin, e.detail ?? ""].filter(Boolean).join(" · ")),
      );
      this.list.prepend(li);
    }
    while (this.list.children.length > keep) this.list.lastElementChild?.remove();
    this.empty.hidden = this.list.children.length > 0;
  }

  update(s: Status): void {
    const words = (s.events ?? []).map((e) => `${e.kind} ${count(e.n)}`).join(" · ");
    if (this.kinds.textContent !== words) this.kinds.textContent = words;
  }
}

function span(name: string, words: string): HTMLElement {
  const e = document.createElement("span");
  e.className = name;
  e.textContent = words;
  return e;
}
