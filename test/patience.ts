// How long tests wait. Limits only end a test that would go on for ever, on however slow a machine; how fast logferry
// is, no test says: bench/ measures it.

/** For what must come. */
export const WAIT_MS = 120_000;

/** For a whole test. */
export const TEST_MS = 600_000;
