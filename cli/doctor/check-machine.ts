// What `logferry doctor` checks of this machine.

import { fleetOf } from './check-stream.ts';
import { type Finding, skipped, warning } from './finding.ts';
import {
  judgeDescriptors,
  judgeDirectory,
  judgeFiles,
  judgeInotify,
  judgeMemory,
  judgeSpace,
} from './judge-machine.ts';
import { availableMemory, inotifyInstances, inotifyLimit, lookAtDirectory } from './look-machine.ts';
import type { Look } from './look.ts';
import { descriptorLimit } from '../../common/runtime/descriptors.ts';

/** What is free of it, and what the control group leaves. */
export async function memory(): Promise<Finding> {
  const limit = process.constrainedMemory();
  const isLimited = limit > 0 && limit < Number.MAX_SAFE_INTEGER;
  return judgeMemory(await availableMemory(), isLimited ? limit : undefined);
}

/** What works in the file, and should be otherwise. */
export async function configuration({ plan }: Look): Promise<Finding | undefined> {
  const [first, ...more] = plan.warnings;
  if (first === undefined) return await Promise.resolve(undefined);
  return warning(
    `${first}${more.length === 0 ? '' : ` (and ${more.length} more)`}`,
    'logferry check-config shows all',
  );
}

/** What the globs match, and whether this user may read it. */
export async function files(look: Look): Promise<Finding | undefined> {
  if ((look.plan.shipper?.sources.length ?? 0) === 0) return undefined;
  return judgeFiles(await look.files());
}

/** A directory that a daemon would write to; undefined where none is given. */
export async function directory(
  flag: string,
  wanted: string | undefined,
  lock: string,
): Promise<Finding | undefined> {
  return wanted === undefined ? undefined : judgeDirectory(flag, await lookAtDirectory(wanted, lock));
}

/** The room on its file system. */
export async function space(flag: string, wanted: string | undefined): Promise<Finding | undefined> {
  return wanted === undefined ? undefined : judgeSpace(flag, await lookAtDirectory(wanted, 'lock'));
}

/** Whether all directories can be watched. */
export async function inotify(look: Look): Promise<Finding | undefined> {
  if ((look.plan.shipper?.sources.length ?? 0) === 0) return undefined;
  const maxWatches = await inotifyLimit('max_user_watches');
  const maxInstances = await inotifyLimit('max_user_instances');
  if (maxWatches === undefined || maxInstances === undefined) return skipped('this kernel has no inotify');
  const { directories } = await look.files();
  return judgeInotify({ maxWatches, maxInstances, directories, instances: await inotifyInstances() });
}

/** Whether all files can be open at a time. */
export async function descriptors(look: Look): Promise<Finding | undefined> {
  const { shipper, receiver } = look.plan;
  if (shipper === undefined && receiver === undefined) return undefined;
  const shipped =
    shipper === undefined || shipper.sources.length === 0 ? undefined : (await look.files()).files;
  let destinations: number | undefined;
  if (receiver !== undefined)
    try {
      destinations = (await fleetOf(look)).files;
    } catch {
      // How many there are the fleet would have said; the check of the fleet says why not.
      destinations = undefined;
    }
  return judgeDescriptors(descriptorLimit(), shipped, destinations);
}
