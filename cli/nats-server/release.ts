// The official nats-server release archive for this platform, checked against the table below before anything
// of it is unpacked. Never run, kept or unpacked when a byte differs.

import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { onPath, run } from './binary.ts';
import type { ServerBinary } from './binary.ts';
import { placeInCache, withScratch } from './cache.ts';

interface Release {
  readonly version: string;
  readonly sha256: Readonly<Record<string, string>>;
}

/**
 * SHA-256 of nats-server-v2.14.5-<platform>.tar.gz. Linux: from the Dockerfiles of nats-io/nats-docker
 * (2.14.x/alpine3.22). Darwin: as two unrelated projects pin them, with the same Linux values beside them. Compare with
 * SHA256SUMS of the release when changing the version. Windows has only a .zip, which nothing here can unpack.
 */
const PINNED: Release = {
  version: '2.14.5',
  sha256: {
    'linux-amd64': '5e3b603d47c447bda1f77f9ac16dbf91c90aac4ff3681f8fbbc7201e4ed99355',
    'linux-arm64': '673a98d3faa79dde3f9ebf16d6dfac36a5f694e7ad2015e4954dd7939c85cd4c',
    'darwin-amd64': 'f95c98d6b6ed2b63c5681b46b092c9585c99767d547cf495730c329234625e96',
    'darwin-arm64': 'ddd907854d9a2de834af133fa396915fe6442fe6d8909ae31390d1ea7a0fea50',
  },
};

export const RELEASES = 'https://github.com/nats-io/nats-server/releases';

/** To the first byte of the answer, and to the last (ms). */
const ANSWER_TIMEOUT_MS = 10_000;
const TOTAL_TIMEOUT_MS = 120_000;
const MAX_BYTES = 100_000_000;

/**
 * Fetches the pinned release into the cache. Throws `unreachable` when it cannot be had in time, `corrupt` when
 * it is not what the table says; in both cases nothing is left behind.
 */
export async function fetchRelease(options: {
  cacheDir: string;
  env: NodeJS.ProcessEnv;
  say: (line: string) => void;
  signal?: AbortSignal | undefined;
  /** Where releases lie, `<base>/v<version>/<archive>`. */
  baseUrl?: string | undefined;
  release?: Release | undefined;
}): Promise<ServerBinary> {
  const { version, sha256 } = options.release ?? PINNED;
  const platform = releasePlatform();
  const expected = sha256[platform];
  if (expected === undefined)
    throw new LogferryError('failed', `no checksum is known of a nats-server release for ${platform}`);
  const [tar] = await onPath('tar', options.env);
  if (tar === undefined) throw new LogferryError('failed', 'no tar on the PATH to unpack the release with');

  const name = `nats-server-v${version}-${platform}`;
  const url = `${options.baseUrl ?? `${RELEASES}/download`}/v${version}/${name}.tar.gz`;
  options.say(`fetching nats-server ${version} from the official release`);
  const archive = await download(url, options.signal);
  const actual = createHash('sha256').update(archive).digest('hex');
  if (actual !== expected)
    throw new LogferryError(
      'corrupt',
      `${url} has SHA-256 ${actual} (${archive.length} bytes) instead of ${expected}`,
    );

  return withScratch(options.cacheDir, async (scratch) => {
    const file = join(scratch, 'release.tar.gz');
    await writeFile(file, archive);
    await run(tar, ['-xzf', file, '-C', scratch, `${name}/nats-server`], {
      env: options.env,
      ...(options.signal && { signal: options.signal }),
    });
    return placeInCache(options.cacheDir, scratch, join(scratch, name, 'nats-server'), options.signal);
  });
}

/** As the release archives are named: `linux-amd64`. */
export function releasePlatform(): string {
  return `${process.platform}-${process.arch === 'x64' ? 'amd64' : process.arch}`;
}

async function download(url: string, signal?: AbortSignal): Promise<Buffer> {
  const late = new AbortController();
  const answerTimer = setTimeout(() => {
    late.abort(new Error(`no answer in ${ANSWER_TIMEOUT_MS / 1000} s`));
  }, ANSWER_TIMEOUT_MS);
  const signals = [
    late.signal,
    AbortSignal.timeout(TOTAL_TIMEOUT_MS),
    ...(signal === undefined ? [] : [signal]),
  ];
  try {
    const response = await fetch(url, { signal: AbortSignal.any(signals) });
    clearTimeout(answerTimer);
    if (!response.ok || response.body === null) throw new Error(`the answer was ${response.status}`);
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of response.body) {
      length += part.length;
      if (length > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts);
  } catch (error) {
    signal?.throwIfAborted();
    // fetch() itself says only "fetch failed"; its cause says why.
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new LogferryError('unreachable', `cannot fetch ${url} (${messageOf(reason)})`, undefined, {
      cause: error,
    });
  } finally {
    clearTimeout(answerTimer);
  }
}
