/** RFC 9110 §5.6.2: a field name, a method, and whatever else is one word of HTTP. */
export const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

/**
 * RFC 9110 §5.5: what can stand in a field's value. Control characters would end the field and begin another one, what is
 * outside of Latin-1 has no octet.
 */
export const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
