/**
 * YAML text → checked value. Every problem becomes one TDMF_CONFIG_INVALID that names the file, the
 * place and what is wrong, so that an operator can mend it without guessing.
 */
import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { TdmfError } from '../core/errors.js';

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
    throw invalid(file, `line ${line}: ${syntaxError.message.split('\n')[0]}`);
  }
  const result = schema.safeParse(document.toJS() ?? {});
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path.map(String) ?? [];
  const node: unknown = path.length > 0 ? document.getIn(path, true) : undefined;
  const range = (node as { range?: [number, number, number] } | undefined)?.range;
  const where = range ? `line ${lines.linePos(range[0]).line}: ` : '';
  throw invalid(file, `${where}${path.join('.')}${path.length > 0 ? ': ' : ''}${issue?.message}`);
}

function invalid(file: string, problem: string): TdmfError {
  return new TdmfError('TDMF_CONFIG_INVALID', { file, problem });
}
