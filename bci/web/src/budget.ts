// The latency budget: what each stage costs, the engine as a whole, the age of what
// comes out, and, kept apart, the delay that filters and windows add by design.

import { duration, significant } from "./format";
import type { Spread, Status } from "./wire";

export class Budget {
  private readonly rows = new Map<string, HTMLTableRowElement>();

  constructor(
    private readonly stages: HTMLTableSectionElement,
    private readonly totals: HTMLTableSectionElement,
    private readonly delay: HTMLElement,
    private readonly delayBar: HTMLElement,
  ) {}

  update(s: Status): void {
    const stages = s.stages ?? [];
    const most = Math.max(1e-9, ...stages.map((g) => g.work_us.p50));
    const seen = new Set<string>();
    stages.forEach((g, i) => {
      const key = `${i} ${g.name}`;
      seen.add(key);
      this.row(this.stages, key, g.name, g.delay_s, g.work_us, g.work_us.p50 / most);
      const f = g.fallbacks;
      const tr = this.rows.get(key);
      if (f && tr) {
        tr.title = `${f.columns} columns, ${f.fallbacks} of them with a simpler update, ${f.unusable} only predicted`;
        put(tr.cells[0], f.fallbacks + f.unusable > 0 ? `${g.name} (fell back ${f.fallbacks + f.unusable} of ${f.columns})` : g.name);
      }
      for (const p of g.parts ?? []) {
        const part = `${key}: ${p.name}`;
        seen.add(part);
        this.row(this.stages, part, `\u2003${p.name}`, NaN, p.work_us, p.work_us.p50 / most);
      }
    });
    const totals: [string, string, Spread][] = [
      ["engine", "engine: read → decision", s.engine_us],
      ["age", "age of data at decision", s.age_us],
      ...(s.sides ?? []).map((b): [string, string, Spread] => [`side ${b.name}`, `age of data on side lane ${b.name}`, b.age_us]),
      ["pacing", "source tick lateness", s.pacing_us],
    ];
    for (const [id, name, spread] of totals) {
      if (!spread?.n) continue;
      seen.add(id);
      this.row(this.totals, id, name, NaN, spread, -1);
    }
    for (const [key, tr] of this.rows) {
      if (seen.has(key)) continue;
      tr.remove();
      this.rows.delete(key);
    }
    this.showDelay(s);
  }

  private row(parent: HTMLTableSectionElement, key: string, name: string, delay: number, work: Spread, share: number): void {
    let tr = this.rows.get(key);
    if (!tr) {
      tr = parent.insertRow();
      tr.dataset["testid"] = `latency-${key.replace(/^\d+ /, "")}`;
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = name;
      tr.append(head);
      for (let i = 0; i < 5; i++) tr.insertCell();
      this.rows.set(key, tr);
    }
    const cells = tr.cells;
    put(cells[1], duration(work.p50, 1e4));
    put(cells[2], duration(work.p99, 1e4));
    put(cells[3], duration(work.p999, 1e4));
    put(cells[4], duration(work.max, 1e4));
    put(cells[5], delay > 0 ? `${significant(delay * 1000)} ms` : "");
    cells[1].style.setProperty("--share", share >= 0 ? `${100 * share}%` : "0%");
  }

  private showDelay(s: Status): void {
    put(this.delay, `${significant(s.delay_s * 1000)} ms`);
    const parts = (s.stages ?? []).filter((g) => g.delay_s > 0);
    const total = parts.reduce((a, g) => a + g.delay_s, 0);
    const key = parts.map((g) => `${g.name} ${g.delay_s}`).join();
    if (this.delayBar.dataset["key"] === key) return;
    this.delayBar.dataset["key"] = key;
    this.delayBar.replaceChildren(
      ...parts.map((g) => {
        const e = document.createElement("span");
        e.style.flexGrow = String(g.delay_s / total);
        e.textContent = `${g.name} ${significant(g.delay_s * 1000)} ms`;
        e.title = e.textContent;
        return e;
      }),
    );
  }
}

export function put(e: Element, words: string): void {
  if (e.textContent !== words) e.textContent = words;
}
