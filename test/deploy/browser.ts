// A headless Chromium, when this machine has one: LOGFERRY_CHROMIUM, or chromium on the PATH. Never fetches one.

import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { WAIT_MS } from '../support/timeouts.ts';

/** Undefined when there is none. */
export function findChromium(): string | undefined {
  const given = process.env['LOGFERRY_CHROMIUM'] ?? '';
  if (given !== '') return given;
  const directories = (process.env['PATH'] ?? '').split(path.delimiter).filter((one) => one !== '');
  return directories.map((directory) => path.join(directory, 'chromium')).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

/** A browser with a profile of its own. */
export class Browser {
  readonly page: Page;
  /** What the page complained about: errors of scripts, and what the policy refused. */
  readonly complaints: string[] = [];
  readonly #context: BrowserContext;
  readonly #profile: string;

  private constructor(context: BrowserContext, page: Page, profile: string) {
    this.#context = context;
    this.page = page;
    this.#profile = profile;
    page.setDefaultTimeout(WAIT_MS);
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('dialog', (dialog) => {
      this.complaints.push(`a dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on('console', (message) => {
      // A connection that is lost is an error to the browser; the page says it by itself.
      if (message.type() === 'error' && !/Failed to load resource|net::ERR/.test(message.text()))
        this.complaints.push(message.text());
    });
  }

  static async start(executablePath: string): Promise<Browser> {
    const profile = await mkdtemp(path.join(tmpdir(), 'logferry-chromium-'));
    const options = { executablePath, headless: true, args: QUIET, viewport: { width: 1280, height: 800 } };
    const context = await chromium.launchPersistentContext(profile, options);
    return new Browser(context, context.pages()[0] ?? (await context.newPage()), profile);
  }

  async close(): Promise<void> {
    await this.#context.close();
    await rm(this.#profile, { recursive: true, force: true });
  }
}
