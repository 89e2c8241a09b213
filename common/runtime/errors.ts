// The one error class of the project, and what the process exits with. Pure.

/** What went wrong, by what the caller or the operator must do about it. */
export type ErrorCode =
  | 'usage' // wrong flags or configuration: exit 2
  | 'failed' // anything that ends a command: exit 1
  | 'busy' // somebody else holds what was asked for
  | 'conflict' // something exists and differs from what was asked for
  | 'unreachable' // no connection, or no answer in time
  | 'refused' // the server said no (credentials, permissions, JetStream off)
  | 'newer' // written by a newer version: never rebuilt, never guessed at
  | 'corrupt' // does not parse or does not match its checksum
  | 'lost' // a term that was ours is another's now
  | 'risk'; // a command was to look, and data is at risk: exit 3

/** An error that a person can act on: what failed and where, and a hint what to do now. */
export class LogferryError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, hint?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LogferryError';
    this.code = code;
    this.hint = hint;
  }
}

/** 0 done, 1 failed, 2 wrong usage or configuration, 3 data at risk (design §6). */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof LogferryError)) return 1;
  return error.code === 'usage' ? 2 : error.code === 'risk' ? 3 : 1;
}

/** One line for a terminal: the message, then the hint. Never a stack trace. */
export function oneLine(error: unknown): string {
  if (error instanceof LogferryError)
    return (error.hint === undefined ? error.message : `${error.message}: ${error.hint}`).replaceAll(
      '\n',
      ' ',
    );
  return messageOf(error).replaceAll('\n', ' ');
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether an error, or its cause, says that a disk is full. */
export function isDiskFull(error: unknown): boolean {
  return hasSystemCode(error, ['ENOSPC', 'EDQUOT']);
}

/** ESTALE of Linux, which libuv has no name for. */
const STALE = 'Unknown system error -116';

/** An open file that can never be read again: its server has forgotten it, or is gone. Another descriptor may be. */
export function isDeadHandle(error: unknown): boolean {
  const code = systemCode(error);
  return code === STALE || code === 'ESTALE' || code === 'ENOTCONN' || code === 'EBADF';
}

/** For `catch`: of one that cannot be read any more nothing else matters; anything else is thrown. */
export function tolerateDead(error: unknown): void {
  if (!isDeadHandle(error)) throw error;
}

/** The process, or the machine, has as many files open as it may have. */
export function isOutOfDescriptors(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'EMFILE' || code === 'ENFILE';
}

/** Whether an error, or its cause, says that this user may not. */
export function isForbidden(error: unknown): boolean {
  return hasSystemCode(error, ['EACCES', 'EPERM']);
}

/** Whether an error, or its cause, is a system error with one of these codes. */
export function hasSystemCode(error: unknown, codes: readonly string[]): boolean {
  if (!(error instanceof Error)) return false;
  return (
    codes.includes(systemCode(error) ?? '') ||
    (error.cause !== undefined && hasSystemCode(error.cause, codes))
  );
}

/** The `code` of a system error (`ENOENT`), or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
