/**
 * YAML text → checked value. Every problem becomes one TDMF_CONFIG_INVALID that names the file, the
 * place and what is wrong, so that an operator can mend it without guessing.
 */
import { type Document, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { TdmfError } from '../core/errors.js';

/** More than this many problems at once help nobody. */
const problemsMax = 5;

/** @throws TDMF_CONFIG_INVALID */
export function parseConfig<Schema extends z.ZodType>(
  schema: Schema,
  text: string,
  file: string,
): z.infer<Schema> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [syntaxError] = document.errors;
  if (syntaxError !== undefined) {
    const { line } = lines.linePos(syntaxError.pos[0]);
    const what = syntaxError.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '');
    throw invalid(file, `line ${line}: ${what}`);
  }
  const result = schema.safeParse(plainValueOf(document, file), { error: wording });
  if (result.success) return result.data;
  const problems = result.error.issues.slice(0, problemsMax).map((issue) => {
    const { path, message } = issue;
    const key = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
    const line = lineOf(document, lines, [...path, ...key]);
    const where = line === undefined ? '' : `line ${line}: `;
    return `${where}${path.map(String).join('.')}${path.length > 0 ? ': ' : ''}${message}`;
  });
  throw invalid(file, problems.join('; '));
}

/** The checker's complaints as an operator would say them; the schema's own sentences stay. */
function wording(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return 'is missing';
    return `must be ${nouns[issue.expected] ?? `a ${issue.expected}`}`;
  }
  if (issue.code === 'too_small' && issue.origin === 'number')
    return `must be at least ${issue.minimum}`;
  if (issue.code === 'too_small' && issue.origin === 'string') return 'must not be empty';
  if (issue.code === 'too_big' && issue.origin === 'number')
    return `must be at most ${issue.maximum}`;
  if (issue.code === 'unrecognized_keys') return `unknown: ${issue.keys.join(', ')}`;
  if (issue.code === 'invalid_value')
    return `must be one of ${issue.values.map(String).join(', ')}`;
  return undefined;
}

const nouns: Readonly<Record<string, string>> = {
  int: 'a whole number',
  object: 'a mapping (key: value)',
  record: 'a mapping (key: value)',
  array: 'a list',
  boolean: 'true or false',
};

function plainValueOf(document: Document, file: string): unknown {
  try {
    return document.toJS() ?? {};
  } catch (error) {
    // Aliases that multiply without end.
    throw invalid(file, (error as Error).message);
  }
}

/** The line of the place, or of the nearest thing around it that exists (for what is missing). */
function lineOf(
  document: Document,
  lines: LineCounter,
  path: readonly PropertyKey[],
): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    const range = (node as { range?: readonly number[] } | undefined)?.range;
    if (range?.[0] !== undefined) return lines.linePos(range[0]).line;
  }
  return undefined;
}

function invalid(file: string, problem: string): TdmfError {
  return new TdmfError('TDMF_CONFIG_INVALID', { file, problem });
}
