// Reads apt's sources (deb822 and the classic lines) and writes one of them anew for another suite. Pure; never
// adds a host, and never keeps a setting that turns the signature check off.

/** One place with packages, as the machine's own configuration names it. */
export interface AptSource {
  readonly uris: string;
  readonly suites: readonly string[];
  readonly components: readonly string[];
  /** As in the file: a path, a fingerprint or a whole key; undefined = the machine's trusted keys. */
  readonly signedBy: string | undefined;
}

/** The `Types: deb` stanzas of a `.sources` file (sources.list(5), deb822 style); disabled ones are left out. */
export function parseDeb822(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const stanza of text.replaceAll(/^#.*\n?/gm, '').split(/\n\s*\n/)) {
    const fields = new Map<string, string>();
    // A line that starts with a blank goes on with the field above it.
    for (const field of stanza.matchAll(/^([A-Za-z-]+):(.*(?:\n[ \t].*)*)/gm))
      fields.set((field[1] ?? '').toLowerCase(), (field[2] ?? '').replace(/^[ \t]+|\s+$/g, ''));
    const words = (name: string): string[] =>
      (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
    if (
      !words('types').includes('deb') ||
      /^(no|false|without|off|disable)$/i.test(fields.get('enabled') ?? '')
    )
      continue;
    sources.push({
      uris: words('uris').join(' '),
      suites: words('suites'),
      components: words('components'),
      signedBy: fields.get('signed-by'),
    });
  }
  return sources;
}

/** The `deb` lines of a `sources.list` (sources.list(5), one-line style). */
export function parseClassic(text: string): AptSource[] {
  const sources: AptSource[] = [];
  for (const line of text.split('\n')) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    if (match === null) continue;
    const [, settings = '', uris = '', suite = '', components = ''] = match;
    sources.push({
      uris,
      suites: [suite],
      components: components.trim().split(/\s+/),
      signedBy: /(?:^|\s)signed-by=(\S+)/.exec(settings)?.[1],
    });
  }
  return sources;
}

/**
 * The sources that can hold the distribution's own packages: those with the release this machine runs (or an alias
 * of one) as a suite and `main` among the components. Another vendor's may be among them: asking it is harmless.
 */
export function distributionSources(sources: readonly AptSource[], codename: string): AptSource[] {
  const releases = new Set([codename, 'stable', 'oldstable', 'testing', 'unstable', 'sid']);
  return sources.filter(
    (source) =>
      source.components.includes('main') &&
      source.suites.some((suite) => releases.has(suite)) &&
      !source.uris.startsWith('cdrom:'),
  );
}

/** The source as a stanza for one suite, with only what is needed to find a package in it. */
export function stanzaFor(
  source: AptSource,
  suite: string,
  components: readonly string[],
  architecture: string,
): string {
  return [
    'Types: deb',
    `URIs: ${source.uris}`,
    `Suites: ${suite}`,
    `Components: ${components.join(' ')}`,
    `Architectures: ${architecture}`,
    'Targets: Packages',
    'Languages: none',
    ...(source.signedBy === undefined ? [] : [`Signed-By: ${source.signedBy}`]),
    '',
  ].join('\n');
}
