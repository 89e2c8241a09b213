// Words for a shell to take as they are. Pure.

/** What no shell acts on. */
const PLAIN = /^[\w./-]+$/;

/** For bash, zsh and any other sh. */
export function shellQuoted(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/** For fish, whose single quotes know two escapes. */
export function fishQuoted(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
}
