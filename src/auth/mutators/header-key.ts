/** A header field's name as CGI servers read it, which treat hyphens and underscores alike. */
export function headerKey(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
