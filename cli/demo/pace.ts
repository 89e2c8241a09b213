// How fast bytes arrive and how far behind they are, from what was written and committed at each look. Pure.

export interface Moment {
  readonly atMs: number;
  /** Of what arrived. */
  readonly linesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Since the first byte was written that has not arrived. */
  readonly lagMs: number;
  readonly lagBytes: number;
  readonly written: number;
}

interface Look {
  readonly atMs: number;
  readonly written: number;
  readonly committed: number;
}

/** Commits come about once a second: over less than this the speed would jump. */
const WINDOW_MS = 3_000;

export class Pace {
  #looks: Look[] = [];

  /** Takes what was written (bytes and lines) and committed until now; times count from the start. */
  look(atMs: number, written: { bytes: number; lines: number }, committed: number): Moment {
    this.#looks.push({ atMs, written: written.bytes, committed });
    const first = this.#looks.findLast((look) => atMs - look.atMs >= WINDOW_MS) ?? this.#looks[0];
    const elapsed = first === undefined ? 0 : atMs - first.atMs;
    const bytesPerSecond = elapsed <= 0 ? 0 : ((committed - (first?.committed ?? 0)) / elapsed) * 1_000;
    const late = this.#looks.find((look) => look.written > committed);
    const needed = Math.min(first?.atMs ?? 0, late?.atMs ?? atMs);
    this.#looks = this.#looks.filter((look) => look.atMs >= needed);
    return {
      atMs,
      linesPerSecond: written.bytes === 0 ? 0 : (bytesPerSecond * written.lines) / written.bytes,
      bytesPerSecond,
      lagMs: late === undefined ? 0 : atMs - late.atMs,
      lagBytes: Math.max(0, written.bytes - committed),
      written: written.bytes,
    };
  }
}
