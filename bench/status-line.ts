// One line on a terminal that says what is being done. Never on anything but a terminal.

/** Replaces the line; an empty text clears it. */
export function showStatus(text: string): void {
  if (!process.stderr.isTTY) return;
  process.stderr.write(`\r${text.slice(0, (process.stderr.columns ?? 80) - 1)}\u001B[K\r`);
}
