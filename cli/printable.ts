// Names from elsewhere on a terminal. Pure.

/** A name without what a terminal would act on: control characters stand as `\x1b`. */
export function printable(name: string): string {
  return name.replaceAll(
    /\p{C}/gu,
    (char) => `\\x${(char.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  );
}
