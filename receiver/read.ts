// Output directories read from outside, while receivers run or not: what their ledgers list, the bytes of a source file,
// and whether they are still what was written. Never writes.

export { STATE_DIRECTORY } from './ledger/names.ts';
export { contentHoldings } from './read/holdings.ts';
export type { Hole } from './read/join.ts';
export { type Contents, joinSource, type Listed, listRuns, readContents, readPieces } from './read/reader.ts';
export { Verifier } from './read/verify.ts';
