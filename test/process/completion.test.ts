// `logferry completion`: its scripts in the shells that they are for, as far as these are installed; bash always is.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { buildProgram } from '../../cli/commands.ts';
import { bashCompletion } from '../../cli/completion/bash.ts';
import { fishCompletion } from '../../cli/completion/fish.ts';
import { zshCompletion } from '../../cli/completion/zsh.ts';
import type { Outline } from '../../cli/completion/outline.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { askShell, findShell, type Offered, type ShellName } from './shells.ts';
import { ENTRY } from '../support/paths.ts';

const run = promisify(execFile);

const MAKERS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

interface Listed {
  readonly names: readonly string[];
  /** The first line of it. */
  readonly help: string;
}

/** The flags that a help lists. */
function flagsOf(help: string): Listed[] {
  const options = help.slice(help.indexOf('Options:'));
  return [...options.matchAll(/^ {2}(?:(-\w), )?(--[\w-]+)(?: [<[][^>\]]+[>\]])? {2,}(\S.*)$/gm)].map(
    ([, short, long, text]) => ({
      names: [short, long].filter((name) => name !== undefined),
      help: text ?? '',
    }),
  );
}

/** The values alone: fish repeats `--flag=`, and a directory ends with a slash. */
function bare({ words }: Offered): string[] {
  return [...new Set(words.map((word) => word.replace(/^--[\w-]+=/, '').replace(/\/$/, '')))].toSorted();
}

describe('completion', () => {
  let directory = '';
  let cwd = '';

  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'logferry-completion-'));
    cwd = path.join(directory, 'cwd');
    for (const name of ['my dir', 'one', 'two']) await mkdir(path.join(cwd, name), { recursive: true });
    for (const name of ['my file.log', 'other.log', '$(touch ran).log'])
      await writeFile(path.join(cwd, name), '');
  });

  after(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  /** What `logferry completion` prints, as a file that the shell finds. */
  async function printed(shell: ShellName): Promise<string> {
    const { stdout, stderr } = await run(process.execPath, [ENTRY, 'completion', shell]);
    assert.equal(stderr, '');
    const script = path.join(directory, shell, '_logferry');
    await mkdir(path.dirname(script), { recursive: true });
    await writeFile(script, stdout);
    return script;
  }

  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    test(`${shell}: commands, flags, values and paths`, async (t) => {
      const script = await printed(shell);
      const program = await buildProgram(() => true);
      const commands = program.commands.map((command) => command.name());
      const both = ['my dir', 'my file.log'];
      const levels = ['debug', 'error', 'fatal', 'info', 'silent', 'trace', 'warn'];
      const expected: Readonly<Record<string, readonly string[]>> = {
        'ship --compression ': ['none', 'zstd'],
        'ship --compression=': ['none', 'zstd'],
        'ship --compression=z': ['zstd'],
        'ship --from e': ['end'],
        'receive --format ': ['plain', 'zstd'],
        'local --compress ': ['gzip', 'off', 'zstd'],
        'setup --log-level ': levels,
        'setup --stream APP --log-level ': levels,
        'completion ': ['bash', 'fish', 'zsh'],
        'completion bash b': [],
        'help ': commands.toSorted(),
        // What nobody but the user knows.
        'ship --host m': [],
        'ship --exclude m': [],
        'ship --server nats://m': [],
        'setup m': [],
        'cat m': [],
        'cat web1 m': [],
        // Files and directories, with blanks in their names.
        'ship m': both,
        'ship --once --host web1 o': ['one', 'other.log'],
        'ship one m': both,
        'ship -- m': both,
        'local m': both,
        'ship --creds m': both,
        'ship --tls-key m': both,
        'ship --log-file=m': both,
        'ship --state m': ['my dir'],
        'receive --out m': ['my dir'],
        'receive --out=m': ['my dir'],
        'demo --dir ': ['my dir', 'one', 'two'],
        'cat web1 /var/log/a.log --out m': ['my dir'],
        'cat web1 /var/log/a.log --out one m': ['my dir'],
        'cat web1 /var/log/a.log --out=one t': ['two'],
        'cat --out one --skip-holes m': [],
        'segments --json --out one two m': ['my dir'],
      };
      const asked = ['', '-', 's', ...commands.flatMap((name) => [`${name} -`, `${name} --`])];
      const lines = [...asked, ...Object.keys(expected)].map((line) => `logferry ${line}`);
      const offered = await askShell(shell, { script, cwd, lines });
      if (offered === undefined) {
        assert.notEqual(shell, 'bash', 'there is no bash');
        t.skip(`${shell} is not installed: its script was printed, but never tried`);
        return;
      }
      assert.equal(offered.length, lines.length);
      const next = (): Offered => offered.shift()!;

      const top = next();
      assert.ok(commands.length >= 8);
      assert.deepEqual(bare(top), [...commands, 'help'].toSorted());
      if (shell !== 'bash')
        for (const command of program.commands) assert.ok(top.shown.includes(command.summary()), top.shown);
      assert.deepEqual(bare(next()), ['--help', '--version', '-V', '-h']);
      assert.deepEqual(bare(next()), commands.filter((name) => name.startsWith('s')).toSorted());

      for (const command of program.commands) {
        const flags = flagsOf(command.helpInformation());
        assert.ok(flags.length > 0, command.name());
        const names = flags.flatMap((flag) => flag.names);
        assert.deepEqual(bare(next()), names.toSorted());
        const long = next();
        assert.deepEqual(bare(long), names.filter((name) => name.startsWith('--')).toSorted());
        if (shell !== 'bash') for (const { help } of flags) assert.ok(long.shown.includes(help), help);
      }
      for (const [line, words] of Object.entries(expected)) assert.deepEqual(bare(next()), words, line);
    });

    test(`${shell}: nothing in a text is acted on`, async (t) => {
      const ran = path.join(directory, `${shell}-ran`);
      const nasty = `it's "a" [b] $(touch ${ran}) \`touch ${ran}\` $HOME \\ : {c} (d) %F{red} \\n *e* ; touch ${ran} # !!`;
      const value = { name: nasty, from: [nasty, 'plain'], many: false };
      const flags = [
        { names: ['-w', '--word'], help: nasty, value, repeats: false },
        { names: ['--more'], help: nasty, value: { ...value, many: true }, repeats: true },
        { names: ['--switch'], help: nasty, value: undefined, repeats: false },
      ];
      const outline: Outline = {
        flags: [{ names: ['-h', '--help'], help: nasty, value: undefined, repeats: false }],
        commands: [
          { name: 'go', summary: nasty, flags, arguments: [value] },
          { name: 'stay', summary: 'nothing', flags: [], arguments: [] },
        ],
      };
      const script = path.join(directory, `nasty.${shell}`);
      await writeFile(script, MAKERS[shell](outline));
      const asked = ['', '-', 'go --', 'go ', 'go --word ', 'go --word=', 'go --more plain '];
      const lines = asked.map((line) => `logferry ${line}`);
      const offered = await askShell(shell, { script, cwd, lines });
      if (offered === undefined) {
        assert.notEqual(shell, 'bash', 'there is no bash');
        t.skip(`${shell} is not installed: the quoting in its script was not tried`);
        return;
      }
      const [top, dash, ofGo, ...values] = offered;
      assert.deepEqual(top?.words.toSorted(), ['go', 'stay']);
      assert.deepEqual(dash?.words.toSorted(), ['--help', '-h']);
      assert.deepEqual([...new Set(ofGo?.words)].toSorted(), ['--more', '--switch', '--word']);
      for (const one of values) {
        const words = one.words.map((word) => word.replace(/^--word=/, ''));
        assert.deepEqual([...new Set(words)].toSorted(), [nasty, 'plain']);
      }
      if (shell !== 'bash')
        for (const one of [top, dash, ofGo]) assert.ok(one?.shown.includes(nasty), one?.shown);
      assert.ok(!existsSync(ran));
    });
  }

  test('bash: its TAB key', async () => {
    const script = await printed('bash');
    const bash = await findShell('bash');
    assert.ok(bash !== undefined);
    // Without a terminal it reads and completes lines all the same.
    const child = spawn(bash, ['--norc', '--noprofile', '-i'], {
      cwd,
      env: { PATH: '', PS1: '', HOME: cwd, HISTFILE: '', INPUTRC: '/dev/null', TERM: 'dumb' },
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: TEST_MS,
    });
    let said = '';
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    const lines = {
      'sh\t': '[ship]',
      'ship my\\ f\t': '[ship][my file.log]',
      'ship "my f\t': '[ship][my file.log]',
      'ship \\$\t': '[ship][$(touch ran).log]',
      'ship --from=e\t': '[ship][--from=end]',
      'ship --compression z\t--o\tmy\\ f\t': '[ship][--compression][zstd][--once][my file.log]',
      'receive --out my\t': '[receive][--out][my dir/]',
      'receive --out=my\t': '[receive][--out=my dir/]',
      'ship --server nats://o\t': '[ship][--server][nats://o]',
    };
    const typed = Object.keys(lines).map((line) => `logferry ${line}\n`);
    child.stdin.end(`. '${script}'\nlogferry() { printf '[%s]' "$@"; echo .; }\n${typed.join('')}exit\n`);
    await new Promise((resolve) => child.once('close', resolve));
    const answers = said.split('\n').filter((line) => line.endsWith('].'));
    assert.deepEqual(
      answers,
      Object.values(lines).map((line) => `${line}.`),
    );
    assert.ok(!existsSync(path.join(cwd, 'ran')));
  });

  test('what the help says for bash installs it', async () => {
    const { stdout: help } = await run(process.execPath, [ENTRY, 'completion', '--help']);
    const commands = help.split('\n').filter((line) => line.includes('logferry completion bash >'));
    assert.equal(commands.length, 2, help);
    const home = path.join(directory, 'home');
    await mkdir(home);
    const logferry = `logferry() { '${process.execPath}' '${ENTRY}' "$@"; }`;
    for (const command of commands)
      await run('bash', ['-c', `${logferry}; ${command}`], { env: { ...process.env, HOME: home } });
    const script = await readFile(await printed('bash'), 'utf8');
    for (const name of ['.local/share/bash-completion/completions/logferry', '.logferry.bash'])
      assert.equal(await readFile(path.join(home, name), 'utf8'), script);
    const { stdout } = await run('bash', ['--norc', '-c', '. ~/.bashrc; complete -p logferry'], {
      env: { ...process.env, HOME: home },
    });
    assert.match(stdout, /^complete .*logferry\n$/);
  });

  test('no shell, or another one: one line that names the three', async () => {
    for (const args of [[], ['tcsh'], [''], ['constructor']])
      await assert.rejects(run(process.execPath, [ENTRY, 'completion', ...args]), {
        code: 2,
        stdout: '',
        stderr: /^logferry: [^\n]*bash, zsh or fish[^\n]*\n$/,
      });
  });
});
