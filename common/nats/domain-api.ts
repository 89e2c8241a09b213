// The subjects of a JetStream domain. Pure.

/** What requests to the JetStream of this domain begin with. */
export function apiOf(domain: string): string {
  return `$JS.${domain}.API`;
}
