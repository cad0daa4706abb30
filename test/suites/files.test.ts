import { together } from './together.js';

await together('commands/clients', 'commands/convert', 'config', 'docs', 'image', 'bench');
