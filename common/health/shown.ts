// What a daemon lets others see while it runs: whether it does its work, whether that goes on, and its figures. It says
// where they are, and whoever is asked (metrics, systemd) reads them then. Never decides anything.

import type { Link } from '../nats/connection.ts';
import { Pulse } from './pulse.ts';

export class Shown<R> {
  readonly pulse = new Pulse();
  /** Undefined before there was a connection. */
  link: Link | undefined;
  /** What it waits for before it can do its work, in a line; undefined when it does it. */
  waitsFor: () => string | undefined = () => 'starting';
  /** Its figures; undefined before there are any. */
  read: () => R | undefined = () => undefined;
  /** Whether lines are counted: only for metrics, since nothing else looks at each byte. Set before it begins. */
  countsLines = false;
  /** It was told to stop. */
  isStopping = false;

  get isConnected(): boolean {
    return this.link?.isConnected() === true;
  }

  /** Why it does not do its work now, in a line; undefined when it does. */
  whyNotReady(): string | undefined {
    if (this.isStopping) return 'stopping';
    if (this.link !== undefined && !this.isConnected) return 'the connection to nats-server is lost';
    return this.waitsFor() ?? (this.link?.answers() === false ? 'nats-server does not answer' : undefined);
  }

  /** What does not go on any more, in a line; undefined while all does. What waits for nats-server is not stuck. */
  whatIsStuck(nowMs = performance.now()): string | undefined {
    return this.pulse.stuck(nowMs, this.isConnected ? this.link?.awayAt() : nowMs);
  }
}
