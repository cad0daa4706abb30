/** The most interim responses to one request. An honest upstream sends fewer. */
export const MAX_INTERIM = 16;
/**
 * How long a response may continue if it is long and there is no room for it, in milliseconds. Most responses
 * of more than one packet end within this time.
 */
export const GRACE = 500;
