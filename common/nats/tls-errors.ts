// What a failed TLS handshake means and what to do about it, by the codes of Node and OpenSSL. Pure.

interface Meaning {
  /** Goes on after "nats-server at <url>". */
  readonly what: string;
  readonly hint: string;
}

const UNKNOWN_AUTHORITY: Meaning = {
  what: 'shows a certificate of an authority that is not trusted here',
  hint: "give --tls-ca with that authority's certificate, after making sure that it is the right server",
};

const NOT_NOW: Meaning = {
  what: 'shows a certificate that is not valid now',
  hint: "renew the server's certificate, or set the clock of this machine",
};

/** https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/, without the prefix X509_V_ERR_. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  CERT_UNTRUSTED: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  INVALID_CA: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: NOT_NOW,
  CERT_NOT_YET_VALID: NOT_NOW,
  ERR_TLS_CERT_ALTNAME_INVALID: {
    what: 'shows a certificate for another host',
    hint: 'connect by a name or address that stands in the certificate, as tls://name:4222',
  },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    what: 'does not begin with the TLS handshake',
    hint: 'leave out --tls-first',
  },
};

/** The server does not take what it was shown: these are alerts that it sends. */
const ALERT = /^ERR_SSL_.*_ALERT_/;

/** Undefined for a code that says nothing of certificates. */
export function tlsMeaning(code: string | undefined): Meaning | undefined {
  if (code === undefined) return undefined;
  if (Object.hasOwn(MEANINGS, code)) return MEANINGS[code];
  if (!ALERT.test(code)) return undefined;
  return {
    what: "does not take this client's certificate",
    hint: 'give --tls-cert and --tls-key that its authority has signed',
  };
}
