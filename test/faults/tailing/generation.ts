// What was written to a path between two rotations, and which file holds it now.

import { baseOf } from '../../../shipper/files/identity.ts';
import { statSync } from './files.ts';

/** A file on disk. */
export interface Holder {
  /** Undefined when it was deleted, or its content is another generation's by now. */
  name: string | undefined;
  readonly ino: string;
  readonly birth: string;
  readonly device: string;
  compressed: boolean;
  /** How many generations this inode has had. */
  generations: number;
}

/** What of a generation may be missing: its end, when nobody could read it any more. */
export interface Cut {
  /** Had arrived by then. */
  readonly arrived: number;
  /** The size that the shipper knew by then: what is missing up to there has to be reported. */
  readonly known: number | undefined;
}

/** What was written to the path between two rotations. */
export class Generation {
  readonly number: number;
  readonly #chunks: Buffer[] = [];
  holder: Holder;
  /** The files that have held it, by what a file id begins with. */
  readonly bases = new Set<string | undefined>();
  size = 0;
  lines = 0;
  cut: Cut | undefined;
  /** Written to its file after the writer had gone on in another: may arrive behind later generations. */
  readonly late: Buffer[] = [];
  /** So many bytes of it have arrived. */
  lateArrived = 0;
  /** Somebody has read of it, or holds it: it is known from then on. */
  isSeen = false;
  /** Nothing but its content was left of it, and no time: it may be missing, if one of these names is said. */
  readonly named = new Set<string>();
  /** Bytes that were shipped are others by now, which has to be said; what came behind them is the next one. */
  isChanged = false;
  /** It follows one that was changed: the file's bytes before it, of which the last ones may come again. */
  before: Buffer = Buffer.alloc(0);

  /** So many of them came again. */
  again = 0;

  constructor(number: number, holder: Holder) {
    this.number = number;
    this.holder = holder;
    this.moveTo(holder);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Whether a file with a name holds it. */
  get isReadable(): boolean {
    return this.holder.name !== undefined;
  }

  moveTo(holder: Holder): void {
    this.holder = holder;
    this.bases.add(baseOf(holder));
    holder.generations += 1;
  }

  add(data: Buffer): void {
    this.#chunks.push(data);
    this.size += data.length;
  }
}

export function holderOf(name: string): Holder {
  const { ino, birthtimeNs } = statSync(name, { bigint: true });
  return {
    name,
    ino: String(ino),
    birth: String(birthtimeNs),
    device: '',
    compressed: false,
    generations: 0,
  };
}
