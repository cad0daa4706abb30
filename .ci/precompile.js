/**
 * Puts compiled schemas into build/src, for `npm test`: its hundreds of processes and threads would compile them each.
 *
 *     node .ci/precompile.js
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { precompiled } from './schemas.js';

const compiled = join(import.meta.dirname, '../build/src');
// What ajv writes asks for its own helpers in the way of CommonJS.
const head = `import { createRequire } from 'node:module';\nconst require = createRequire(import.meta.url);\n`;
writeFileSync(join(compiled, 'document/precompiled.js'), head + (await precompiled(compiled)));
