// Shippers and receivers that are asked over NATS to hash what they have. Never waits for one for ever: who does not
// answer is not asked again.

import { errors, type Msg } from '@nats-io/transport-node';

import { Bucket, isUnanswered } from '../../common/nats/bucket.ts';
import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { headersOf } from '../../common/wire/headers.ts';
import { parseMember } from '../../common/fleet/members.ts';
import type { Link } from '../../common/nats/connection.ts';
import { inParallel, sleep } from '../../common/runtime/run.ts';
import { SERVICE_ERROR } from '../../common/nats/service.ts';
import { endpointSubject, memberOfKey, membersBucket } from '../../common/wire/topology.ts';
import {
  answers,
  countBlocks,
  type HeldFile,
  type ReceiverQuestion,
  VERIFY_ENDPOINT,
} from '../../common/fleet/verify.ts';
import type { Holder, SourceSide } from './sides.ts';

/** A daemon does not answer, or says that it cannot. The message says who. */
export class NoAnswer extends LogferryError {
  constructor(message: string, cause?: unknown) {
    super('unreachable', message, undefined, { cause });
  }
}

/** Reading 64 MiB from a slow disk, behind those that others have asked for. */
const ANSWER_MS = 60_000;
const INTRODUCTION_MS = 3_000;
/** While a daemon connects again, nobody listens on its subject. */
const TRIES = 3;
const TRY_AGAIN_MS = 400;
const RECEIVERS_AT_ONCE = 16;
/** Pages of one list: more than that is no list of a receiver's. */
const MOST_PAGES = 10_000;

export interface Daemons {
  readonly sources: SourceSide;
  readonly receivers: readonly Holder[];
  /** Receivers that are registered and do not answer, by the id of their directory. */
  readonly silent: ReadonlyMap<string, string>;
}

/** Finds the receivers that answer. Shippers are found when they are asked. */
export async function findDaemons(
  link: Link,
  names: { stream: string; prefix: string },
  signal: AbortSignal,
): Promise<Daemons> {
  const sources = askShippers(link, names.prefix, signal);
  const receivers: Holder[] = [];
  const silent = new Map<string, string>();
  const members = new Bucket(link, membersBucket(names.stream));
  const keys = (await members.info()) === undefined ? [] : await members.keys('receiver.*');
  await inParallel(keys, RECEIVERS_AT_ONCE, async (key) => {
    const member = memberOfKey(key);
    if (member?.kind !== 'receiver') return;
    const registered = parseMember((await members.read(key)).data);
    const subject = endpointSubject(VERIFY_ENDPOINT, names.prefix, 'receiver', member.name);
    const what = `receiver ${member.name}`;
    const asked = asker(link, subject, what, signal);
    try {
      const data = await asked({ do: 'introduce' }, INTRODUCTION_MS);
      const { id, directory } = understood(what, () => answers.introduction(data));
      receivers.push(receiverHolder(id, directory, asked));
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      if (registered !== undefined) silent.set(registered.directory, member.name);
    }
  });
  return { sources, receivers: receivers.toSorted((a, b) => (a.name < b.name ? -1 : 1)), silent };
}

/** For who wants only the sources. */
export function askShippers(link: Link, prefix: string, signal: AbortSignal): SourceSide {
  const silent = new Map<string, NoAnswer>();
  return {
    hash: async ({ host, path, file, committed, tail }, blocks) => {
      const known = silent.get(host);
      if (known !== undefined) throw known;
      const what = `the shipper of ${host}`;
      const asked = asker(link, endpointSubject(VERIFY_ENDPOINT, prefix, 'shipper', host), what, signal);
      try {
        const data = await asked({ file, path, committed, tail, ...blocks });
        return understood(what, () => answers.shipper(data, countBlocks(blocks)));
      } catch (error) {
        if (error instanceof NoAnswer) silent.set(host, error);
        throw error;
      }
    },
  };
}

type Asker = (question: object, timeoutMs?: number) => Promise<Uint8Array>;

function receiverHolder(name: string, directory: string, asked: Asker): Holder {
  const what = `receiver ${name}`;
  const ask = async (question: ReceiverQuestion): Promise<Uint8Array> => await asked(question);
  return {
    name,
    directory,
    files: async (host) => {
      const files: HeldFile[] = [];
      let after: string | null = '';
      for (let page = 0; after !== null && page < MOST_PAGES; page += 1) {
        const data = await ask({ do: 'list', host, after });
        const listed = understood(what, () => answers.files(data));
        files.push(...listed.files);
        after = listed.next;
      }
      return files;
    },
    hash: async (host, file, blocks) => {
      const data = await ask({ do: 'hash', host, file, ...blocks });
      return understood(what, () => answers.hashes(data, countBlocks(blocks)));
    },
    check: async (host, file, from) => {
      const data = await ask({ do: 'check', host, file, from });
      return understood(what, () => answers.stretches(data));
    },
  };
}

function asker(link: Link, subject: string, what: string, signal: AbortSignal): Asker {
  return async (question, timeout = ANSWER_MS) => {
    for (let tries = 1; ; tries += 1) {
      try {
        const request = link.nc.request.bind(link.nc);
        const data = JSON.stringify(question);
        const asked = link.ask(async () => await request(subject, data, { timeout }));
        return dataOf(await unlessStopped(asked, signal), what);
      } catch (error) {
        if (!isUnanswered(error) || error instanceof NoAnswer) throw error;
        const isTimeout = error instanceof errors.TimeoutError;
        if (isTimeout || tries === TRIES || signal.aborted)
          throw new NoAnswer(`${what} does not answer`, error);
      }
      await sleep(TRY_AGAIN_MS, signal);
    }
  };
}

/** Nobody waits for an answer when it was stopped. */
async function unlessStopped<T>(asked: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => {
    reject(new NoAnswer('it was stopped'));
  };
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([asked, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function dataOf(message: Msg, what: string): Uint8Array {
  const failed = headersOf(message)?.get(SERVICE_ERROR) ?? '';
  if (failed !== '') throw new NoAnswer(`${what} answers: ${failed}`);
  return message.data;
}

/** What somebody else answers there is no answer. */
function understood<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof LogferryError)) throw error;
    throw new NoAnswer(`${what} answers what is not understood (${messageOf(error)})`, error);
  }
}
