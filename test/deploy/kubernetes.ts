// The manifests below deploy/kubernetes as kubectl builds them, and a node's /var/log as kubelet and runtime keep it.

import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { Remembered } from '../support/log-files.ts';

export const MANIFESTS = path.resolve(import.meta.dirname, '../../deploy/kubernetes');

/** kubelet's containerLogMaxFiles. */
const MOST_FILES = 5;

/** Why nothing can be built here, or false. */
export const skipWithoutKubectl =
  spawnSync('kubectl', ['version', '--client']).status === 0 ? false : 'no kubectl';

const labels = z.record(z.string(), z.string());
const securityContext = z.looseObject({});

const container = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()),
  env: z.array(z.looseObject({ name: z.string() })).default([]),
  envFrom: z.array(z.strictObject({ secretRef: z.strictObject({ name: z.string() }) })),
  securityContext,
  volumeMounts: z
    .array(z.strictObject({ name: z.string(), mountPath: z.string(), readOnly: z.literal(true).optional() }))
    .default([]),
});

const volume = z.looseObject({
  name: z.string(),
  configMap: z.strictObject({ name: z.string() }).optional(),
  secret: z.strictObject({ secretName: z.string(), defaultMode: z.number() }).optional(),
});

const podTemplate = z.looseObject({
  metadata: z.looseObject({ labels }),
  spec: z.looseObject({
    serviceAccountName: z.string().optional(),
    automountServiceAccountToken: z.literal(false),
    securityContext,
    containers: z.tuple([container]),
    initContainers: z.undefined().optional(),
    volumes: z.array(volume).default([]),
  }),
});

/** What a manifest is for these tests; what kind it is tells which of it is there. */
export const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional(), labels: labels.optional() }),
  automountServiceAccountToken: z.boolean().optional(),
  data: z.record(z.string(), z.string()).optional(),
  spec: z.looseObject({}).optional(),
});

export type Manifest = z.output<typeof manifest>;

export const workload = manifest.extend({
  kind: z.enum(['DaemonSet', 'StatefulSet', 'Job']),
  spec: z.looseObject({
    selector: z.strictObject({ matchLabels: labels }).optional(),
    serviceName: z.string().optional(),
    template: podTemplate,
    volumeClaimTemplates: z
      .array(z.looseObject({ metadata: z.strictObject({ name: z.string() }) }))
      .default([]),
  }),
});

/** Throws when kubectl refuses a directory or warns of it, and when what it builds is no manifest. */
export function build(directory: string): Manifest[] {
  const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', path.join(MANIFESTS, directory)], {
    encoding: 'utf8',
  });
  if (status !== 0 || stderr !== '') throw new Error(`kubectl kustomize ${directory}: ${stderr}`);
  return parseAllDocuments(stdout).map((document) => {
    for (const error of [...document.errors, ...document.warnings]) throw error;
    return manifest.parse(document.toJS());
  });
}

/** The log of one container of a pod: 0.log of its first life, 1.log of the next. */
export class PodLog {
  readonly #root: string;
  readonly #pod: string;
  readonly #directory: string;
  #restarts = 0;
  #rotations = 0;
  readonly #remembered: Remembered;

  /** @param root stands for the node's `/` */
  constructor(root: string, pod: string) {
    this.#root = root;
    this.#pod = pod;
    this.#remembered = new Remembered(pod);
    this.#directory = path.join(root, `var/log/pods/shop_${pod}_5f0c0a1e-6b7d-4a44-9f5e-3f1f5a0c4b11/app`);
    mkdirSync(this.#directory, { recursive: true });
    mkdirSync(path.join(root, 'var/log/containers'), { recursive: true });
    this.#begin();
  }

  get file(): string {
    return path.join(this.#directory, `${this.#restarts}.log`);
  }

  /** The link that kubelet makes for this life of the container. */
  get link(): string {
    const id = this.#restarts.toString(16).padStart(64, 'c');
    return path.join(this.#root, `var/log/containers/${this.#pod}_shop_app-${id}.log`);
  }

  /** All that this life of the container has written. */
  get written(): Buffer {
    return this.#remembered.written;
  }

  /** Lines as CRI-O and containerd write them. */
  lines(count: number): void {
    const time = (line: number): string => new Date(1_767_225_600_000 + line).toISOString();
    const text = this.#remembered.newLines(count, (line) => `${time(line)} stdout F `);
    this.#remembered.wrote(text);
    appendFileSync(this.file, text);
  }

  /**
   * As kubelet does it: all but the newest rotated file are compressed, by way of a temporary name and without the
   * time of the original; the file gets a time behind its name, and the runtime begins a new one.
   */
  rotate(): void {
    const beginning = `${path.basename(this.file)}.`;
    const rotated = readdirSync(this.#directory).filter((name) => name.startsWith(beginning));
    for (const name of rotated.filter((each) => !each.endsWith('.gz'))) {
      const file = path.join(this.#directory, name);
      writeFileSync(`${file}.tmp`, gzipSync(readFileSync(file)));
      renameSync(`${file}.tmp`, `${file}.gz`);
      rmSync(file);
    }
    for (const name of rotated.toSorted().slice(0, -(MOST_FILES - 2)))
      rmSync(path.join(this.#directory, name.endsWith('.gz') ? name : `${name}.gz`));
    this.#rotations += 1;
    renameSync(this.file, `${this.file}.20260101-${String(this.#rotations).padStart(6, '0')}`);
    this.#create();
  }

  /** The container ends and is started again; its last file stays. */
  restart(): void {
    this.#restarts += 1;
    this.#remembered.forget();
    this.#begin();
  }

  /** The pod is deleted: directory and links go. */
  delete(): void {
    rmSync(path.dirname(this.#directory), { recursive: true });
    for (const name of readdirSync(path.dirname(this.link)))
      if (name.startsWith(`${this.#pod}_`)) rmSync(path.join(path.dirname(this.link), name));
  }

  #begin(): void {
    this.#create();
    // Kubelet makes it with the path as the node has it.
    symlinkSync(this.file, this.link);
  }

  #create(): void {
    writeFileSync(this.file, '', { mode: 0o640, flag: 'ax' });
  }
}
