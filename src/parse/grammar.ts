/** RFC 9110 §5.6.2: the grammar of a token, such as a field name or a method. */
export const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;

/**
 * RFC 9110 §5.5: the characters of a field value. A control character could end the field and begin another
 * one. A character outside Latin-1 cannot be sent as one byte.
 */
export const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
