import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../root.js';
import { auditPage } from './audit.js';
import { settingsPage } from './settings.js';

// `npm run docs`: writes the pages that are made from the code.
writeFileSync(join(root, 'docs/settings.md'), settingsPage());
writeFileSync(join(root, 'docs/audit.md'), auditPage());
