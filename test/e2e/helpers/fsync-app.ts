/**
 * An application with a log of what it was promised: it appends numbers to a file, makes each one
 * durable, and only then tells it on stdout, which lies outside of everything that is mirrored. The
 * first error ends it. `node fsync-app.js FILE`
 */
import { fsyncSync, openSync, writeSync } from 'node:fs';

const file = openSync(process.argv[2]!, 'a');
try {
  for (let number = 1; ; number++) {
    writeSync(file, `${number}\n`);
    fsyncSync(file);
    writeSync(1, `${number}\n`);
  }
} catch {
  process.exitCode = 1;
}
