// What happens to a host in one run of the model: a list of steps that a seed alone decides. Pure.

/** How a file is rotated. */
export type Style = 'rename' | 'chain' | 'copytruncate' | 'truncate' | 'mixed';

/** Not `mixed`: a file that is truncated and renamed between two looks loses what was written in between. */
export const STYLES: readonly Style[] = ['rename', 'chain', 'copytruncate', 'truncate'];

export type FileAction =
  | 'lines'
  | 'partial'
  | 'long'
  | 'rename'
  | 'chain'
  | 'copytruncate'
  | 'compress'
  | 'remove'
  | 'delete'
  | 'create'
  | 'truncate';

/** `wait` is never drawn: it is for whoever writes a plan. */
export type WorldAction =
  'wait' | 'stop' | 'kill' | 'start' | 'start a process' | 'server down' | 'server up' | 'settle';

export interface Step {
  readonly action: FileAction | WorldAction;
  /** Index of the file that it happens to. */
  readonly file: number;
  /** From 0 to 1: how much, or which one. */
  readonly share: number;
  /** Waited for afterwards. */
  readonly pauseMs: number;
}

const APPENDS: readonly [FileAction, number][] = [
  ['lines', 50],
  ['partial', 10],
  ['long', 2],
];
const TIDIES: readonly [FileAction, number][] = [
  ['compress', 5],
  ['remove', 2],
];
const ENDS: readonly [FileAction, number][] = [
  ['delete', 2],
  ['create', 2],
];
const ROTATIONS: Record<Style, readonly [FileAction, number][]> = {
  rename: [['rename', 12], ...TIDIES, ...ENDS],
  chain: [['chain', 12], ...TIDIES, ...ENDS],
  copytruncate: [['copytruncate', 14], ...TIDIES],
  truncate: [['truncate', 8], ...ENDS],
  mixed: [['rename', 4], ['chain', 4], ['copytruncate', 6], ['truncate', 2], ...TIDIES, ...ENDS],
};

/** Chance of a step to be one of the world's. */
const WORLD_SHARE = 0.07;

/** `steps` steps for one file of each style; the shipper and nats-server run at the beginning and at the end. */
export function planOf(rand: () => number, styles: readonly Style[], steps: number): Step[] {
  const plan: Step[] = [];
  let ships = true;
  let serves = true;
  const world = (): WorldAction => {
    const dice = rand();
    if (!ships && dice < 0.75) {
      ships = true;
      return rand() < 0.5 ? 'start a process' : 'start';
    }
    if (!serves && dice < 0.9) {
      serves = true;
      return 'server up';
    }
    if (ships && dice < 0.6) {
      ships = false;
      return dice < 0.25 ? 'kill' : 'stop';
    }
    if (serves && dice < 0.8) {
      serves = false;
      return 'server down';
    }
    return 'settle';
  };
  while (plan.length < steps) {
    const file = Math.floor(rand() * styles.length);
    const action = rand() < WORLD_SHARE ? world() : pick(rand, actionsOf(styles[file] ?? 'mixed'));
    // Bursts: the next step often comes at once, and then upon the same file.
    plan.push({ action, file, share: rand(), pauseMs: pauseOf(rand) });
  }
  if (!serves) plan.push({ action: 'server up', file: 0, share: 0, pauseMs: 0 });
  if (!ships) plan.push({ action: 'start', file: 0, share: 0, pauseMs: 0 });
  return plan;
}

function actionsOf(style: Style): readonly [FileAction, number][] {
  return [...APPENDS, ...ROTATIONS[style]];
}

function pauseOf(rand: () => number): number {
  const dice = rand();
  if (dice < 0.5) return 0;
  if (dice < 0.85) return Math.round(rand() * 20);
  if (dice < 0.98) return Math.round(rand() * 100);
  return Math.round(rand() * 500);
}

function pick<T>(rand: () => number, weighted: readonly [T, number][]): T {
  let dice = rand() * weighted.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [value, weight] of weighted) if ((dice -= weight) < 0) return value;
  throw new Error('BUG: no weights');
}

export function describe({ action, file, share, pauseMs }: Step): string {
  return `${action} file ${file} share ${share.toFixed(3)}, then ${pauseMs} ms`;
}
