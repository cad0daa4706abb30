// The status codes (RFC 9110 §15) that scopegate handles in a way of their own.

/** 101: the connection carries another protocol from here on (§15.2.2). */
export const SWITCHING_PROTOCOLS = 101;
/** 103: hints that come before the response (RFC 8297). */
export const EARLY_HINTS = 103;
/** 205: a response without content, whatever its fields say (§15.3.6). */
export const RESET_CONTENT = 205;
/** The last status that HTTP defines. Fastify sends none above it, and neither does Node over HTTP/2. */
export const LAST_STATUS = 599;
