// The page as one document: the assets beside this file joined, with the policy that lets only them run. Read once.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

export interface Page {
  readonly html: Buffer;
  /** The Content-Security-Policy under which its parts run, and nothing else. */
  readonly policy: string;
}

/** In the order in which they need each other; the last one starts it all. */
const SCRIPTS = [
  'dom.js',
  'format.js',
  'sparkline.js',
  'listen.js',
  'risks.js',
  'receivers.js',
  'hosts.js',
  'partitions.js',
  'tail.js',
  'main.js',
] as const;

export async function readPage(): Promise<Page> {
  const [html, css, ...texts] = await Promise.all(['page.html', 'page.css', ...SCRIPTS].map(readAsset));
  const style = `\n${css ?? ''}`;
  const script = `\n${joined(SCRIPTS.map((name, index) => ({ name, text: texts[index] ?? '' })))}\n`;
  const whole = (html ?? '')
    .replace('<style></style>', () => `<style>${style}</style>`)
    .replace('<script type="module"></script>', () => `<script type="module">${script}</script>`);
  return { html: Buffer.from(whole), policy: policyOf({ style, script }) };
}

/**
 * Modules as one script: each is a function that returns what it exports, and takes what it imports from those before it.
 * Knows only `import { … } from './name.js'` and `export function`, `class` and `const`.
 */
export function joined(modules: readonly { readonly name: string; readonly text: string }[]): string {
  return modules
    .map(({ name, text }) => {
      const exported = [...text.matchAll(/^export (?:async )?(?:function|class|const) (\w+)/gm)].map(
        ([, word]) => word ?? '',
      );
      const body = text
        .replaceAll(/^import (\{[^}]*\}) from '\.\/(\w+)\.js';$/gm, 'const $1 = $$$2;')
        .replaceAll(/^export /gm, '');
      const variable = `$${name.replace('.js', '')}`;
      return `const ${variable} = (() => {\n${body}\nreturn { ${exported.join(', ')} };\n})();`;
    })
    .join('\n');
}

/** A small page without a script: what to do when the token is missing. */
export function askForToken(why: string): Page {
  const style =
    'body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:24rem;padding:0 1rem;color-scheme:light dark}' +
    'input,button{font:inherit;padding:.4rem .6rem;width:100%;box-sizing:border-box;margin-top:.5rem}';
  const html =
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<title>logferry</title><style>${style}</style><h1>logferry</h1><p>This dashboard needs its token: ${why}.` +
    `<form action="/"><label>Token<input type="password" name="token" autocomplete="current-password" autofocus required></label>` +
    `<button>Open</button></form><p><a href="/">Try again</a> when this browser has given it before.</html>\n`;
  return { html: Buffer.from(html), policy: policyOf({ style }, "form-action 'self'") };
}

function policyOf(parts: { style: string; script?: string }, forms = "form-action 'none'"): string {
  const script = parts.script === undefined ? "'none'" : `'sha256-${hash(parts.script)}'`;
  return [
    "default-src 'none'",
    `script-src ${script}`,
    `style-src 'sha256-${hash(parts.style)}'`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    forms,
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

async function readAsset(name: string): Promise<string> {
  return await readFile(new URL(`./page/${name}`, import.meta.url), 'utf8');
}
