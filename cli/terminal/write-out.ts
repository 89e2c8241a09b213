// Data on stdout, no faster than it is read there. Never returns before it is taken: the process may end right after, and
// what a pipe has not taken by then is lost.

/** Waits until the data is taken: a slow reader holds us back. */
export async function writeOut(data: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(data, (error) => {
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}

/** Bytes that are gathered into large writes, in the order in which they were added. */
export class Output {
  #waiting: Uint8Array[] = [];
  #bytes = 0;
  #written: Promise<void> = Promise.resolve();

  /** Bytes that were added and not yet given to stdout. */
  get bytes(): number {
    return this.#bytes;
  }

  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Resolves when all that was added is taken. */
  async flush(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    const [only] = waiting;
    if (only !== undefined) {
      const bytes = waiting.length === 1 ? only : Buffer.concat(waiting);
      this.#written = this.#written.then(async () => {
        await writeOut(bytes);
      });
    }
    await this.#written;
  }
}
