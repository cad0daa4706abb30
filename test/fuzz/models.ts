/**
 * How servers resolve the path they are sent, each from its own documentation and none from the gateway's code. What
 * comes out is decoded text, as their routing sees it; undefined where they refuse.
 */
export type Model = (path: string) => string | undefined;

/** WHATWG URL, section 4.4: Node's own parser is the reference. */
export const whatwg: Model = (path) => decode(new URL(`http://h${path}`).pathname);

/** WSGI (PEP 3333): PATH_INFO is decoded once; Werkzeug's routing takes it as it is. */
export const werkzeug: Model = decode;

/** nginx, `ngx_http_parse_complex_uri` with `merge_slashes on`: decodes, merges, then resolves. */
export const nginx: Model = (path) => {
  const decoded = decode(path);
  return decoded === undefined || decoded.includes('\0') ? undefined : dots(decoded.replace(/\/+/g, '/'));
};

/** Go's `net/http.ServeMux`: `path.Clean` of the decoded path, with the slash at its end put back. */
export const go: Model = (path) => {
  const decoded = decode(path);
  if (decoded === undefined) return undefined;
  const cleaned = clean(decoded);
  return decoded.endsWith('/') && cleaned !== '/' ? `${cleaned}/` : cleaned;
};

/** Servlet containers: parameters are cut from the raw segments, then it is decoded and resolved. */
export const servlet: Model = (path) => {
  const decoded = decode(path.replace(/;[^/]*/g, ''));
  return decoded === undefined ? undefined : dots(decoded.replace(/\/+/g, '/'));
};

/** Frameworks that decode first and cut parameters from what they have decoded. */
export const lateParameters: Model = (path) => {
  const decoded = decode(path);
  return decoded === undefined ? undefined : dots(decoded.replace(/;[^/]*/g, '').replace(/\/+/g, '/'));
};

/** A proxy that decodes before an application that decodes again. */
export const twice: Model = (path) => {
  const once = decode(path);
  const again = once === undefined ? undefined : decode(once);
  return again === undefined ? undefined : dots(again.replace(/\/+/g, '/'));
};

/** Servers that fold compatibility characters, as file systems do. */
export const folding: Model = (path) => {
  const decoded = decode(path)?.normalize('NFKC');
  return decoded === undefined ? undefined : dots(decoded.replace(/\/+/g, '/'));
};

/** Those whose reading must be the gateway's own where no rule opts in to anything. */
export const FAITHFUL: Readonly<Record<string, Model>> = { whatwg, werkzeug, nginx, go };
/** Those that must come to the same rule, whatever a rule opts in to. */
export const WILFUL: Readonly<Record<string, Model>> = {
  ...FAITHFUL,
  servlet,
  lateParameters,
  twice,
  folding,
};

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function dots(path: string): string | undefined {
  const kept: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [at, segment] of segments.entries()) {
    const last = at === segments.length - 1;
    if (segment === '..' && kept.pop() === undefined) return undefined;
    if (segment !== '.' && segment !== '..') kept.push(segment);
    else if (last) kept.push('');
  }
  return `/${kept.join('/')}`;
}

function clean(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}
