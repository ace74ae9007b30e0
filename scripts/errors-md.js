/** Writes docs/errors.md from the error table; a test compares the two both ways. */
import { writeFileSync } from 'node:fs';
import { errorTable } from '../dist/src/core/errors.js';

const rows = Object.entries(errorTable).map(
  ([code, { kind, message, remedy, retryable }]) =>
    `| \`${code}\` | ${kind} | ${message} | ${remedy} | ${retryable ? 'yes' : 'no'} |`,
);
writeFileSync(
  new URL('../docs/errors.md', import.meta.url),
  `# Errors

Every failure has a code. \`tdmfctl\` prints what happened, to which group, and what to do; \`--json\` and events carry the code. Kinds:
*operating* (expected in the life of a system, exit code 1), *refusal* (the present state does not allow it, exit code 4), *usage* (bad
input, exit code 2). "Again" says whether the same request, unchanged, may succeed later. Made by \`node scripts/errors-md.js\`.

| code | kind | what happened | what to do | again |
|---|---|---|---|---|
${rows.join('\n')}
`,
);
