// A configuration file and those that it includes, checked key by key against the schema. Every complaint names file,
// line and column. Never looks at flags, and keeps no defaults.

import { glob } from 'node:fs/promises';
import path from 'node:path';

import { isAlias, isMap, isScalar, isSeq, type Node, type Pair } from 'yaml';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { fileSchema, type Leaf, leafAt } from './keys.ts';
import { substitute } from './text.ts';
import { readYaml, type Yaml } from './yaml.ts';
import { nearest } from '../../common/text/nearest.ts';
import { printable } from '../terminal/printable.ts';

/** One value as the file says it, with what it takes from the environment. */
export interface Told {
  readonly key: string;
  readonly value: string | boolean | readonly string[];
  /** As it stands in the file, before anything is substituted. */
  readonly raw: string;
  readonly file: string;
  readonly place: string;
  readonly isSecret: boolean;
}

/** One entry of ship.sources. */
export interface ToldSource {
  readonly place: string;
  /** By the key in the source: `paths`. */
  readonly values: ReadonlyMap<string, Told>;
}

export interface ConfigFile {
  /** By key: `server.url`. */
  readonly values: ReadonlyMap<string, Told>;
  /** Undefined where no file speaks of any. */
  readonly sources: readonly ToldSource[] | undefined;
  /** Sections that stand in it, also empty ones. */
  readonly sections: ReadonlySet<string>;
  /** It and what it includes, in the order in which they were read. */
  readonly files: readonly { readonly file: string; readonly mode: number }[];
}

const INCLUDE = 'include';
const SOURCES = 'ship.sources';

/** Throws `usage`. */
export async function readConfig(file: string, env: Readonly<NodeJS.ProcessEnv>): Promise<ConfigFile> {
  const reading = new Reading(env);
  await reading.read(file, []);
  return reading;
}

class Reading implements ConfigFile {
  readonly values = new Map<string, Told>();
  sources: ToldSource[] | undefined;
  readonly sections = new Set<string>();
  readonly files: { file: string; mode: number }[] = [];
  readonly #env: Readonly<NodeJS.ProcessEnv>;

  constructor(env: Readonly<NodeJS.ProcessEnv>) {
    this.#env = env;
  }

  /** @param above the files that include this one, as absolute paths */
  async read(file: string, above: readonly string[]): Promise<void> {
    const absolute = path.resolve(file);
    const yaml = await readYaml(file);
    this.files.push({ file, mode: yaml.mode });
    if (yaml.root !== null && !isEmpty(yaml.root)) this.#section(yaml, yaml.root, fileSchema, '');
    const include = this.values.get(INCLUDE);
    this.values.delete(INCLUDE);
    if (include === undefined) return;
    for (const one of await includedBy(file, include, [...above, absolute]))
      if (!this.files.some((read) => path.resolve(read.file) === path.resolve(one)))
        await this.read(one, [...above, absolute]);
  }

  #section(yaml: Yaml, node: Node, schema: z.ZodObject, within: string): void {
    this.sections.add(within);
    for (const { name, key, place, value } of pairsOf(yaml, node, within)) {
      const inner = Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined;
      if (inner === undefined) throw unknownKey(place, key);
      const leaf = leafAt(inner);
      if (leaf !== undefined) this.#once(this.#told(yaml, value, leaf, key, place));
      else if (key === SOURCES) this.#addSources(yaml, value, place);
      else if (isEmpty(value)) this.sections.add(key);
      else this.#section(yaml, value, objectIn(inner), key);
    }
  }

  #once(told: Told): void {
    const other = this.values.get(told.key);
    if (other !== undefined)
      throw new LogferryError(
        'usage',
        `${told.place}: ${told.key} is given a second time, first at ${other.place}`,
        'give it in one of the files',
      );
    this.values.set(told.key, told);
  }

  #addSources(yaml: Yaml, node: Node | null, place: string): void {
    this.sources ??= [];
    if (isEmpty(node)) return;
    const seq = resolved(yaml, node);
    if (!isSeq(seq))
      throw new LogferryError(
        'usage',
        `${place}: ${SOURCES} is not a list`,
        'begin each source with "- paths:"',
      );
    for (const item of seq.items as (Node | null)[]) {
      const at = item?.range?.[0] === undefined ? place : yaml.placeOf(item.range[0]);
      this.sources.push(this.#source(yaml, item, at));
    }
  }

  #source(yaml: Yaml, node: Node | null, place: string): ToldSource {
    const values = new Map<string, Told>();
    const schema = sourceSchema();
    for (const { name, key, place: at, value } of pairsOf(yaml, node, SOURCES, place)) {
      const leaf = Object.hasOwn(schema.shape, name) ? leafAt(schema.shape[name]) : undefined;
      if (leaf === undefined) throw unknownKey(at, key);
      values.set(name, this.#told(yaml, value, leaf, key, at));
    }
    const paths = values.get('paths');
    if (paths === undefined || (Array.isArray(paths.value) && paths.value.length === 0))
      throw new LogferryError(
        'usage',
        `${place}: a source without paths`,
        "say which files, like paths: ['/var/log/*.log']",
      );
    return { place, values };
  }

  #told(yaml: Yaml, node: Node | null, leaf: Leaf, key: string, place: string): Told {
    if (isEmpty(node))
      throw new LogferryError('usage', `${place}: ${key} has no value`, 'give one, or leave the key out');
    const value = resolved(yaml, node);
    const from = { key, place, file: yaml.file, isSecret: leaf.secret === true };
    if (leaf.takes === 'list') {
      const items = isSeq(value) ? (value.items as (Node | null)[]) : [value];
      const texts = items.map((item) => this.#text(yaml, item, key, place, leaf));
      return { ...from, value: texts.map(({ text }) => text), raw: texts.map(({ raw }) => raw).join('\n') };
    }
    const { text, raw } = this.#text(yaml, value, key, place, leaf);
    if (leaf.takes === 'text') return { ...from, value: text, raw };
    if (text !== 'true' && text !== 'false')
      throw new LogferryError('usage', `${place}: ${key} is ${JSON.stringify(text)}, expected true or false`);
    return { ...from, value: text === 'true', raw };
  }

  /** As it is written: of 0640 YAML would make the number 640. */
  #text(
    yaml: Yaml,
    node: Node | null,
    key: string,
    place: string,
    { check }: Leaf,
  ): { text: string; raw: string } {
    const scalar = isEmpty(node) ? undefined : resolved(yaml, node);
    if (!isScalar(scalar))
      throw new LogferryError('usage', `${place}: ${key} holds something else than a single value`);
    const raw = scalar.type === 'PLAIN' ? (scalar.source ?? '') : String(scalar.value);
    const text = substitute(raw, this.#env, `${place}: ${key}`);
    check?.(text, `${place}: ${key}`);
    return { text, raw };
  }
}

interface Entry {
  readonly name: string;
  /** With the sections that it is in. */
  readonly key: string;
  readonly place: string;
  readonly value: Node | null;
}

function* pairsOf(yaml: Yaml, node: Node | null, within: string, place?: string): Generator<Entry> {
  const map = isEmpty(node) ? undefined : resolved(yaml, node);
  if (!isMap(map)) {
    const at = place ?? yaml.placeOf(node?.range?.[0] ?? 0);
    const what = within === '' ? 'the file' : within === SOURCES ? 'a source' : within;
    throw new LogferryError('usage', `${at}: ${what} holds no keys`, 'write them like "key: value"');
  }
  for (const pair of map.items as Pair<Node, Node | null>[]) {
    const at = yaml.placeOf(pair.key.range?.[0] ?? 0);
    if (!isScalar(pair.key)) throw new LogferryError('usage', `${at}: a key that is no name`);
    const name = printable(pair.key.source ?? String(pair.key.value));
    yield { name, key: within === '' ? name : `${within}.${name}`, place: at, value: pair.value };
  }
}

function resolved(yaml: Yaml, node: Node): Node {
  if (!isAlias(node)) return node;
  const target = node.resolve(yaml.document);
  if (target !== undefined) return target;
  throw new LogferryError(
    'usage',
    `${yaml.placeOf(node.range?.[0] ?? 0)}: an alias (*) without its anchor`,
    "quote a value that begins with *, like '*.log'",
  );
}

/** `key:` with nothing behind it. */
function isEmpty(node: Node | null): node is null {
  return node === null || (isScalar(node) && node.type === 'PLAIN' && node.source === '');
}

function objectIn(schema: unknown): z.ZodObject {
  if (schema instanceof z.ZodOptional) return objectIn(schema.unwrap());
  if (schema instanceof z.ZodArray) return objectIn(schema.unwrap());
  if (schema instanceof z.ZodObject) return schema;
  throw new Error('BUG: a key that is neither a value nor a section');
}

function sourceSchema(): z.ZodObject {
  return objectIn(objectIn(fileSchema.shape.ship).shape['sources']);
}

/** Every key there is, a source's behind ship.sources. */
export function allKeys(schema: z.ZodObject = fileSchema, within = ''): string[] {
  return Object.entries(schema.shape).flatMap(([name, inner]) => {
    const key = `${within}${name}`;
    return leafAt(inner) === undefined ? [key, ...allKeys(objectIn(inner), `${key}.`)] : [key];
  });
}

/** The same name elsewhere, or the name that is most like it. */
function unknownKey(place: string, key: string): LogferryError {
  const known = allKeys();
  const elsewhere = known.find((one) => lastOf(one) === lastOf(key));
  const [near] = nearest(key, known, 1);
  const hint = elsewhere === undefined ? `did you mean ${near}?` : `it is ${elsewhere}`;
  return new LogferryError('usage', `${place}: unknown key ${key}`, hint);
}

function lastOf(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1);
}

/** The files that an include names, each glob's by name. Throws `usage` for circles, and a plain name without a file. */
async function includedBy(file: string, include: Told, above: readonly string[]): Promise<string[]> {
  const directory = path.dirname(file);
  const found: string[] = [];
  for (const pattern of Array.isArray(include.value) ? (include.value as string[]) : []) {
    const isPlain = !/[*?[\]{}()!]/.test(pattern);
    const matches: string[] = [];
    if (isPlain) matches.push(pattern);
    else for await (const match of glob(pattern, { cwd: directory })) matches.push(match);
    for (const match of matches.toSorted()) {
      const one = path.isAbsolute(match) ? match : path.join(directory, match);
      if (above.includes(path.resolve(one)))
        throw new LogferryError(
          'usage',
          `${include.place}: include goes in a circle: ${printable(one)} includes ${file} or is it`,
          'let the glob leave it out',
        );
      found.push(one);
    }
  }
  return found;
}
