// The page of the dashboard in a real browser, over a real fleet. Skipped where there is no Chromium: see browser.ts.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

import { NOTHING_WRONG, simulateShippers } from '../../bench/simulated-shippers.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { openLink } from '../../common/nats/connection.ts';
import { until } from '../../common/runtime/run.ts';
import { Browser, findChromium } from './browser.ts';
import { startDashboard } from '../support/dashboard-world.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { InProcessShipper } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

/** Four rows of cells. */
const PAGE_PARTITIONS = 64;

/** That the stage begins with. */
const ALL_LINES = 4;

const chromium = findChromium();
const skip =
  chromium === undefined
    ? 'no Chromium: put chromium on the PATH, or its path into LOGFERRY_CHROMIUM'
    : false;

const HOSTILE_HOST = `<img src=x onerror="document.title=['owned'">'&"{(!`;
const HOSTILE_LINE = `<script>document.title='owned'</script><img src=x onerror=alert(1)> \u001B[31mred \u202Eback`;

interface Stage {
  readonly world: World;
  readonly browser: Browser;
  readonly files: Readonly<Record<'hostile' | 'web1' | 'web2', Written>>;
  /** By host. */
  readonly shippers: ReadonlyMap<string, InProcessShipper>;
}

async function onStage(name: string, run: (stage: Stage) => Promise<void>): Promise<void> {
  await World.run(name, async (world) => {
    await world.setUp(PAGE_PARTITIONS);
    world.receive(['--id', 'central-1']);
    const shippers = new Map<string, InProcessShipper>();
    const file = async (directory: string, base: string, host: string): Promise<Written> => {
      await mkdir(path.join(world.source, directory));
      const written = new Written(world, `${directory}/${base}`, host);
      shippers.set(host, new InProcessShipper(world, host, path.join(world.source, directory, '*.log')));
      return written;
    };
    const files = {
      hostile: await file('bad', `<i onclick="x()">'.log`, HOSTILE_HOST),
      web1: await file('web1', 'app.log', 'web1'),
      web2: await file('web2', 'app.log', 'web2'),
    };
    files.hostile.append(`${HOSTILE_LINE}\n`);
    files.web1.append('a good line\nan error line\n');
    files.web2.append('another good line\n');
    const browser = await Browser.start(chromium ?? '');
    try {
      await run({ world, browser, files, shippers });
    } finally {
      await browser.close();
    }
    assert.deepEqual(browser.complaints, []);
  });
}

test('it shows hosts, receivers, partitions and lines; what is hostile stays text', { skip }, async () => {
  await onStage('page-shows', async ({ world, browser: { page } }) => {
    const { url } = await startDashboard(world);
    await page.goto(url);
    await page.locator('#hosts tr').nth(2).waitFor();
    await page
      .locator('.badge.cell[data-colour="1"]')
      .nth(PAGE_PARTITIONS - 1)
      .waitFor();
    assert.equal(await page.locator('.cell').count(), PAGE_PARTITIONS);
    assert.match(await page.locator('#receivers').innerText(), /central-1/);
    assert.match(
      await page.locator('#owners').innerText(),
      new RegExp(`A\\s*central-1\\s*${PAGE_PARTITIONS}`),
    );
    const names = await page.locator('#hosts button.name').allInnerTexts();
    assert.deepEqual(names.toSorted(), [HOSTILE_HOST, 'web1', 'web2']);
    const line = page.locator('#tail .line', { hasText: 'owned' });
    await line.waitFor();
    assert.equal(
      await line.locator('.text').innerText(),
      HOSTILE_LINE.replace('\u001B', String.raw`\x1b`).replace('\u202E', String.raw`\x202e`),
    );
    // Nothing of it became an element or ran.
    assert.equal(await page.locator('main img, main script, main i[onclick]').count(), 0);
    assert.doesNotMatch(await page.title(), /owned/);
    // A filter, and the files of a host.
    await page.locator('#hosts-filter').fill('WEB1');
    assert.deepEqual(await page.locator('#hosts button.name').allInnerTexts(), ['web1']);
    await page.locator('#hosts button.name').click();
    await page.locator('#hosts .details', { hasText: 'partition' }).waitFor();
    await page.locator('#hosts .details button').click();
    await page.locator('#tail .line', { hasText: 'a good line' }).waitFor();
    await line.waitFor({ state: 'detached' });
    assert.equal(await page.locator('#tail-host').inputValue(), 'web1');
    await page.locator('#hosts-filter').fill('<IMG');
    await page.locator('#hosts button.name').click();
    await page.locator('#hosts .details button').click();
    await line.waitFor();
  });
});

test('a search shows the lines that match, and says what is wrong with it', { skip }, async () => {
  await onStage('page-search', async ({ world, browser: { page }, files }) => {
    const { url } = await startDashboard(world);
    await page.goto(url);
    await page.locator('#tail .line', { hasText: 'a good line' }).waitFor();
    await page.locator('#tail-search').fill('an ERR.r');
    await page.locator('#tail mark', { hasText: 'an error' }).waitFor();
    await page.locator('#tail .line', { hasText: 'good' }).first().waitFor({ state: 'detached' });
    files.web2.append('a line that is no match\nan error that came later\n');
    await page.locator('#tail .line', { hasText: 'came later' }).waitFor();
    assert.equal(await page.locator('#tail .line').count(), 2);
    await page.locator('#tail-search').fill('(');
    await page.locator('#tail-note', { hasText: 'no JavaScript regular expression' }).waitFor();
    assert.equal(await page.locator('#tail-search').getAttribute('aria-invalid'), 'true');
    await page.locator('#tail-search').fill('');
    await page.locator('#tail-host').fill('web2');
    await page.locator('#tail .line', { hasText: 'another good line' }).waitFor();
    await page.locator('#tail .line', { hasText: 'a good line' }).waitFor({ state: 'detached' });
  });
});

test('it can be used with the keyboard', { skip }, async () => {
  await onStage('page-keys', async ({ world, browser: { page }, files }) => {
    const { url } = await startDashboard(world);
    await page.goto(url);
    await page.locator('#tail .line', { hasText: 'a good line' }).waitFor();
    await page
      .locator('.badge.cell[data-colour="1"]')
      .nth(PAGE_PARTITIONS - 1)
      .waitFor();
    const focused = async (): Promise<string> => await page.evaluate('document.activeElement.id');
    await page.keyboard.press('/');
    assert.equal(await focused(), 'tail-search');
    // Typed, not obeyed.
    await page.keyboard.type('a / b');
    assert.equal(await page.locator('#tail-search').inputValue(), 'a / b');
    await page.keyboard.press('Escape');
    assert.equal(await focused(), '');
    assert.equal(await page.locator('#tail-search').inputValue(), 'a / b');
    // The search has begun, so that what comes next is the whole tail once more; a pause holds back what is still to come.
    await page.locator('#tail .line').first().waitFor({ state: 'detached' });
    await page.locator('#tail-search').fill('');
    await page.keyboard.press('Escape');
    await page
      .locator('#tail .line')
      .nth(ALL_LINES - 1)
      .waitFor();
    await page.keyboard.press(' ');
    await page.locator('#tail-pause[aria-pressed="true"]').waitFor();
    files.web1.append('while it was paused\n');
    await page.locator('#tail-note', { hasText: '1 new line' }).waitFor();
    assert.equal(await page.locator('#tail .line', { hasText: 'while it was paused' }).count(), 0);
    await page.keyboard.press(' ');
    await page.locator('#tail .line', { hasText: 'while it was paused' }).waitFor();
    // The map of partitions is one stop; arrows move within.
    await page.locator('.cell').first().focus();
    for (const key of ['ArrowRight', 'ArrowDown']) await page.keyboard.press(key);
    assert.match(await page.locator('#partition').innerText(), /^17: central-1/);
    await page.keyboard.press('End');
    assert.match(await page.locator('#partition').innerText(), /^63: central-1/);
    // What has the focus can be seen.
    const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle');
    assert.equal(outline, 'solid');
    // From the top: the link to the hosts, the filter, the table.
    await page.reload();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate('document.activeElement.className'), 'skip');
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'hosts-filter');
  });
});

test('light and dark, wide and narrow', { skip }, async () => {
  await onStage('page-looks', async ({ world, browser: { page } }) => {
    const { url } = await startDashboard(world);
    await page.goto(url);
    await page.locator('#hosts tr').nth(2).waitFor();
    const grounds: unknown[] = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      grounds.push(await page.evaluate('getComputedStyle(document.documentElement).backgroundColor'));
    }
    const [light, dark] = grounds.map((ground) => Number(/\d+/.exec(String(ground))?.[0]));
    assert.ok(Number(light) > 200 && Number(dark) < 50, grounds.join(' '));
    for (const width of [360, 700, 1060, 1280, 2560]) {
      await page.setViewportSize({ width, height: 800 });
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width);
    }
  });
});

test('it comes back by itself when the dashboard does, and with its token', { skip }, async () => {
  await onStage('page-reconnect', async ({ world, browser: { page }, files }) => {
    const token = ['--dashboard-token', 'correct-horse-battery-staple'];
    const { daemon, url } = await startDashboard(world, token);
    await page.goto(url);
    await page.locator('text=needs its token').waitFor();
    await page.locator('input[name=token]').fill('correct-horse-battery-staple');
    await page.keyboard.press('Enter');
    await page.locator('#connection[data-state="ok"]').waitFor();
    assert.equal(page.url(), url, 'the token is gone from the address');
    await page.locator('#tail .line', { hasText: 'a good line' }).waitFor();
    assert.equal(await daemon.stop(), 0);
    await page.locator('#connection', { hasText: 'connection lost' }).waitFor();
    await startDashboard(world, [...token, '--listen', new URL(url).host]);
    await page.locator('#connection[data-state="ok"]').waitFor();
    files.web1.append('after the restart\n');
    await page.locator('#tail .line', { hasText: 'after the restart' }).waitFor();
    assert.equal(await page.locator('#tail .line', { hasText: 'a good line' }).count(), 1, 'no line twice');
  });
});

test('the order holds still while somebody reads', { skip }, async () => {
  await onStage('page-order', async ({ world, browser: { page }, shippers }) => {
    const { url } = await startDashboard(world);
    await page.goto(url);
    await page.locator('#hosts tr').nth(2).waitFor();
    const names = async (): Promise<string[]> => await page.locator('#hosts button.name').allInnerTexts();
    const before = [HOSTILE_HOST, 'web1', 'web2'];
    const after = ['web1', 'web2', HOSTILE_HOST];
    assert.ok(await until(async () => isDeepStrictEqual(await names(), before), { timeoutMs: WAIT_MS }));
    await page.locator('#hosts tr').nth(1).hover();
    await shippers.get(HOSTILE_HOST)?.stop();
    await page.locator('#hosts tr', { hasText: 'stopped' }).waitFor();
    await page.locator('#hosts-note', { hasText: 'order held' }).waitFor();
    assert.deepEqual(await names(), before);
    await page.mouse.move(5, 5);
    assert.ok(await until(async () => isDeepStrictEqual(await names(), after), { timeoutMs: WAIT_MS }));
  });
});

test('of many hosts some are shown, more when asked for, and any is found', { skip }, async () => {
  await World.run('page-many', async (world) => {
    await world.setUp(PAGE_PARTITIONS);
    const link = await openLink({ server: world.server.url }, { name: 'test', log: silentLogger() });
    world.atEnd(async () => {
      await link.close();
    });
    const topology = { stream: 'LOGS', prefix: 'logs', partitions: PAGE_PARTITIONS };
    const status = {
      ...{ started: new Date().toISOString(), files: 1, sizeBytes: 1, publishedBytes: 1, committedBytes: 1 },
      ...{ lagBytes: 0, lagMs: 0, ...NOTHING_WRONG, worst: [] },
    };
    await simulateShippers([link], await world.records(), topology, 200, () => status);
    const { url } = await startDashboard(world);
    const browser = await Browser.start(chromium ?? '');
    try {
      const { page } = browser;
      await page.goto(url);
      await page.locator('#tiles', { hasText: '200' }).waitFor();
      const rows = page.locator('#hosts tr');
      assert.equal(await rows.count(), 50);
      await page.locator('#hosts-note', { hasText: '50 of 200 shown' }).waitFor();
      await page.locator('#hosts-more').click();
      assert.equal(await rows.count(), 200);
      await page.locator('#hosts-filter').fill('host19');
      assert.equal(await rows.count(), 11);
      await page.locator('#hosts-note', { hasText: '11 of 200 match' }).waitFor();
    } finally {
      await browser.close();
    }
    assert.deepEqual(browser.complaints, []);
  });
});

test('an empty fleet is told what to do', { skip }, async () => {
  await World.run('page-empty', async (world) => {
    const setup = world.start('setup', ['setup', '--server', world.server.url]);
    assert.equal(await setup.exited, 0);
    const { url } = await startDashboard(world);
    const browser = await Browser.start(chromium ?? '');
    try {
      await browser.page.goto(url);
      await browser.page.locator('#empty', { hasText: 'logferry receive --out' }).waitFor();
      await browser.page.locator('#connection[data-state="ok"]').waitFor();
    } finally {
      await browser.close();
    }
    assert.deepEqual(browser.complaints, []);
  });
});
