// Whether a shipper holds a file open: it may open one for a moment, to look at its first bytes.

import { sleep } from '../../../common/runtime/run.ts';

const LOOKS = 3;
const LOOK_MS = 25;

/** @param isOpen whether it is open now */
export async function staysOpen(isOpen: () => boolean): Promise<boolean> {
  for (let look = 0; look < LOOKS; look += 1) {
    if (look > 0) await sleep(LOOK_MS);
    if (!isOpen()) return false;
  }
  return true;
}
