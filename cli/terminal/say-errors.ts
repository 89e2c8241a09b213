// Errors that do not end a command yet, on stderr.

import { type LogferryError, oneLine } from '../../common/runtime/errors.ts';

/** A line for each. */
export function sayErrors(errors: readonly LogferryError[]): void {
  for (const error of errors) process.stderr.write(`logferry: ${oneLine(error)}\n`);
}
