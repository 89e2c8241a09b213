// How long tests wait. Limits only end a test that would go on for ever, on however slow a machine; how fast logferry
// is, no test says: bench/ measures it.

/** For what must come. */
export const WAIT_MS = 120_000;

/** For an answer of a server: what was lost on its way, as with a server that is killed, is asked for again then. */
export const ANSWER_MS = 20_000;

/** For a whole test. */
export const TEST_MS = 600_000;
