import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { schemaText } from '../../src/commands/schema.js';
import { root } from '../root.js';
import { auditPage } from './audit.js';
import { cliPage } from './cli.js';
import { conformancePage } from './conformance.js';
import { errorsPage } from './errors.js';
import { identityFieldsPage } from './identity-fields.js';
import { settingsPage } from './settings.js';
import { upstreamClientPage } from './upstream-client.js';

// `npm run docs`: writes the pages that are made from the code, and the schema that ships.
for (const name of ['settings', 'apirule', 'cases'] as const)
  writeFileSync(join(root, `config/${name}.schema.json`), schemaText(name));
writeFileSync(join(root, 'docs/settings.md'), settingsPage());
writeFileSync(join(root, 'docs/audit.md'), auditPage());
writeFileSync(join(root, 'docs/conformance.md'), conformancePage());
writeFileSync(join(root, 'docs/identity-fields.md'), identityFieldsPage());
writeFileSync(join(root, 'docs/upstream-client.md'), upstreamClientPage());
writeFileSync(join(root, 'docs/cli.md'), await cliPage());
writeFileSync(join(root, 'docs/errors.md'), errorsPage());
// A chart can only use files of its own.
copyFileSync(join(root, 'config/prometheus-alerts.yaml'), join(root, 'config/helm/scopegate/alerts.yaml'));
