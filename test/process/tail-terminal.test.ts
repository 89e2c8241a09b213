// `logferry tail` on a terminal, in a pipe that is closed, and given what makes no sense.

import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { ended, printed, Publisher, setUp } from '../support/tailed.ts';
import { ENTRY } from '../support/paths.ts';
import { World } from '../support/world.ts';

test('whoever reads may stop reading: it ends without a word', async () => {
  await World.run('tail-pipe', async (world) => {
    await setUp(world);
    const file = new Publisher(world, 'web1', '/a.log');
    for (let chunk = 0; chunk < 20; chunk += 1)
      await file.data(chunk * 200_000, `${'x'.repeat(99)}\n`.repeat(2_000));
    const command = '"$0" "$1" tail --server "$2" --since 1h; echo "exit $?" >&2';
    const { stdout, stderr } = spawnSync(
      'sh',
      ['-c', `{ ${command}; } | head -n 3`, process.execPath, ENTRY, world.server.url],
      { encoding: 'utf8', timeout: TEST_MS },
    );
    assert.equal(stdout, `web1 /a.log | ${'x'.repeat(99)}\n`.repeat(3));
    assert.match(stderr, /^exit 0\n$|begins at[^\n]*\nexit 0\n$/);
  });
});

/** script(1) of util-linux makes the terminal. */
const script =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false;
test(
  'on a terminal: colours, nothing that acts on it, unfinished lines after a while',
  { skip: !script && 'no script(1) here' },
  async () => {
    await World.run('tail-tty', async (world) => {
      await setUp(world);
      const file = new Publisher(world, 'web1', '/a.log');
      await file.data(0, Buffer.from('a\u001B[2Jb\ttab\r\nprompt> '));
      const inTerminal = (args: string, env: NodeJS.ProcessEnv = {}): Promise<string> =>
        new Promise((resolve) => {
          const command = `${process.execPath} ${ENTRY} tail --server ${world.server.url} ${args}`;
          const options = { env: { ...process.env, TERM: 'xterm', NO_COLOR: '', ...env }, timeout: TEST_MS };
          execFile('script', ['-qec', command, '/dev/null'], options, (_error, stdout) => resolve(stdout));
        });
      const coloured = await inTerminal('--no-follow');
      const escape = String.raw`\u001B\[`;
      const prefix = `^${escape}1;\\d\\dmweb1${escape}0m ${escape}\\d\\dm/a\\.log${escape}0m \\| `;
      assert.match(coloured, new RegExp(prefix));
      assert.ok(coloured.includes('| a\\x1b[2Jb\ttab\r\n'), JSON.stringify(coloured));
      const plain = 'web1 /a.log | a\\x1b[2Jb\ttab\r\nweb1 /a.log | prompt> \r\n';
      assert.equal(await inTerminal('--no-follow', { NO_COLOR: '1' }), plain);
      // In a pipe: no colours, and the bytes.
      assert.equal(await printed(world), 'web1 /a.log | a\u001B[2Jb\ttab\r\nweb1 /a.log | prompt> \n');

      const child = spawn(
        'script',
        [
          '-qefc',
          `exec ${process.execPath} ${ENTRY} tail --server ${world.server.url} --no-prefix`,
          '/dev/null',
        ],
        { env: { ...process.env, TERM: 'xterm' }, stdio: ['pipe', 'pipe', 'ignore'] },
      );
      world.atEnd(async () => void child.kill('SIGKILL'));
      let shown = '';
      child.stdout.on('data', (data: Buffer) => (shown += data.toString()));
      const has = async (text: string): Promise<void> => {
        assert.ok(
          await until(() => shown.includes(text), { timeoutMs: WAIT_MS }),
          `${text}: ${JSON.stringify(shown)}`,
        );
      };
      await has('tab\r\nprompt> ');
      await file.data(20, 'typed\nnext\n');
      await has('prompt> typed\r\nnext\r\n');
      // Ctrl-C, as a terminal sends it.
      const end = new Promise<number | null>((resolve) => {
        child.once('close', (code) => resolve(code));
      });
      child.stdin.write('\u0003');
      assert.equal(await end, 0);
    });
  },
);

test('wrong usage is one line with an example, and exit 2', { concurrency: 4 }, async (t) => {
  const cases: readonly (readonly [readonly string[], ...string[]])[] = [
    [['--host', ''], '--host', 'a host'],
    [['--host', 'web[1'], '--host', 'web[1', 'not closed', "'web*'"],
    [['--path', 'log/a.log'], '--path', 'relative', '**/log/a.log'],
    [['--exclude', '{a'], '--exclude', 'not closed'],
    [['--since', 'noon'], '--since', '"noon"', 'yesterday 14:00'],
    [['--since', '2999-01-01'], '--since', 'still to come', '-n 0'],
    [['-n', 'ten'], '--lines', '"ten"', 'a whole number from 0'],
    [['-n', '-1'], '--lines', '"-1"'],
    [['--grep', '(a'], '--grep', '/(a/', 'JavaScript', 'error|warn'],
    [['--grep', ''], '--grep'],
    [['-v'], '--invert needs --grep'],
    [['-i'], '--ignore-case needs --grep'],
    [['--prefix', 'a.*'], '--prefix', '"a.*"'],
    [['extra'], 'too many arguments'],
  ];
  for (const [args, ...parts] of cases)
    await t.test(args.join(' '), async () => {
      const { code, stdout, stderr } = await ended(['tail', ...args]);
      assert.deepEqual([code, stdout], [2, ''], stderr);
      assert.match(stderr, /^logferry: [^\n]+\n$/);
      for (const part of parts) assert.ok(stderr.includes(part), `${part}: ${stderr}`);
    });
});

test('--prefix is of subjects, --no-prefix of lines: both may be given', async () => {
  await World.run('tail-prefix', async (world) => {
    const set = ['--server', world.server.url, '--stream', 'MINE', '--prefix', 'mine'];
    assert.equal((await ended(['setup', ...set])).code, 0);
    const { code, stdout, stderr } = await ended(['tail', ...set, '--no-prefix', '--no-follow']);
    assert.deepEqual([code, stdout, stderr], [0, '', '']);
    const wrong = await ended([
      'tail',
      '--server',
      world.server.url,
      '--stream',
      'MINE',
      '--prefix',
      'x',
      '--no-prefix',
    ]);
    assert.match(wrong.stderr, /expected \["x\.\*\.\*"\]/);
  });
});
