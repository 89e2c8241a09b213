// Time and processes of the model: a process is a generator that stops at every step at which the real one could be
// killed, paused or overtaken. Requests travel: they can arrive late, and their answers can be lost.

import type { Random } from './random.ts';

/** What runs processes and can be killed or paused; whatever it keeps in memory dies with its life. */
export interface Machine {
  readonly name: string;
  life: number;
  dead: boolean;
  pausedUntil: number;
}

type Step = { readonly nap: number | undefined } | { readonly request: () => unknown };

export type Process<T = void> = Generator<Step, T, unknown>;

/** How the network treats requests while there are faults. */
export interface Network {
  /** How often an answer is lost. */
  readonly lostAnswers: number;
  /** How often a request arrives long after its sender has given up. */
  readonly lateRequests: number;
}

const REQUEST_TIMEOUT = 45;

/** Lets some time pass. */
export function* nap(ticks: number): Process {
  yield { nap: ticks };
}

/** A moment at which anything else may happen: a crash, or another process. */
export function* breath(): Process {
  yield { nap: undefined };
}

/** One request and its answer; undefined when none came in time, and then it may have been applied or not. */
export function* ask<T>(request: () => T): Process<T | undefined> {
  return (yield { request }) as T | undefined;
}

/** Asks until there is an answer. */
export function* insist<T>(request: () => T): Process<T> {
  for (;;) {
    const answer = yield* ask(request);
    if (answer !== undefined) return answer;
  }
}

export class Scheduler {
  now = 0;
  /** No faults any more: every request arrives and is answered. */
  quiet = false;
  readonly #agenda = new Map<number, (() => void)[]>();
  readonly #random: Random;
  readonly #network: Network;

  constructor(random: Random, network: Network) {
    this.#random = random;
    this.#network = network;
  }

  in(ticks: number, action: () => void): void {
    const time = this.now + ticks;
    const actions = this.#agenda.get(time);
    if (actions === undefined) this.#agenda.set(time, [action]);
    else actions.push(action);
  }

  /** Runs until `isOver` says so after a tick, or until the limit. */
  run(limit: number, isOver: () => boolean): void {
    for (; this.now <= limit; this.now += 1) {
      const actions = this.#agenda.get(this.now) ?? [];
      // An action may add another one to the same tick.
      for (let index = 0; index < actions.length; index += 1) actions[index]!();
      this.#agenda.delete(this.now);
      if (isOver()) return;
    }
  }

  /** Starts a process, which ends with the present life of its machine. */
  spawn(machine: Machine, process: Process): void {
    const life = machine.life;
    const step = (answer: unknown): void => {
      if (machine.life !== life) return;
      if (machine.pausedUntil > this.now) {
        const pause = machine.pausedUntil - this.now + this.#random.integer(0, 3);
        this.in(pause, () => step(answer));
        return;
      }
      const { done, value } = process.next(answer);
      if (done === true) return;
      if ('request' in value) this.#send(value.request, step);
      else this.in(value.nap ?? this.#random.integer(0, 2), () => step(undefined));
    };
    this.in(1, () => step(undefined));
  }

  /** The request is applied even when its sender is dead or has given up by then. */
  #send(request: () => unknown, step: (answer: unknown) => void): void {
    const random = this.#random;
    const isLate = !this.quiet && random.chance(this.#network.lateRequests);
    const isLost = !this.quiet && random.chance(this.#network.lostAnswers);
    let isOver = false;
    const answer = (value: unknown): void => {
      if (isOver) return;
      isOver = true;
      step(value);
    };
    this.in(isLate ? random.integer(30, 250) : random.integer(1, 4), () => {
      const result = request();
      if (!isLost) this.in(random.integer(1, 4), () => answer(result));
    });
    this.in(REQUEST_TIMEOUT, () => answer(undefined));
  }
}
