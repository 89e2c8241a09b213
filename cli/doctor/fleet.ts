// Which daemons of the stream answer, and which are silent.

import { type Finding, warning, ok, counted } from './finding.ts';
import { type Look, Missing } from './look.ts';
import { lookAtFleet } from '../../common/fleet/fleet.ts';
import { permissionViolation } from '../../common/nats/connection.ts';

/** Who answers. */
export async function fleet(look: Look): Promise<Finding> {
  return judgeFleet(await fleetOf(look));
}

/** Who answers, and who is silent. Throws Missing where this user may not ask. */
export async function fleetOf(look: Look): Promise<FleetFacts> {
  await look.needStream();
  try {
    const { shippers, receivers } = await lookAtFleet(await look.link(), look.plan.names);
    const all = [...shippers.values(), ...receivers.values()];
    return {
      shippers: [...shippers.values()].filter(({ answer }) => answer !== undefined).length,
      receivers: [...receivers.values()].filter(({ answer }) => answer !== undefined).length,
      silent: all
        .filter(({ answer, member }) => answer === undefined && member !== undefined)
        .map(({ name }) => name),
      files: [...shippers.values()].reduce((sum, { answer }) => sum + (answer?.status.files ?? 0), 0),
    };
  } catch (error) {
    if (permissionViolation(error) === undefined) throw error;
    throw new Missing('this user may not ask who is there', { cause: error });
  }
}

export interface FleetFacts {
  readonly shippers: number;
  readonly receivers: number;
  readonly silent: readonly string[];
  /** Source files of all shippers that answer. */
  readonly files: number;
}

export function judgeFleet({ shippers, receivers, silent, files }: FleetFacts): Finding {
  const says = `${counted(receivers, 'receiver')} and ${counted(shippers, 'shipper')} with ${counted(files, 'file')} answer`;
  if (silent.length > 0) {
    const some = `${silent.slice(0, 5).join(', ')}${silent.length > 5 ? ', …' : ''}`;
    return warning(
      `${says}; silent: ${some}`,
      'look at those machines; logferry status --forget NAME for what is gone for good',
    );
  }
  if (receivers === 0) return warning(says, 'what is shipped waits in the stream: start logferry receive');
  if (shippers === 0) return warning(says, 'nothing is shipped: start logferry ship');
  return ok(says);
}
