// Ledgers and records that could not be read as a whole, in words: what they list is nobody's to print or to verify. Pure.

import { LogferryError } from '../../common/runtime/errors.ts';
import { printable } from '../terminal/printable.ts';
import type { Contents } from '../../receiver/read.ts';

export const SEE_ABOVE = 'the lines before this one say which';

/** One for each damaged ledger. */
export function damagedLedgers({ damaged }: Pick<Contents, 'damaged'>): LogferryError[] {
  return damaged.map(
    (file) =>
      new LogferryError(
        'failed',
        `${printable(file)} is damaged, and what its lost lines listed is not read`,
        'start the receiver in that directory, it mends its ledger',
      ),
  );
}

/** `2 partitions could not be read` */
export function countUnread(partitions: number): string {
  return `${partitions === 1 ? '1 partition' : `${partitions} partitions`} could not be read`;
}

/** Once everything else is written, and what could not be read was said: throws `failed` when there was any. */
export function refuseUnread(unread: readonly LogferryError[]): void {
  if (unread.length > 0) throw new LogferryError('failed', countUnread(unread.length), SEE_ABOVE);
}
