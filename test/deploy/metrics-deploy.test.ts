// What is deployed around the metrics: the alerts, the dashboard and the documentation name what the daemons really serve,
// and nothing else. promtool judges the rules, their tests, and the daemons' own output.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { parse } from 'yaml';
import { z } from 'zod';

import { findPromtool } from '../support/metrics/promtool.ts';
import { METRICS, Scraped } from '../support/metrics/scrape.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { ROOT } from '../support/paths.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const PROMETHEUS = path.join(ROOT, 'deploy/prometheus');
const RULES = path.join(PROMETHEUS, 'logferry.rules.yml');
const RULE_TESTS = path.join(PROMETHEUS, 'logferry.rules.test.yml');
const GRAFANA = path.join(ROOT, 'deploy/grafana');
const DOCS = readFileSync(path.join(ROOT, 'docs/metrics.md'), 'utf8');

const ruleSchema = z.strictObject({
  alert: z.string().regex(/^Logferry[A-Z]\w+$/),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
  annotations: z.strictObject({ summary: z.string().min(10), runbook: z.string() }),
});
const rules = z
  .strictObject({ groups: z.array(z.strictObject({ name: z.string(), rules: z.array(ruleSchema) })) })
  .parse(parse(readFileSync(RULES, 'utf8')))
  .groups.flatMap((group) => group.rules);

const panelSchema = z.looseObject({
  id: z.int(),
  type: z.string(),
  title: z.string(),
  gridPos: z.strictObject({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
  datasource: z.looseObject({ uid: z.string() }).optional(),
  targets: z
    .array(z.looseObject({ expr: z.string(), datasource: z.looseObject({ uid: z.string() }) }))
    .optional(),
});
const dashboard = z
  .looseObject({
    uid: z.string(),
    panels: z.array(panelSchema),
    templating: z.looseObject({
      list: z.array(z.looseObject({ name: z.string(), type: z.string(), definition: z.string().optional() })),
    }),
  })
  .parse(JSON.parse(readFileSync(path.join(GRAFANA, 'logferry.json'), 'utf8')));
const panelExpressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const variables = dashboard.templating.list.flatMap(({ definition = '' }) => definition);

/** The metrics that are named in an expression, or in a text. */
function named(text: string): string[] {
  return [...text.matchAll(/\b(?:logferry|process|nodejs)_[a-z0-9_]+\b/g)].map(([name]) => name);
}

/** The types of what daemons serve, by name. */
function typesIn(...texts: readonly string[]): Map<string, string> {
  const lines = texts.flatMap((text) => text.split('\n'));
  return new Map(
    lines
      .map((line) => /^# TYPE (\S+) (\S+)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, name = '', type = '']) => [name, type]),
  );
}

/** The metrics of the tables in the documentation, with their types. */
function documented(): Map<string, string> {
  const rows = DOCS.matchAll(/^\| `((?:logferry|process|nodejs)_\w+)` +\| (\w+) +\| \S+ +\| \S.*\|$/gm);
  return new Map([...rows].map(([, name = '', type = '']) => [name, type]));
}

/** What both daemons serve when they have done something. */
async function outputs(): Promise<{ ship: string; receive: string }> {
  let texts: { ship: string; receive: string } | undefined;
  await World.run('metrics-output', async (world) => {
    const file = new Written(world, 'a.log');
    file.line();
    const receiver = world.receive(METRICS);
    const shipper = world.ship(METRICS);
    await assertIdentical(world, [file]);
    const ofShipper = await Scraped.of(shipper);
    const ofReceiver = await Scraped.of(receiver);
    await ofShipper.shows({ logferry_shipper_committed_bytes_total: file.bytes });
    await ofReceiver.shows({ logferry_receiver_partitions: PARTITIONS });
    texts = { ship: (await ofShipper.scrape()).text, receive: (await ofReceiver.scrape()).text };
  });
  assert.ok(texts !== undefined);
  return texts;
}

const said = outputs();
const promtool = findPromtool();

/** Runs promtool; it has to be content. */
async function judge(
  context: { skip: (why: string) => void },
  args: readonly string[],
  input = '',
): Promise<string> {
  const found = await promtool;
  if ('skip' in found) {
    context.skip(found.skip);
    return '';
  }
  const { status, stdout, stderr } = spawnSync(found.file, args, { input, encoding: 'utf8' });
  assert.equal(status, 0, `promtool ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout + stderr;
}

describe('what is deployed around the metrics', { timeout: TEST_MS }, () => {
  test('promtool takes the configuration, the rules and their tests', async (context) => {
    await judge(context, ['check', 'config', path.join(PROMETHEUS, 'prometheus.yml')]);
    await judge(context, ['check', 'rules', '--lint=all', '--lint-fatal', RULES]);
    await judge(context, ['test', 'rules', RULE_TESTS]);
  });

  test('promtool has nothing to say of what the daemons serve', async (context) => {
    for (const text of Object.values(await said))
      assert.equal(await judge(context, ['check', 'metrics'], text), '');
  });

  test('promtool takes every expression of the dashboard', async (context) => {
    await World.run('metrics-dashboard', async (world) => {
      const written = panelExpressions.map((expr, index) => ({
        record: `panel:expression:${index}`,
        expr: expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(?:shipper|receiver)/g, '.*'),
      }));
      const file = path.join(world.dir, 'panels.yml');
      await writeFile(file, JSON.stringify({ groups: [{ name: 'panels', rules: written }] }));
      await judge(context, ['check', 'rules', file]);
    });
  });

  test('each alert says how bad it is and what to do, and is tried', () => {
    const headings = new Set([...DOCS.matchAll(/^### (\w+)$/gm)].map(([, heading]) => heading));
    const tried = readFileSync(RULE_TESTS, 'utf8');
    for (const { alert, annotations } of rules) {
      assert.ok(headings.has(alert), `docs/metrics.md has no ${alert}`);
      assert.equal(annotations.runbook, `docs/metrics.md#${alert.toLowerCase()}`);
      assert.match(tried, new RegExp(`- name: ${alert}\\n`), `${alert} is not tried`);
      const quiet = tried.split('- name: ')[1] ?? '';
      assert.match(quiet, new RegExp(`alertname: ${alert}\\n`), `${alert} is not seen to be silent`);
    }
    assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  });

  test('every metric that is named anywhere is served, and every one that is served is documented', async () => {
    const { ship, receive } = await said;
    const types = typesIn(ship, receive);
    const isServed = (name: string): boolean =>
      types.has(name) || types.get(name.replace(/_(?:bucket|sum|count)$/, '')) === 'histogram';
    const expressions = [...rules.map(({ expr }) => expr), ...panelExpressions, ...variables];
    for (const expression of expressions)
      for (const name of named(expression)) assert.ok(isServed(name), `${name} in ${expression}`);
    for (const name of named(readFileSync(RULE_TESTS, 'utf8')))
      assert.ok(isServed(name), `${name} in the tests`);
    for (const name of named(DOCS)) assert.ok(isServed(name), `${name} in docs/metrics.md`);
    assert.deepEqual(
      [...documented()].map(String).toSorted(),
      [...types].map(String).toSorted(),
      'the tables of docs/metrics.md, and what is served',
    );
  });

  test('every metric of its own is on the dashboard', async () => {
    const { ship, receive } = await said;
    const shown = new Set(
      panelExpressions.flatMap(named).map((name) => name.replace(/_(?:bucket|count)$/, '')),
    );
    const own = [...typesIn(ship, receive).keys()].filter((name) => name.startsWith('logferry_'));
    assert.deepEqual(
      own.filter((name) => !shown.has(name)),
      [],
    );
  });

  test('the dashboard asks for its data source, and no panel lies upon another', () => {
    assert.deepEqual(
      dashboard.templating.list.map(({ name, type }) => [name, type]),
      [
        ['DS_PROMETHEUS', 'datasource'],
        ['shipper', 'query'],
        ['receiver', 'query'],
      ],
    );
    const taken = new Set<string>();
    for (const { title, type, gridPos, datasource, targets = [] } of dashboard.panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          assert.ok(x < 24 && !taken.has(`${x} ${y}`), `${title} at ${x}, ${y}`);
          taken.add(`${x} ${y}`);
        }
      if (type === 'row') continue;
      assert.ok(targets.length > 0, title);
      // oxlint-disable-next-line no-template-curly-in-string -- Grafana's variable
      for (const one of [datasource, ...targets.map((each) => each.datasource)])
        assert.equal(one?.uid, '${DS_PROMETHEUS}');
    }
    assert.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
    for (const file of ['datasources/prometheus.yml', 'dashboards/logferry.yml']) {
      const provisioned: unknown = parse(readFileSync(path.join(GRAFANA, 'provisioning', file), 'utf8'));
      assert.equal(z.looseObject({ apiVersion: z.int() }).parse(provisioned).apiVersion, 1, file);
    }
  });
});
