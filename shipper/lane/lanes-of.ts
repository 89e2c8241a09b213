// What a run of a shipper publishes through: its lanes, what they held before, and the looks at the files that feed them.

import { randomBytes } from 'node:crypto';

import type { State } from '../files/state.ts';
import type { ShipperContext } from './context.ts';
import type { Host } from '../host/host.ts';
import { Lanes, type LanesOptions } from './lanes.ts';
import { Looks } from './looks.ts';
import { Trails } from '../host/trails.ts';

/** No other run of a shipper has the same, but once in four thousand million. */
const INCARNATION_BYTES = 4;

export function lanesOf(
  host: Host,
  state: State,
  options: Omit<LanesOptions, 'lanes' | 'incarnation' | 'onFree' | 'onStored'>,
): Pick<ShipperContext, 'lanes' | 'trails' | 'looks'> {
  const looks = new Looks();
  const lanes = new Lanes({
    ...options,
    lanes: host.lanes,
    incarnation: randomBytes(INCARNATION_BYTES).toString('hex'),
    onFree: () => {
      looks.now();
    },
    onStored: (seq) => {
      state.sentUpTo(seq);
    },
  });
  const trails = new Trails(host, state, (upTo) => {
    lanes.restart(upTo);
  });
  return { lanes, trails, looks };
}
