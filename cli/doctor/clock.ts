// This machine's clock against the server's.

import { type Finding, skipped, warning, ok } from './finding.ts';
import type { Look } from './look.ts';
import { formatDuration } from '../../common/text/units.ts';

/** This machine's against the server's. */
export async function clock(look: Look): Promise<Finding> {
  const { info, at, tookMs } = await look.needStream();
  // When nats-server answered, since 2.10; the client's types do not know.
  const said = Date.parse((info as { ts?: string }).ts ?? '');
  if (Number.isNaN(said)) return skipped('nats-server does not say what time it is there');
  return judgeClock(at + tookMs / 2 - said, tookMs / 2);
}

const GOOD_CLOCK_MS = 1_000;
const BAD_CLOCK_MS = 60_000;

/**
 * @param offsetMs by how much this machine is ahead of the server
 * @param uncertainMs how far that may be off
 */
export function judgeClock(offsetMs: number, uncertainMs: number): Finding {
  const apart = Math.abs(offsetMs);
  const by = `${formatDuration(Math.round(apart))} ± ${Math.ceil(uncertainMs)} ms`;
  const says = `this clock is ${by} ${offsetMs < 0 ? 'behind' : 'ahead of'} the server's`;
  if (apart <= GOOD_CLOCK_MS + uncertainMs) return ok(says);
  const hint = 'run NTP (chrony, systemd-timesyncd) on both';
  return apart > BAD_CLOCK_MS + uncertainMs
    ? warning(
        says,
        `times in status and in names of segments mislead, and certificates may count as expired: ${hint}`,
      )
    : warning(says, hint);
}
