// Which hosts and paths a selection means, and that the filters for the server never leave any of them out.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { LogferryError } from '../../../common/runtime/errors.ts';
import { selectionOf } from '../../../common/fleet/selection.ts';
import { storedSubject } from '../../../common/wire/subjects.ts';

const TOPOLOGY = { stream: 'LOGS', prefix: 'logs', partitions: 64 };

/** What nats-server does: `*` is any token. */
function passes(filter: string, subject: string): boolean {
  const [wanted, tokens] = [filter.split('.'), subject.split('.')];
  return wanted.length === tokens.length && wanted.every((one, at) => one === '*' || one === tokens[at]);
}

const cases: readonly (readonly [
  globs: readonly string[],
  matched: readonly string[],
  not: readonly string[],
])[] = [
  [['/var/log/*.log'], ['/var/log/a.log'], ['/var/log/nginx/a.log', '/var/log/a.log.1', '/srv/a.log']],
  [['/var/log/**'], ['/var/log/a.log', '/var/log/nginx/a.log'], ['/var/logs/a.log', '/srv/a.log']],
  [['**/nginx/*.log'], ['/var/log/nginx/a.log', '/nginx/a.log'], ['/var/log/a.log']],
  [['*.log'], ['/a.log', '/var/log/nginx/a.log', '/x/.hidden.log'], ['/a.log/b', '/var/log/syslog']],
  [['syslog', 'mes?ages'], ['/var/log/syslog', '/var/log/messages'], ['/var/log/syslog.1']],
  [['/var/log/{a,b}.log'], ['/var/log/a.log', '/var/log/b.log'], ['/var/log/c.log']],
  [['{/srv,/opt}/**/*.log'], ['/srv/x/y/a.log', '/opt/a.log'], ['/var/a.log']],
  [['[ab].log'], ['/x/a.log'], ['/x/c.log', '/x/[ab].lo']],
  [['/x/[]a].log'], ['/x/].log', '/x/a.log'], ['/x/b.log']],
  [['!(a).log'], ['/x/b.log'], ['/x/a.log']],
  [['/x/app[1].log'], ['/x/app[1].log', '/x/app1.log'], ['/x/app2.log']],
  [['a+b (1).log'], ['/x/a+b (1).log'], ['/x/aab (1).log']],
  [['/x/a.log'], ['/x/a.log'], ['/x/aXlog', '/x/a.log/b', '/y/a.log']],
];
for (const [globs, matched, not] of cases)
  test(`${globs.join(' ')} selects ${matched.join(' ')}, and not ${not.join(' ')}`, () => {
    const included = selectionOf([], globs, []);
    const excluded = selectionOf([], [], globs);
    for (const file of matched) {
      assert.ok(included.matches('web1', file), file);
      assert.ok(!excluded.matches('web1', file), file);
    }
    for (const file of not) {
      assert.ok(!included.matches('web1', file), file);
      assert.ok(excluded.matches('web1', file), file);
    }
  });

test('hosts, paths and excludes hold together', () => {
  const selection = selectionOf(['web*', 'db1'], ['/var/**'], ['*.gz']);
  assert.ok(selection.matches('web17', '/var/a.log'));
  assert.ok(selection.matches('web.example.org', '/var/a.log'));
  assert.ok(selection.matches('db1', '/var/a.log'));
  assert.ok(!selection.matches('db2', '/var/a.log'));
  assert.ok(!selection.matches('web17', '/srv/a.log'));
  assert.ok(!selection.matches('web17', '/var/a.gz'));
});

test('exact hosts become filters, globs and paths do not', () => {
  const subjects = (hosts: string[], paths: string[] = []): string[] =>
    selectionOf(hosts, paths, []).subjects(TOPOLOGY);
  assert.deepEqual(subjects([]), ['logs.*.*.*']);
  assert.deepEqual(subjects(['web1']), ['logs.*.web1.*']);
  assert.deepEqual(subjects(['web*']), ['logs.*.*.*']);
  assert.deepEqual(subjects(['web1', 'web1', 'x*']), ['logs.*.*.*']);
  assert.deepEqual(subjects(['web1', 'a.b', 'web1']), ['logs.*.web1.*', 'logs.*.a%2Eb.*']);
  assert.deepEqual(subjects([], ['/a']), ['logs.*.*.*']);
  assert.deepEqual(subjects(['web1'], ['/a', 'syslog']), ['logs.*.web1.*']);
});

test('too many filters give way to a wildcard', () => {
  const count = (hosts: number): string[] => {
    const names = Array.from({ length: hosts }, (_, number) => `web${number}`);
    return selectionOf([...names, ...names], [], []).subjects(TOPOLOGY);
  };
  assert.equal(count(64).length, 64);
  assert.deepEqual(count(65), ['logs.*.*.*']);
});

test('whatever is selected passes one filter and no other, so none comes twice or never', () => {
  const host = fc.stringMatching(/^[abw.*?é-]{1,4}$/);
  const file = fc.stringMatching(/^\/[ab.*?é/-]{0,5}[ab]$/);
  const some = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(one, { maxLength: 12 });
  fc.assert(
    fc.property(
      fc.array(host, { maxLength: 70 }),
      some(file),
      some(file),
      host,
      file,
      fc.nat(7),
      (hosts, paths, exclude, oneHost, onePath, lane) => {
        const selection = selectionOf(hosts, paths, exclude);
        const filters = selection.subjects(TOPOLOGY);
        assert.ok(filters.length <= 64);
        const names = [...hosts, oneHost].flatMap((name) =>
          [...paths, onePath].map((path) => [name, path] as const),
        );
        for (const [name, path] of names) {
          const subject = storedSubject(TOPOLOGY, name, lane);
          const passed = filters.filter((filter) => passes(filter, subject)).length;
          assert.ok(passed <= 1);
          if (selection.matches(name, path)) assert.equal(passed, 1);
        }
        for (const name of hosts)
          for (const path of paths)
            assert.equal(selection.matches(name, path), selectionOf([], [], exclude).matches(name, path));
      },
    ),
  );
});

const wrong: readonly (readonly [...Parameters<typeof selectionOf>, said: string])[] = [
  [[''], [], [], '--host is "", which matches nothing'],
  [['web[1'], [], [], '--host is "web[1", with a [ that is not closed'],
  [['web1]'], [], [], '--host is "web1]", with a ] that closes nothing'],
  [[], ['/a/{b,c'], [], '--path is "/a/{b,c", with a { that is not closed'],
  [[], ['/a/b}'], [], '--path is "/a/b}", with a } that closes nothing'],
  [[], ['/a/+(b'], [], '--path is "/a/+(b", with a ( that is not closed'],
  [[], ['log/*.log'], [], '--path is "log/*.log", a relative path'],
  [[], ['/var/log/'], [], '--path is "/var/log/", a directory'],
  [[], [], [' '], '--exclude is " ", which matches nothing'],
  [[], [], ['/a[]'], '--exclude is "/a[]", with a [ that is not closed'],
  [[], [`/${'x'.repeat(5_000)}`], [], 'longer than 4096 characters'],
];
for (const [hosts, paths, exclude, said] of wrong)
  test(`one line with an example: ${said}`, () => {
    assert.throws(
      () => selectionOf(hosts, paths, exclude),
      (error) =>
        error instanceof LogferryError &&
        error.code === 'usage' &&
        error.message.includes(said) &&
        error.hint !== undefined,
    );
  });
