// How fast a counter grows, over the last seconds. Pure: the time is an argument.

const WINDOW_MS = 10_000;

export class Rate {
  readonly #seen: { readonly at: number; readonly total: number }[] = [];

  /** Notes the counter as it is now; about once a second will do. */
  note(total: number, nowMs: number): void {
    this.#seen.push({ at: nowMs, total });
    while ((this.#seen[1]?.at ?? nowMs) <= nowMs - WINDOW_MS) this.#seen.shift();
  }

  /** A second, over what was noted within the window; 0 before anything was. */
  perSecond(total: number, nowMs: number): number {
    const [first] = this.#seen;
    if (first === undefined || nowMs <= first.at) return 0;
    return Math.max(0, Math.round(((total - first.total) / (nowMs - first.at)) * 1_000));
  }
}
