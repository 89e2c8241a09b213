// The steps of a plan, as they happen to a host.

import { sleep } from '../../../common/runtime/run.ts';
import * as deeds from './deeds.ts';
import { type LeftOut, oneOf } from './deeds.ts';
import type { ModelledHost } from './modelled-host.ts';
import type { Step } from './plan.ts';
import { RotatedLog } from './rotated-log.ts';

const PAUSE_MS = 6_000;
/** A file whose first 1024 bytes are others was written anew (docs/tailing.md): what is changed stands behind them. */
const UNCHANGED_BYTES = 8_000;

/** Says why a step was left out. */
export async function playStep(host: ModelledHost, step: Step): Promise<LeftOut> {
  const { action, share } = step;
  const log = host.main[step.file];
  if (log === undefined) throw new Error('BUG: no such file');
  switch (action) {
    case 'lines':
      for (let count = share ** 6 * 2_000; count >= 0; count -= 1) await log.line(20 + share * 200);
      break;
    case 'partial':
      await log.line(10 + share * 100, false);
      break;
    case 'long':
      await log.line(host.longLine * share);
      break;
    case 'create':
      await log.create();
      break;
    case 'rename':
      await host.seen(log);
      log.rename();
      break;
    case 'chain':
      await host.seen(log);
      log.chain();
      break;
    case 'copytruncate':
      await host.seen(log);
      await log.copyTruncate();
      break;
    case 'compress':
      // What the state does not know may come again (docs/tailing.md).
      if (host.hasLostState) return 'the state is lost';
      return await deeds.compress(log, share);
    case 'compress untimed':
      if (host.hasLostState) return 'the state is lost';
      return await deeds.compressUntimed(log, share);
    case 'copy':
    case 'copy dated':
      return deeds.copy(log, share, action === 'copy dated');
    case 'late':
      return deeds.late(log, share);
    case 'switch':
      return await switchLink(host, log);
    case 'neighbour':
      return await bear(host, log);
    case 'neighbour lines':
      return await neighbourLine(host, log, share);
    case 'rotate together':
      return await rotateTogether(host, log);
    case 'renew':
      // It may come again (docs/tailing.md).
      if (host.hasLostState) return 'the state is lost';
      host.isRenewed = true;
      return deeds.renew(log, share);
    case 'shorten':
      return await shorten(host, log, share);
    case 'overwrite':
      return await overwrite(host, log, share);
    case 'remove':
      return await remove(host, log, share);
    case 'delete':
      return await deleteFile(host, log);
    case 'truncate':
      return await truncate(host, log);
    case 'stop':
      await host.shipper.stop();
      await host.closed();
      break;
    case 'kill':
      await host.shipper.kill();
      await host.closed();
      break;
    case 'start':
    case 'start a process':
      return await host.start(action === 'start a process');
    case 'server down':
      await host.disconnect(share < 0.5);
      break;
    case 'server up':
      await host.serve();
      break;
    case 'pause':
      await sleep(share * PAUSE_MS);
      break;
    case 'keep state':
      if (host.shipper.runs) return 'it runs';
      await host.shipper.keepState();
      host.isRenewed = false;
      break;
    case 'older state':
    case 'state lost':
      return await host.loseState(action === 'older state');
    case 'settle':
      if (!host.ships) return 'nobody ships';
      await host.settle();
      break;
    case 'wait':
      break;
  }
  return undefined;
}

async function switchLink(host: ModelledHost, log: RotatedLog): Promise<LeftOut> {
  const link = host.links.get(log);
  if (link === undefined) throw new Error('BUG: no link');
  if (link.isUnseen && host.ships) await host.settle();
  return link.switch();
}

async function bear(host: ModelledHost, log: RotatedLog): Promise<LeftOut> {
  const others = host.neighbours.get(log) ?? [];
  const name = ['_1.log', '-2.log'][others.length];
  if (name === undefined) return 'they are all there';
  const born = new RotatedLog(log.path.replace(/\.log$/, name));
  host.neighbours.set(log, [...others, born]);
  host.logs.push(born);
  await born.line(100);
  return undefined;
}

async function neighbourLine(host: ModelledHost, log: RotatedLog, share: number): Promise<LeftOut> {
  const other = oneOf(host.neighbours.get(log) ?? [], share);
  if (other === undefined) return 'no neighbour';
  await other.line(20 + share * 200);
  return undefined;
}

/** As one command renames all files that it names, and then creates them anew. */
async function rotateTogether(host: ModelledHost, log: RotatedLog): Promise<LeftOut> {
  // A path that nobody has ever seen with a file at it: what was rotated there is not found (found.test.ts).
  const isKnown = ({ generations }: RotatedLog): boolean => generations.some(({ isSeen }) => isSeen);
  const all = [log, ...(host.neighbours.get(log) ?? []).filter(isKnown)];
  for (const each of all) {
    await each.create();
    await host.seen(each);
  }
  for (const each of all) each.rename();
  for (const each of all) each.createNow();
  return undefined;
}

async function shorten(host: ModelledHost, log: RotatedLog, share: number): Promise<LeftOut> {
  if (!host.ships) return 'nobody ships';
  await log.line(UNCHANGED_BYTES);
  await host.settle();
  await host.shipper.kill();
  await host.closed();
  const leftOut = await deeds.shorten(log, share);
  await host.start(false);
  await host.settle();
  return leftOut;
}

async function overwrite(host: ModelledHost, log: RotatedLog, share: number): Promise<LeftOut> {
  if (!host.ships) return 'nobody ships';
  await log.line(UNCHANGED_BYTES);
  await host.settle();
  const leftOut = deeds.overwrite(log, share);
  await host.settle();
  return leftOut;
}

/** A shipper that holds it open reads it to its end. */
async function remove(host: ModelledHost, log: RotatedLog, share: number): Promise<LeftOut> {
  const holder = oneOf(log.rotated, share);
  if (holder === undefined) return 'no rotated file';
  const held = await host.isHeld(holder);
  log.remove(holder);
  if (held) return 'held open';
  await host.cut(log, (generation) => generation.holder === holder);
  return undefined;
}

async function deleteFile(host: ModelledHost, log: RotatedLog): Promise<LeftOut> {
  const generation = log.current;
  if (generation === undefined) return 'no file';
  const held = await host.isHeld(generation.holder);
  log.delete();
  if (held) return 'held open';
  await host.cut(log, (other) => other === generation);
  return undefined;
}

async function truncate(host: ModelledHost, log: RotatedLog): Promise<LeftOut> {
  const { current } = log;
  if (current === undefined) return 'no file';
  await host.cut(log, (generation) => generation === current);
  log.truncate();
  return undefined;
}
