// What `docker build` does, as plain commands below a directory: the instructions of the Dockerfile, in order, with
// the files that .dockerignore lets through. Never pulls a base image: this machine and the Node that runs this file
// stand for it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Image {
  /** Stands for the image's `/`. */
  readonly root: string;
  /** Whom its processes run as; this process's user, unless that is root. */
  readonly user: { readonly uid: number; readonly gid: number };
  readonly env: Readonly<Record<string, string>>;
  readonly entrypoint: readonly string[];
}

const NOBODY = 65_534;

/** Executes a Dockerfile; throws when an instruction fails, is not known, or leaves the user root. */
export function buildImage(source: string, work: string): Image {
  const context = path.join(work, 'context');
  copyContext(source, context);
  const isRoot = process.getuid?.() === 0;
  const user = isRoot
    ? { uid: NOBODY, gid: NOBODY }
    : { uid: process.getuid?.() ?? NOBODY, gid: process.getgid?.() ?? NOBODY };
  const stages = new Map<string, string>();
  let root = '';
  let directory = '/';
  let env: Record<string, string> = {};
  let userName = 'root';
  let entrypoint: string[] = [];

  for (const [instruction, rest] of instructionsOf(path.join(source, 'Dockerfile'))) {
    const words = rest.split(/\s+/);
    switch (instruction) {
      case 'FROM':
        assert.match(words[0] ?? '', /^node:24[\w.-]*-slim$/, 'the base image');
        root = path.join(work, `stage-${stages.size}`);
        stages.set(words[2] ?? '', root);
        // What the base image has of the directories that the instructions name.
        for (const name of ['usr/local/bin', 'var/lib', 'opt'])
          mkdirSync(path.join(root, name), { recursive: true });
        [directory, env, userName, entrypoint] = ['/', {}, 'root', []];
        break;
      case 'WORKDIR':
        directory = path.posix.resolve(directory, rest);
        mkdirSync(path.join(root, directory), { recursive: true });
        break;
      case 'COPY': {
        const stage = /^--from=(.*)$/.exec(words[0] ?? '')?.[1];
        const from = stage === undefined ? context : stages.get(stage);
        assert.ok(from !== undefined, `no stage ${stage}`);
        const names = words.slice(stage === undefined ? 0 : 1);
        const to = names.pop() ?? '';
        const target = path.join(root, path.posix.resolve(directory, to));
        for (const name of names)
          cpSync(path.join(from, name), to.endsWith('/') ? path.join(target, path.basename(name)) : target, {
            recursive: true,
            verbatimSymlinks: true,
          });
        break;
      }
      case 'RUN':
        run(rest, inRoot(rest, root).replaceAll('node:node', `${user.uid}:${user.gid}`), {
          cwd: path.join(root, directory),
          env,
        });
        break;
      case 'ENV':
        for (const word of words) {
          const [name = '', value = ''] = word.split('=');
          env[name] = inRoot(value, root);
        }
        break;
      case 'USER':
        userName = rest;
        break;
      case 'ENTRYPOINT':
        entrypoint = JSON.parse(rest) as string[];
        break;
      case 'VOLUME':
      case 'CMD':
        break;
      default:
        assert.fail(`the Dockerfile has an instruction that is not tried: ${instruction}`);
    }
  }
  assert.equal(userName, 'node', 'the user of the image');
  return { root, user, env, entrypoint };
}

/** Absolute paths, but those of devices, moved below the root. */
function inRoot(text: string, root: string): string {
  return text.replaceAll(/(?<=^|[\s"'=>])\/(?!dev\/)/g, `${root}/`);
}

function instructionsOf(dockerfile: string): [string, string][] {
  return readFileSync(dockerfile, 'utf8')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [instruction = ''] = line.split(' ');
      return [instruction, line.slice(instruction.length).trim()];
    });
}

/** .dockerignore leaves everything out but what its lines with `!` name. */
function copyContext(source: string, context: string): void {
  const lines = readFileSync(path.join(source, '.dockerignore'), 'utf8').trim().split('\n');
  const [first, ...names] = lines.filter((line) => !line.startsWith('#'));
  assert.equal(first, '*', 'the first pattern of .dockerignore');
  for (const name of names) {
    assert.match(name, /^![\w.-]+$/, 'a pattern of .dockerignore');
    cpSync(path.join(source, name.slice(1)), path.join(context, name.slice(1)), { recursive: true });
  }
  assert.ok(!readdirSync(context).includes('node_modules'));
}

function run(step: string, command: string, options: { cwd: string; env: Record<string, string> }): void {
  const started = performance.now();
  const { status } = spawnSync('/bin/sh', ['-c', command], {
    cwd: options.cwd,
    env: {
      ...process.env,
      PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      npm_config_loglevel: 'error',
      ...options.env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  console.log(`RUN ${step} (${((performance.now() - started) / 1_000).toFixed(1)} s)`);
  assert.equal(status, 0, `exit code of RUN ${step}`);
}
