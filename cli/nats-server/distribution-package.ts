// A package of the distribution, fetched with a private apt state: no root, the machine's own mirror and signing
// keys. Never installs anything and never writes outside the directory that it is given.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { onPath, run } from './binary.ts';
import { withScratch } from './cache.ts';
import { distributionSources, parseClassic, parseDeb822, stanzaFor } from './sources.ts';
import type { AptSource } from './sources.ts';
import { tolerateMissing } from '../../common/runtime/files.ts';

/** For one suite (its index is about 11 MB); an update that fails after this long would for every suite. */
const SUITE_TIMEOUT_MS = 120_000;
const SILENT_MS = 7_000;

interface Apt {
  readonly get: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
}

/**
 * Unpacks the package (and those in `with`, into the same directory) of the newest suite, or of the machine's own
 * release, from which `use` can take what it wants: it gets the directory with the
 * package's files and the scratch directory around it, which is removed afterwards, and throws when they do not run
 * here. Throws `failed` when apt is not there or no suite has one, `unreachable` when the mirror does not answer.
 */
export async function fetchPackage<T>(options: {
  name: string;
  with?: readonly string[];
  /** `own` for what needs the libraries of this machine; the newest unless given. */
  release?: 'newest' | 'own';
  use: (unpacked: string, scratch: string) => Promise<T>;
  cacheDir: string;
  env: NodeJS.ProcessEnv;
  say: (line: string) => void;
  signal?: AbortSignal | undefined;
}): Promise<T> {
  const { name, with: others = [], release, use, cacheDir, say, signal } = options;
  const [get] = await onPath('apt-get', options.env);
  const [dpkg] = await onPath('dpkg', options.env);
  if (get === undefined || dpkg === undefined) throw new LogferryError('failed', 'apt is not on the PATH');
  const apt: Apt = { get, env: { ...options.env, LC_ALL: 'C' }, signal };
  const architecture = (await run(dpkg, ['--print-architecture'], { env: apt.env })).stdout.trim();
  const system = await distribution();
  const sources = distributionSources(await machineSources(), system.codename);

  const suites = release === 'own' ? [system.codename] : system.suites;
  for (const suite of suites)
    for (const source of sources) {
      say(`fetching ${name} from the distribution's packages (${suite})`);
      try {
        return await withScratch(cacheDir, async (scratch) => {
          await writeAptState(scratch, stanzaFor(source, suite, system.components, architecture));
          return await use(await unpackPackages(apt, dpkg, scratch, [name, ...others]), scratch);
        });
      } catch (error) {
        signal?.throwIfAborted();
        say(`not from ${suite}: ${lastLine(error)}`);
        if (error instanceof LogferryError && error.code === 'unreachable') throw error;
      }
    }
  throw new LogferryError('failed', `none of the distribution's suites has a ${name} that runs here`);
}

/** Downloads the packages, checked by apt against the signed index, and unpacks them; returns the directory. */
async function unpackPackages(
  apt: Apt,
  dpkg: string,
  scratch: string,
  names: readonly string[],
): Promise<string> {
  const settings = {
    cwd: scratch,
    env: apt.env,
    timeout: SUITE_TIMEOUT_MS,
    ...(apt.signal && { signal: apt.signal }),
  };
  const config = ['-q', '-c', join(scratch, 'apt.conf')];
  const started = performance.now();
  try {
    await run(apt.get, [...config, 'update'], settings);
  } catch (error) {
    apt.signal?.throwIfAborted();
    if (performance.now() - started < SILENT_MS) throw error;
    throw new LogferryError('unreachable', "the distribution's mirror does not answer in time", undefined, {
      cause: error,
    });
  }
  await run(apt.get, [...config, 'download', ...names], settings);
  const files = (await readdir(scratch)).filter((entry) => entry.endsWith('.deb'));
  if (files.length === 0) throw new LogferryError('failed', 'apt has downloaded no package');
  const unpacked = join(scratch, 'unpacked');
  for (const file of files) await run(dpkg, ['-x', join(scratch, file), unpacked], settings);
  return unpacked;
}

/**
 * A configuration that is read after the machine's own, so that its proxy and its credentials stay, and everything
 * that is written goes to the scratch directory. The machine's hooks after an update are for its own state.
 */
async function writeAptState(scratch: string, stanza: string): Promise<void> {
  for (const directory of ['sources', 'preferences', 'state/lists/partial', 'cache/archives/partial'])
    await mkdir(join(scratch, directory), { recursive: true });
  await writeFile(join(scratch, 'status'), '');
  await writeFile(join(scratch, 'sources', 'distribution.sources'), stanza);
  const path = (name: string): string => JSON.stringify(join(scratch, name));
  await writeFile(
    join(scratch, 'apt.conf'),
    `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke-Stats;
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts ${path('sources')};
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts ${path('preferences')};
Dir::State ${path('state')};
Dir::State::Lists ${path('state/lists')};
Dir::State::status ${path('status')};
Dir::Cache ${path('cache')};
Dir::Cache::Archives ${path('cache/archives')};
APT::Sandbox::User "root"; // only matters to root: the user _apt could not write to the scratch directory
APT::Update::Error-Mode "any"; // else apt ends with 0 when a mirror is not reached
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::Retries "0";
Acquire::http::Timeout "8";
Acquire::https::Timeout "8";
`,
  );
}

async function machineSources(): Promise<AptSource[]> {
  const parts = '/etc/apt/sources.list.d';
  const sources = parseClassic(
    (await readFile('/etc/apt/sources.list', 'utf8').catch(tolerateMissing)) ?? '',
  );
  for (const name of ((await readdir(parts).catch(tolerateMissing)) ?? []).toSorted()) {
    if (!name.endsWith('.sources') && !name.endsWith('.list')) continue;
    const text = await readFile(join(parts, name), 'utf8');
    sources.push(...(name.endsWith('.sources') ? parseDeb822(text) : parseClassic(text)));
  }
  return sources;
}

/** The suites to try, newest first. By alias, so that the list stays right when a new release comes out. */
async function distribution(): Promise<{ codename: string; suites: string[]; components: string[] }> {
  const text = (await readFile('/etc/os-release', 'utf8').catch(tolerateMissing)) ?? '';
  const value = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)`, 'm').exec(text)?.[1] ?? '';
  const codename = value('VERSION_CODENAME');
  // Debian's mirrors know these aliases; Ubuntu's know `devel`, and nats-server is in its component universe.
  if (value('ID') === 'debian')
    return { codename, suites: ['unstable', 'testing', 'stable'], components: ['main'] };
  return {
    codename,
    suites: ['devel', codename].filter((suite) => suite !== ''),
    components: ['main', 'universe'],
  };
}

/** Of a failed program the last line that it wrote, which says why; its message repeats the whole command. */
function lastLine(error: unknown): string {
  return messageOf(error).trim().split('\n').at(-1) ?? '';
}
