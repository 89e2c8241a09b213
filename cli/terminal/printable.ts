// Names and lines from elsewhere on a terminal. Pure.

/** A name without what a terminal would act on: control characters stand as `\x1b`. */
export function printable(name: string): string {
  return name.replaceAll(/\p{C}/gu, escaped);
}

/**
 * What a terminal may act on: control characters but tab and newline, and what changes the direction of text or is not
 * seen, but for the joiners that emoji and scripts are written with.
 */
const ACTED_ON = /(?![\t\n\u200C\u200D])[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** Lines as a terminal can show them: what it would act on stands as `\x1b`, and no line ends with a CR. */
export function displayable(lines: string): string {
  return lines.replaceAll(/\r+$/gm, '').replaceAll(ACTED_ON, escaped);
}

/** The same for JSON, which has an escape of its own. */
export function displayableJson(json: string): string {
  return json.replaceAll(ACTED_ON, (char) =>
    [...Array(char.length).keys()]
      .map((at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

function escaped(char: string): string {
  return `\\x${(char.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`;
}
