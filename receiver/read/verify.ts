// What a receiver answers when its central files are compared with their sources: what it holds, hashes of it, and
// whether it is still what was written. The same for a directory that is read from outside. Never writes.

import { LogferryError } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/run.ts';
import type { Endpoint } from '../../common/nats/service.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import { endpointSubject } from '../../common/wire/topology.ts';
import { Turns } from '../../common/runtime/turns.ts';
import {
  type CheckedStretches,
  type HashedBlocks,
  type HeldFiles,
  type Introduction,
  readReceiverQuestion,
  type ReceiverQuestion,
  VERIFY_ENDPOINT,
} from '../../common/fleet/verify.ts';
import { checkSums, isStillListed } from './check-sums.ts';
import { hashBlocks } from './hash-blocks.ts';
import { type Holdings, ledgerHoldings, listHeld } from './holdings.ts';
import type { ReceiverContext } from '../term/partition.ts';
import { PieceReader, type PlacedRun } from './reader.ts';

/** A list is cut into answers of this size, or less where the server takes less. */
const LIST_BYTES = 256 * 1024;
/** What is wrong is looked at again after this: it may just be cut, compressed or removed. */
const AGAIN_MS = 50;
/** Compressed files that stay open from one question to the next: they can only be read on, not begun in the middle. */
const MOST_OPEN = 4;
const IDLE_MS = 10_000;

type Asked<K extends ReceiverQuestion['do']> = Omit<Extract<ReceiverQuestion, { do: K }>, 'do'>;

/** Answers about one set of holdings, one question that reads at a time. Close it in the end. */
export class Verifier {
  readonly #holdings: Holdings;
  readonly #turns = new Turns();
  /** By generation, the one that was used last at the end. */
  readonly #readers = new Map<string, { readonly reader: PieceReader; timer: NodeJS.Timeout | undefined }>();

  constructor(holdings: Holdings) {
    this.#holdings = holdings;
  }

  list({ host, after }: Asked<'list'>, mostBytes = LIST_BYTES): HeldFiles {
    return listHeld(this.#holdings, host, after, Math.min(mostBytes, LIST_BYTES));
  }

  async hash({ host, file, ...range }: Asked<'hash'>): Promise<HashedBlocks> {
    return await this.#read(host, file, async (runs, reader) => {
      const hashed = await hashBlocks(runs(), range, reader);
      if (hashed.problems.length === 0) return hashed;
      await reader.close();
      await sleep(AGAIN_MS);
      return await hashBlocks(runs(), range, reader);
    });
  }

  async check({ host, file, from }: Asked<'check'>): Promise<CheckedStretches> {
    return await this.#read(host, file, async (runs, reader) => {
      const checked = await checkSums(runs(), from, reader);
      const isWrong = ({ result }: (typeof checked)['stretches'][number]): boolean =>
        result === 'differs' || result === 'unreadable';
      if (!checked.stretches.some(isWrong)) return checked;
      await reader.close();
      await sleep(AGAIN_MS);
      const again = await checkSums(runs(), from, reader);
      const listed = runs();
      const stretches = again.stretches.filter((one) => !isWrong(one) || isStillListed(listed, one));
      return { stretches, next: again.next };
    });
  }

  async #read<T>(
    host: string,
    file: string,
    work: (runs: () => readonly PlacedRun[], reader: PieceReader) => Promise<T>,
  ): Promise<T> {
    return await this.#turns.take(async () => {
      const key = fileKey(host, file);
      const reader = await this.#take(key);
      try {
        return await work(() => this.#holdings.ofFile(key), reader);
      } finally {
        await this.#keep(key, reader);
      }
    });
  }

  async #take(key: string): Promise<PieceReader> {
    const kept = this.#readers.get(key);
    clearTimeout(kept?.timer);
    this.#readers.delete(key);
    return await Promise.resolve(kept?.reader ?? new PieceReader());
  }

  /** Plain files are opened anew each time: what is on disk now counts. */
  async #keep(key: string, reader: PieceReader): Promise<void> {
    if (reader.opened?.encoding === undefined) {
      await reader.close();
      return;
    }
    const timer = setTimeout(() => {
      this.#readers.delete(key);
      void reader.close();
    }, IDLE_MS).unref();
    this.#readers.set(key, { reader, timer });
    for (const [oldest, { reader: old, timer: running }] of this.#readers) {
      if (this.#readers.size <= MOST_OPEN) break;
      clearTimeout(running);
      this.#readers.delete(oldest);
      await old.close();
    }
  }

  async close(): Promise<void> {
    await this.#turns.take(async () => {
      for (const { reader, timer } of this.#readers.values()) {
        clearTimeout(timer);
        await reader.close();
      }
      this.#readers.clear();
    });
  }
}

/**
 * What is answered, and how to let go of the files that are open for it.
 *
 * @param isReady false while the ledgers are not open: then it answers with an error
 */
export function verifyEndpoint(
  { link, topology, output }: ReceiverContext,
  isReady: () => boolean,
): {
  readonly endpoint: Endpoint;
  readonly close: () => Promise<void>;
} {
  const { prefix, partitions } = topology;
  const { out, id, directory, ledgers } = output;
  const holdings = ledgerHoldings(out, partitions, (partition) => ledgers.get(partition)?.ledger);
  const verifier = new Verifier(holdings);
  const answer = async (
    question: ReceiverQuestion,
  ): Promise<Introduction | HeldFiles | HashedBlocks | CheckedStretches> => {
    if (!isReady()) throw new LogferryError('busy', 'the receiver has not begun yet');
    if (question.do === 'introduce') return { id, directory };
    if (question.do === 'list') return verifier.list(question, link.maxPayload() / 2);
    return question.do === 'hash' ? await verifier.hash(question) : await verifier.check(question);
  };
  return {
    endpoint: {
      name: VERIFY_ENDPOINT,
      subject: endpointSubject(VERIFY_ENDPOINT, prefix, 'receiver', id),
      handle: async (data) => JSON.stringify(await answer(readReceiverQuestion(data))),
    },
    close: async () => {
      await verifier.close();
    },
  };
}
