// Certificates for tests, made with openssl in a directory of the test's own.

import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

import { systemCode } from '../../common/runtime/errors.ts';

const run = promisify(execFile);

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Files with a certificate and with its key. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Whether this machine has openssl. */
export async function hasOpenssl(): Promise<boolean> {
  try {
    await run('openssl', ['version']);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** An authority that signs certificates. */
export class Authority {
  readonly cert: string;
  readonly #dir: string;
  readonly #key: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.cert = path.join(dir, 'ca.crt');
    this.#key = path.join(dir, 'ca.key');
  }

  static async create(dir: string): Promise<Authority> {
    await mkdir(dir, { recursive: true });
    const authority = new Authority(dir);
    const out = ['-keyout', authority.#key, '-out', authority.cert];
    await run('openssl', ['req', '-x509', ...NEW_KEY, ...out, '-subj', '/CN=authority', '-days', '2']);
    return authority;
  }

  /** @param name as in `IP:127.0.0.1`; @param days how long it is valid, below 0 when it has expired */
  async sign(file: string, name: string, days = 2): Promise<Certificate> {
    const base = path.join(this.#dir, file);
    const [cert, key, request, extensions] = ['crt', 'key', 'csr', 'ext'].map((end) => `${base}.${end}`) as [
      string,
      string,
      string,
      string,
    ];
    await run('openssl', ['req', ...NEW_KEY, '-keyout', key, '-out', request, '-subj', `/CN=${file}`]);
    await writeFile(extensions, `subjectAltName=${name}\n`);
    const by = ['-CA', this.cert, '-CAkey', this.#key, '-CAcreateserial', '-extfile', extensions];
    await run('openssl', ['x509', '-req', '-in', request, '-out', cert, '-days', String(days), ...by]);
    return { cert, key };
  }
}
