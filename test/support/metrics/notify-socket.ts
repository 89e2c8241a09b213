// The socket on which systemd is told of a service, and everything that came: Node has none of the kind, perl has.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { until } from '../../../common/runtime/run.ts';
import { WAIT_MS } from '../timeouts.ts';

const LISTENER = `
use Socket;
$| = 1;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
bind($socket, pack_sockaddr_un($ARGV[0])) or die "bind: $!";
while (defined recv($socket, my $said, 65536, 0)) { $said =~ s/\\n/\\t/g; print "$said\\n"; }
`;

/** Undefined where there is everything that is needed; else why not. */
export function whyNoNotify(): string | false {
  if (spawnSync('systemd-notify', ['--version']).status !== 0) return 'no systemd-notify';
  return spawnSync('perl', ['-MSocket', '-e', '1']).status === 0 ? false : 'no perl with Socket';
}

export class NotifySocket {
  readonly file: string;
  readonly #child: ChildProcess;
  #said = '';

  private constructor(file: string) {
    this.file = file;
    this.#child = spawn('perl', ['-e', LISTENER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout?.on('data', (data: Buffer) => (this.#said += data.toString()));
  }

  /** Listens when it resolves; `close` is the caller's. */
  static async listen(file: string): Promise<NotifySocket> {
    const socket = new NotifySocket(file);
    await until(() => existsSync(file), { timeoutMs: WAIT_MS });
    return socket;
  }

  /** Every assignment in the order in which they came; what only asks whether it was read is none. */
  get said(): string[] {
    return this.#said.split(/[\t\n]/).filter((each) => each !== '' && each !== 'BARRIER=1');
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
