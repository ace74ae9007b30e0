/** `npm run bench -- NAME [options]`: runs one benchmark by name, or lists them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [name = ''] = process.argv.splice(2, 1);
const suffix = '.bench.js';
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(suffix))
  .map((file) => file.slice(0, -suffix.length));

if (names.includes(name)) {
  await import(pathToFileURL(join(import.meta.dirname, `${name}${suffix}`)).href);
} else {
  console.error(`bench: name one of ${names.join(', ')}`);
  process.exitCode = 2;
}
