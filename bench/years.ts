// `node bench/years.ts [--rotations 20000] [--paths 1]`: paths that are rotated again and again, as their shipper would
// publish them, and what is left of it at each tenth: the ledger, the record in its bucket, the receiver's memory; and how
// long it takes after a start until what comes next is committed, in the same directory and in another. Linux only.

import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';

import { findNatsServer, startNatsServer } from '../cli/nats-server/nats-server.ts';
import { until } from '../common/runtime/run.ts';
import { BUNDLE_HEADER, packBundle } from '../common/wire/bundle.ts';
import type { Chunk } from '../common/wire/chunk.ts';
import { tailOf } from '../common/wire/digest.ts';
import { partitionKey } from '../common/wire/topology.ts';
import { partitionOf, publishSubject } from '../common/wire/subjects.ts';
import { ledgerPath } from '../receiver/ledger/ledger-file.ts';
import { LogferryProcess } from './logferry-process.ts';
import { residentBytesOf } from './process-usage.ts';

const { values } = parseArgs({
  options: { rotations: { type: 'string', default: '20000' }, paths: { type: 'string', default: '1' } },
});
const [ROTATIONS, PATHS] = [Number(values.rotations), Number(values.paths)];
const TENTHS = 10;
const AT_ONCE = 100;
const PARTITIONS = 64;
const HOST = 'bench';
const WAIT_MS = 600_000;
/** What each generation holds. */
const CONTENT = Buffer.from(`${'a line of a log that is rotated hourly, '.repeat(5)}\n`);

/** A file id as a shipper makes it: inode and birth in base 36, and a number. */
function idOf(number: number): string {
  const birth = BigInt(number) * 3_600_000_000_000n + 1_767_225_600_000_000_000n;
  return `${(2_277_000 + (number % 7)).toString(36)}-${birth.toString(36)}-0`;
}

const { signal } = new AbortController();
const dir = await mkdtemp(path.join(tmpdir(), 'logferry-years-'));
const { path: binary } = await findNatsServer({ say: () => {} });
const server = await startNatsServer({ dir: path.join(dir, 'nats'), binary, signal });
let receiver: LogferryProcess | undefined;
let nc: NatsConnection | undefined;
try {
  const at = ['--server', server.url];
  await new LogferryProcess(
    ['setup', '--partitions', String(PARTITIONS), ...at],
    path.join(dir, 'setup.log'),
  ).done(signal);
  nc = await connect({ servers: server.url });
  const js = jetstream(nc);
  const jsm = await jetstreamManager(nc);
  const partition = partitionOf(HOST, PARTITIONS);
  const receive = (out: string): LogferryProcess =>
    new LogferryProcess(['receive', '--out', path.join(dir, out), ...at], path.join(dir, `${out}.log`));

  let published = 0;
  const publish = async (count: number): Promise<number> => {
    const sent = Array.from({ length: count }, (_, index) => {
      const [number, file] = [Math.floor((published + index) / PATHS), (published + index) % PATHS];
      const after = number === 0 ? undefined : { file: `${file}${idOf(number - 1)}`, size: CONTENT.length };
      const chunk: Chunk = {
        kind: 'data',
        start: 0,
        end: CONTENT.length,
        begin: 0,
        after,
        tail: tailOf(CONTENT),
      };
      return {
        path: `/var/log/app-${file}.log`,
        file: `${file}${idOf(number)}`,
        chunk,
        payload: CONTENT,
      };
    });
    const { header, payload } = packBundle(`0123abcd.${published}`, sent, true);
    const fields = headers();
    fields.set(BUNDLE_HEADER, header);
    published += count;
    return (await js.publish(publishSubject('logs', HOST, 0), payload, { headers: fields })).seq;
  };
  const commits = async (out: string, seq: number): Promise<number> => {
    const began = performance.now();
    const isDone = async (): Promise<boolean> => {
      const consumers = await jsm.consumers.list('LOGS').next();
      return consumers.some(
        ({ name, ack_floor: floor }) => name.startsWith(partitionKey(partition)) && floor.stream_seq >= seq,
      );
    };
    if (!(await until(isDone, { timeoutMs: WAIT_MS, everyMs: 50 })))
      throw new Error(`${out} has not committed`);
    return performance.now() - began;
  };
  const say = async (out: string): Promise<void> => {
    const { size } = await stat(ledgerPath(path.join(dir, out), partition));
    const bucket = (await jsm.streams.info('KV_LOGS_partitions')).state.bytes;
    const mib = (residentBytesOf(receiver?.pid ?? 0) / 1_048_576).toFixed(0);
    const each = (size / published).toFixed(0);
    console.log(
      `${published} generations: ledger ${size} bytes (${each} each), bucket ${bucket} bytes, receiver ${mib} MiB`,
    );
  };

  receiver = receive('out');
  for (let tenth = 1; tenth <= TENTHS; tenth += 1) {
    let seq = 0;
    while (published < (ROTATIONS * PATHS * tenth) / TENTHS) seq = await publish(AT_ONCE);
    await commits('out', seq);
    await say('out');
  }
  for (const out of ['out', 'other', 'out']) {
    await receiver.stop();
    const seq = await publish(PATHS);
    receiver = receive(out);
    const ms = await commits(out, seq);
    console.log(
      `start in ${out === 'out' ? 'the same directory' : 'another one'}, until what comes next is committed: ${ms.toFixed(0)} ms`,
    );
    await say(out);
  }
} finally {
  await receiver?.stop();
  await nc?.close();
  await server.stop();
  await rm(dir, { recursive: true });
}
