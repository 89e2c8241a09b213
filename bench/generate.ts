// The source file of the bench: access lines, short ones of an application, or JSON; the same bytes from the same seed
// everywhere. Every line has an id of its own, so a line that is lost or repeated cannot hide.

import { open, rename, rm, stat } from 'node:fs/promises';

import { systemCode } from '../common/runtime/errors.ts';

const WRITE_BYTES = 1024 * 1024;

const METHODS = ['GET', 'GET', 'GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE'];
const PATHS = [
  '/api/v1/orders',
  '/api/v1/customers',
  '/api/v2/search',
  '/assets/app.js',
  '/assets/style.css',
  '/images/products',
  '/account/settings',
  '/checkout',
];
const STATUS = [200, 200, 200, 200, 200, 200, 204, 301, 304, 400, 404, 500];
const REFERERS = [
  '-',
  'https://shop.example/',
  'https://shop.example/cart',
  'https://www.example.org/search',
];
const AGENTS = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1',
  'curl/8.11.0',
  'kube-probe/1.34',
];
const LEVELS = ['INFO', 'INFO', 'INFO', 'INFO', 'DEBUG', 'WARN', 'ERROR'];
const MODULES = ['orders', 'payment', 'search', 'session', 'mailer', 'stock'];
const EVENTS = ['request done', 'cache missed', 'row updated', 'job finished', 'retry', 'user signed in'];
/** 2026-11-21T00:00:00Z, and how many lines share a second. */
const FIRST_SECOND = 1_795_219_200;
const LINES_PER_SECOND = 500;

/** mulberry32 as integers below `limit`. */
export function integers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * limit);
  };
}

function draws(seed: number): {
  readonly below: (limit: number) => number;
  readonly pick: <T>(values: readonly T[]) => T | string;
} {
  const below = integers(seed);
  return { below, pick: (values) => values[below(values.length)] ?? '' };
}

/** Lines of about 205 bytes, one a call, the newline included. ASCII. */
export function accessLines(seed: number): () => string {
  const { below, pick } = draws(seed);
  let count = 0;
  let time = '';
  return () => {
    if (count % LINES_PER_SECOND === 0) time = stamp(FIRST_SECOND + count / LINES_PER_SECOND);
    count += 1;
    const client = `10.${below(4)}.${below(256)}.${below(256)}`;
    const request = `${pick(METHODS)} ${pick(PATHS)}/${below(1_000_000)}?page=${below(100)} HTTP/1.1`;
    const answer = `${pick(STATUS)} ${below(100_000)} "${pick(REFERERS)}" "${pick(AGENTS)}"`;
    const took = `0.${String(below(1_000)).padStart(3, '0')}`;
    return `${client} - - [${time}] "${request}" ${answer} ${took} ${took} ${idOf(count, below)}\n`;
  };
}

/** Lines of an application, of about 90 bytes. */
export function shortLines(seed: number): () => string {
  const { below, pick } = draws(seed);
  let count = 0;
  return () => {
    count += 1;
    const at = new Date(FIRST_SECOND * 1_000 + count * 2).toISOString();
    return `${at} ${pick(LEVELS)} ${pick(MODULES)} ${pick(EVENTS)} in ${below(10_000)} ms user=${below(10_000_000)} ${idOf(count, below)}\n`;
  };
}

/** What a service writes with a JSON logger, of about 450 bytes. */
export function jsonLines(seed: number): () => string {
  const { below, pick } = draws(seed);
  let count = 0;
  return () => {
    count += 1;
    const line = {
      level: 30,
      time: FIRST_SECOND * 1_000 + count * 2,
      pid: 4_217,
      version: '2026.11.3-4c1b2f7',
      hostname: 'shop-7f9c6d5b8-x2k4q',
      name: pick(MODULES),
      traceId: `${idOf(count, below)}${hex(below(4_294_967_296))}`,
      req: {
        id: count,
        method: pick(METHODS),
        url: `${pick(PATHS)}/${below(1_000_000)}`,
        headers: { 'user-agent': pick(AGENTS), referer: pick(REFERERS) },
        remoteAddress: `10.${below(4)}.${below(256)}.${below(256)}`,
      },
      res: { statusCode: pick(STATUS), bytes: below(100_000) },
      responseTime: below(10_000) / 10,
      msg: pick(EVENTS),
    };
    return `${JSON.stringify(line)}\n`;
  };
}

/** What the lines of a source are, by the names that the bench takes. */
export const LINES = { access: accessLines, short: shortLines, json: jsonLines } as const;
export type Lines = keyof typeof LINES;

/** The first half is a bijection of the count: unique for 2^32 lines. */
function idOf(count: number, below: (limit: number) => number): string {
  return `${hex(Math.imul(count, 0x9e3779b1))}${hex(below(4_294_967_296))}`;
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}

/** nginx's $time_local, UTC. */
function stamp(second: number): string {
  const [, day, month, year, clock] =
    /^\w+, (\d+) (\w+) (\d+) ([\d:]+)/.exec(new Date(second * 1_000).toUTCString()) ?? [];
  return `${day}/${month}/${year}:${clock} +0000`;
}

/** Makes sure that `file` holds whole lines, at least `bytes` of them; one that is there is taken as it is. */
export async function generate(
  file: string,
  bytes: number,
  options: { lines: Lines; seed: number; signal: AbortSignal; onProgress: (done: number) => void },
): Promise<void> {
  if ((await sizeOf(file)) >= bytes) return;
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w');
  try {
    const next = LINES[options.lines](options.seed);
    for (let written = 0; written < bytes;) {
      options.signal.throwIfAborted();
      const parts: string[] = [];
      for (let size = 0; size < Math.min(WRITE_BYTES, bytes - written);) {
        const line = next();
        parts.push(line);
        size += line.length;
      }
      const data = Buffer.from(parts.join(''), 'latin1');
      await handle.writeFile(data);
      written += data.length;
      options.onProgress(written);
    }
    await handle.sync();
    await rename(temporary, file);
  } finally {
    await handle.close();
    await rm(temporary, { force: true });
  }
}

/** 0 of a file that is not there. */
export async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
