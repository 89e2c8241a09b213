// Numbers that a seed draws, for tests that go another way each time they are told to: LOGFERRY_TEST_SEED=7.

const SEED = Number(process.env['LOGFERRY_TEST_SEED'] ?? 1);

/** mulberry32: the same numbers from the same seed, everywhere. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The base seed of this run; tests add their own number to it. */
export function baseSeed(): number {
  return SEED;
}
