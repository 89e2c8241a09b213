// The numbers that tests work with, in this process: smaller than a program's. Imported before anything that uses them.

import { tune, tuning } from '../../common/runtime/tuning.ts';

/** As a program has them. */
export const UNTUNED = { ...tuning };

/** Partitions of the streams of tests: each costs a consumer and a record, and most tests have one host. */
export const PARTITIONS = 16;

tune({ partitions: PARTITIONS, knownAgainMs: 8_000, rewindPauseMs: 5_000, packingMs: 20_000 });
tune({ silentHostMs: 11_000, silentReceiverMs: 5_000, idleFileMs: 2_000 });
