// Plays the steps of a plan against real files and a real shipper, and compares every byte that arrives with what was
// written: what somebody could read has to be there, once and in order; what nobody could read has to be reported.

import { sleep } from '../../../common/runtime/run.ts';
import { random } from '../../support/seed.ts';
import { ModelledHost } from './modelled-host.ts';
import { describe, planOf, type Step, type Style, STYLES } from './plan.ts';
import type { Site } from './site.ts';
import { playStep } from './steps.ts';

const SAID_STEPS = 40;

export type PlayOptions = {
  readonly name: string;
  readonly styles?: readonly Style[];
  /** How long what was written may take to arrive. */
  readonly arrivesMs?: number;
  /** Told before each step. */
  readonly onStep?: (step: string) => void;
} & ({ readonly seed: number; readonly steps: number } | { readonly plan: readonly Step[] });

/** Plays one host. */
export async function play(site: Site, options: PlayOptions): Promise<void> {
  const { styles = STYLES } = options;
  const plan = 'plan' in options ? options.plan : planOf(random(options.seed), styles, options.steps);
  const host = await ModelledHost.begin(site, styles, options.arrivesMs);
  const done: string[] = [];
  try {
    for (const [index, step] of plan.entries()) {
      options.onStep?.(`${index}. ${describe(step)}`);
      const played = await playStep(host, step);
      done.push(`${index}. ${describe(step)}${played === undefined ? '' : ` (${played})`}`);
      if (step.pauseMs > 0) await sleep(step.pauseMs);
    }
    await host.end();
  } catch (error) {
    if (!site.isShared)
      console.log(
        `# ${options.name} failed; the last of ${done.length} steps:\n${done.slice(-SAID_STEPS).join('\n')}`,
      );
    throw error;
  } finally {
    await host.stop();
  }
}
