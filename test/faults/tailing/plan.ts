// What happens to a host in one run of the model: a list of steps that a seed alone decides. Pure.

/** How a file is rotated, or what else becomes of it. */
export type Style =
  | 'rename'
  | 'chain'
  | 'copytruncate'
  | 'truncate'
  | 'mixed'
  | 'copied'
  | 'late'
  | 'link'
  | 'neighbours'
  | 'renewed'
  | 'changed';

/** Not `mixed`: a file that is truncated and renamed between two looks loses what was written in between. */
export const STYLES: readonly Style[] = ['rename', 'chain', 'copytruncate', 'truncate'];

/** Of histories: each of them can be decided, or what cannot is known. */
export const ALL_STYLES: readonly Style[] = [
  ...STYLES,
  ...(['copied', 'late', 'link', 'neighbours', 'renewed', 'changed'] as const),
];

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
  | 'truncate'
  | 'compress untimed'
  | 'copy'
  | 'copy dated'
  | 'late'
  | 'switch'
  | 'neighbour'
  | 'neighbour lines'
  | 'rotate together'
  | 'renew'
  | 'shorten'
  | 'overwrite';

/** `wait` is never drawn: it is for whoever writes a plan. */
export type WorldAction =
  | 'wait'
  | 'pause'
  | 'state lost'
  | 'keep state'
  | 'older state'
  | 'stop'
  | 'kill'
  | 'start'
  | 'start a process'
  | 'server down'
  | 'server up'
  | 'settle';

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
type Weights<T> = readonly (readonly [T, number])[];

const ROTATIONS: Record<Style, Weights<FileAction>> = {
  rename: [['rename', 12], ...TIDIES, ...ENDS],
  chain: [['chain', 12], ...TIDIES, ...ENDS],
  copytruncate: [['copytruncate', 14], ...TIDIES],
  truncate: [['truncate', 8], ...ENDS],
  copied: [['rename', 8], ['copy', 5], ['copy dated', 5], ['compress untimed', 4], ...TIDIES],
  late: [['chain', 8], ['late', 14], ['compress untimed', 2], ...TIDIES],
  link: [['switch', 10]],
  neighbours: [['neighbour', 5], ['neighbour lines', 20], ['rotate together', 8], ['rename', 6], ...TIDIES],
  renewed: [['renew', 10], ['chain', 4], ['copy', 3], ...TIDIES],
  changed: [
    ['shorten', 6],
    ['overwrite', 6],
    ['rename', 3],
    ['renew', 2],
  ],
  mixed: [['rename', 4], ['chain', 4], ['copytruncate', 6], ['truncate', 2], ...TIDIES, ...ENDS],
};

/** What becomes of the state of a shipper that is down. */
const STATES: readonly [WorldAction, number][] = [
  ['keep state', 6],
  ['older state', 4],
  ['state lost', 2],
];

/** Chance of a step to be one of the world's. */
const WORLD_SHARE = 0.07;
const HISTORY_WORLD_SHARE = 0.15;

/** `steps` steps for one file of each style; the shipper and nats-server run at the beginning and at the end. */
export function planOf(
  rand: () => number,
  styles: readonly Style[],
  steps: number,
  isHistory = false,
): Step[] {
  const plan: Step[] = [];
  let ships = true;
  let serves = true;
  const world = (): WorldAction => {
    if (isHistory && rand() < 0.2) return 'pause';
    if (isHistory && !ships && rand() < 0.3) return pick(rand, STATES);
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
  const share = isHistory ? HISTORY_WORLD_SHARE : WORLD_SHARE;
  while (plan.length < steps) {
    const file = Math.floor(rand() * styles.length);
    const action = rand() < share ? world() : pick(rand, actionsOf(styles[file] ?? 'mixed'));
    // Bursts: the next step often comes at once, and then upon the same file.
    plan.push({ action, file, share: rand(), pauseMs: pauseOf(rand) });
  }
  if (!serves) plan.push({ action: 'server up', file: 0, share: 0, pauseMs: 0 });
  if (!ships) plan.push({ action: 'start', file: 0, share: 0, pauseMs: 0 });
  return plan;
}

function actionsOf(style: Style): Weights<FileAction> {
  return [...APPENDS, ...ROTATIONS[style]];
}

function pauseOf(rand: () => number): number {
  const dice = rand();
  if (dice < 0.5) return 0;
  if (dice < 0.85) return Math.round(rand() * 20);
  if (dice < 0.98) return Math.round(rand() * 100);
  return Math.round(rand() * 500);
}

function pick<T>(rand: () => number, weighted: Weights<T>): T {
  let dice = rand() * weighted.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [value, weight] of weighted) if ((dice -= weight) < 0) return value;
  throw new Error('BUG: no weights');
}

export function describe({ action, file, share, pauseMs }: Step): string {
  return `${action} file ${file} share ${share.toFixed(3)}, then ${pauseMs} ms`;
}
